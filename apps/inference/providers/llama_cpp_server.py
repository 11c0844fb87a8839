"""One child process for each loaded model file, shared by every process of this machine.

Who uses a model holds a shared lock on its ``users`` file; the child ends when nobody holds one. So it outlives the
process that started it as long as another needs it, and never outlives all of them, however they die.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import hmac
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings
from pydantic_core import to_json

from apps.core.errors import ProviderError
from apps.inference.providers.wire import Wire

log = logging.getLogger(__name__)
CHILD = Path(__file__).with_name("llama_cpp_child.py")
START_S = 120.0
POLL_S = 0.05
LONGEST_PAUSE_S = 60.0
SOCKET_PATH_LIMIT = 100  # the kernel takes 107 bytes
LOG_TAIL = 400
# Threads of the runtime spin while they wait for each other; longer, and any other busy process makes each wait
# cost a time slice; not at all, and generation is half as fast (measured on two cores).
SPIN = "10000"


@dataclass(frozen=True, slots=True)
class Load:
    """How a file is to be served."""

    path: Path
    context: int
    slots: int
    threads: int
    is_embedding: bool


class ModelServer:
    """The server of one file: found when some process has started it, else started."""

    def __init__(self, name: str, load: Load) -> None:
        self.name = name
        self.load = load
        stem = hashlib.blake2b(str(load).encode(), digest_size=8).hexdigest()
        folder = _run_folder()
        self._socket = folder / f"{stem}.sock"
        self._users, self._alive = folder / f"{stem}.users", folder / f"{stem}.alive"
        self._starting, self._log = folder / f"{stem}.start", folder / f"{stem}.log"
        self._key = hmac.new(settings.SECRET_KEY.encode(), b"llama-cpp", "sha256").hexdigest()
        times = {"connect_s": settings.MODEL_CONNECT_S, "silence_s": settings.MODEL_TIMEOUT_S}
        self.wire = Wire(f"Model '{name}'", "http://model/v1", self._key, socket=str(self._socket), **times)
        self._hold = _Hold(self._users)
        self._failures, self._not_before = 0, 0.0

    @asynccontextmanager
    async def in_use(self, *, anew: bool = False) -> AsyncIterator[Wire]:
        """Keep the model loaded while the block runs, and a while longer; raises ProviderError when it cannot start.

        With ``anew`` its health is asked first: for a second try after it could not be reached.
        """
        await self._hold.take()
        try:
            if anew or not self._hold.is_known_up or not self._socket.exists():
                await self._bring_up()
                self._hold.is_known_up = True
            yield self.wire
        finally:
            self._hold.give(settings.EMBEDDED_IDLE_S)

    async def close(self) -> None:
        """Let go of the model at once; its child ends when nobody else uses it."""
        self._hold.drop()
        await self.wire.close()

    async def _bring_up(self) -> None:
        """Return when the child answers; whoever gets the start lock first starts it, if nobody did before."""
        with self._starting.open("a") as lock:
            await _locked(lock, fcntl.LOCK_EX)
            if await self._answers() or await self._comes_up(self._child_lives):
                return
            if self._child_lives():  # one that ended meanwhile is followed by a new one, one that hangs is not
                raise self._given_up()
            wait = self._not_before - time.monotonic()
            if wait > 0:
                raise ProviderError(
                    f"Model '{self.name}' does not start; next try in {wait:.0f} s. {self._last_words()}"
                )
            child = await asyncio.to_thread(self._start)
            if not await self._comes_up(lambda: child.poll() is None):
                raise self._given_up()

    async def _comes_up(self, lives: Callable[[], bool]) -> bool:
        """Wait for a child that lives; False when it ended, or did not answer in time."""
        until = time.monotonic() + START_S
        while time.monotonic() < until and lives():
            if await self._answers():
                self._failures = 0
                return True
            await asyncio.sleep(POLL_S)
        return False

    def _given_up(self) -> ProviderError:
        self._kill_child()
        self._failures += 1
        self._not_before = time.monotonic() + min(2.0**self._failures, LONGEST_PAUSE_S)
        return ProviderError(f"Model '{self.name}' could not be loaded. {self._last_words()}")

    def _child_lives(self) -> bool:
        """Return whether a child holds its lock: one that loads, answers or hangs."""
        with self._alive.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _kill_child(self) -> None:
        """End a child that hangs; called with the start lock held, so its number is not somebody else's yet."""
        if self._child_lives():
            with contextlib.suppress(ValueError, ProcessLookupError):
                os.kill(int(self._alive.read_text()), signal.SIGKILL)

    async def _answers(self) -> bool:
        """Return whether a child is up; a child that still loads answers 503 and counts as not yet."""
        if not self._socket.exists():
            return False
        try:
            await self.wire.get("/health", timeout_s=5)
        except ProviderError:
            return False
        return True

    def _start(self) -> "subprocess.Popen[bytes]":
        order = {
            "model": str(self.load.path),
            "socket": str(self._socket),
            "users": str(self._users),
            "alive": str(self._alive),
            "key": self._key,
            "context": self.load.context,
            "slots": self.load.slots,
            "threads": self.load.threads,
            "embedding": self.load.is_embedding,
        }
        with self._log.open("wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-I", str(CHILD)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "GOMP_SPINCOUNT": SPIN},
                start_new_session=True,  # Ctrl-C is for us; the child follows when nobody holds its lock
            )
        assert child.stdin is not None
        child.stdin.write(to_json(order))
        child.stdin.close()
        threading.Thread(target=self._mourn, args=(child,), daemon=True).start()
        log.info("model %s: process %s loads %s", self.name, child.pid, self.load.path.name)
        return child

    def _mourn(self, child: "subprocess.Popen[bytes]") -> None:
        code = child.wait()
        log.log(
            logging.INFO if code == 0 else logging.WARNING,
            "model %s: process %s ended (%s)",
            self.name,
            child.pid,
            code,
        )

    def _last_words(self) -> str:
        try:
            text = self._log.read_text(errors="replace").strip()
        except OSError:
            return ""
        return f"It said: {text[-LOG_TAIL:]}" if text else ""


class _Hold:
    """This process's share in a child: one lock however many requests, let go when idle."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._file: IO[str] | None = None
        self._users = 0
        self._timer: threading.Timer | None = None
        self.is_known_up = False

    async def take(self) -> None:
        with self._guard:
            self._users += 1
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._file is not None:
                return
        try:
            await self._lock()
        except BaseException:  # cancelled while it waited, or no file: who has not taken it gives nothing back
            self.give(settings.EMBEDDED_IDLE_S)
            raise

    async def _lock(self) -> None:
        with self._path.open("a") as file:
            await _locked(file, fcntl.LOCK_SH)
            with self._guard:
                if self._file is None:
                    # A descriptor of its own for the same lock, which stays until the last one is closed.
                    self._file = os.fdopen(os.dup(file.fileno()), "a")

    def give(self, idle_s: float) -> None:
        with self._guard:
            self._users -= 1
            if self._users or self._file is None:
                return
            self._timer = threading.Timer(idle_s, self._release_if_idle)
            self._timer.daemon = True
            self._timer.start()

    def drop(self) -> None:
        self._release_if_idle()

    def _release_if_idle(self) -> None:
        with self._guard:
            if self._users or self._file is None:
                return
            self._file.close()
            self._file, self.is_known_up = None, False


async def _locked(file: IO[str], kind: int) -> None:
    """Wait for a lock without holding up the loop or a thread."""
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(POLL_S)
        else:
            return


def _run_folder() -> Path:
    """Return a folder for sockets, readable by this user alone; elsewhere when its path is too long for a socket."""
    folder: Path = settings.DATA_DIR / "run"
    if len(str(folder)) + len("/0123456789abcdef.users") > SOCKET_PATH_LIMIT:
        digest = hashlib.blake2b(str(folder).encode(), digest_size=6).hexdigest()
        folder = Path(tempfile.gettempdir()) / f"stack-console-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise ProviderError(f"{folder} belongs to somebody else: embedded models cannot be started.")
    return folder
