"""A console and its model server as real processes: started, killed, started again on the same data.

Knows the command line, the environment and HTTP; imports nothing of the console.
"""

import atexit
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from tests import redis_databases

ROOT = Path(__file__).parent.parent
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
SETUP_LINK = re.compile(r"Make the first one at http://127\.0\.0\.1:\d+(/\S+)")
MODELS = (
    "fake", "fake-n1", "fake-n20-d50", "fake-n60-d50", "fake-n100-d100", "fake-n200", "fake-n1000-d5", "fake-i1500-n3",
    "fake-n5-i20000", "fake-n20-d5", "fake-n200-d50", "fake-i50-n1", "fake-embed-e8",
)  # fmt: skip
# What seeding leaves in a data folder; on Postgres, the tables are in a database of their own.
FILES = ("console.sqlite3", "secret_key")
# What a shell of a developer may hold and a test must not see.
FOREIGN = (
    "OPENAI_BASE_URL", "OPENAI_API_KEY", "SECRET_KEY", "DEBUG", "HOST", "PORT", "DJANGO_SETTINGS_MODULE", "TELEMETRY",
)  # fmt: skip


class Seeded(NamedTuple):
    """What seeding made; it is done once in a run and copied for every console."""

    facts: dict[str, Any]
    files: dict[str, bytes]
    template: str  # the database on Postgres that others are made from


_seeded: dict[bool, Seeded] = {}


def free_port() -> int:
    """Return a port of this machine that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: "subprocess.Popen[str]", seconds: float = 30) -> None:
    """Return when ``url`` answers; raises AssertionError when the process ends or the time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"the process behind {url} ended with {process.returncode}"
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"{url} did not answer within {seconds} s")


@dataclass
class ModelServer:
    """A stand-in for an OpenAI-compatible server: answers at once, by the directives of bench/fake_openai.py."""

    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[str] | None" = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "ModelServer":
        """Start it, again on the same port after ``stop``."""
        command = [sys.executable, str(ROOT / "bench/fake_openai.py"), "--port", str(self.port)]
        environment = os.environ | {"FAKE_MODELS": ",".join(MODELS)}
        self.process = subprocess.Popen(command, env=environment, text=True)
        wait_for(f"{self.url}/health", self.process)
        return self

    def stop(self) -> None:
        """Kill it at once: open streams break off."""
        _kill(self.process)

    def stats(self) -> dict[str, int]:
        """Return how many requests it has seen, has open, and saw cancelled."""
        with urllib.request.urlopen(f"{self.url}/stats", timeout=5) as answer:
            return dict(json.load(answer))


@dataclass
class Console:
    """One console in a data folder of its own; several processes may share it (``beside``)."""

    folder: Path
    models: ModelServer
    extra: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: "subprocess.Popen[str] | None" = None
    facts: dict[str, Any] = field(default_factory=dict)
    log_name: str = "serve.log"

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What its processes are started with."""
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        ours = {
            "STACK_CONSOLE_DATA_DIR": str(self.folder),
            "OPENAI_BASE_URL": f"{self.models.url}/v1",
            "OPENAI_API_KEY": "unused",
            "EMBEDDED_MODELS": "0",
            "API_RATE": "",
            "PYTHONUNBUFFERED": "1",
        }
        if os.environ.get("REDIS_URL"):
            ours["REDIS_URL"] = redis_databases.numbered(redis_databases.CONSOLES)
        return kept | ours | self.extra

    def prepare(self, *, people: bool = True) -> "Console":
        """Make the tables and, unless told otherwise, a person of each role with a session and a key of each role."""
        base = os.environ.get("DATABASE_URL")
        if people not in _seeded:
            if base:
                self.extra["DATABASE_URL"] = _new_database(base)
                atexit.register(_drop_database, base, self.extra["DATABASE_URL"])
            facts = self._seed(people)
            kept = {name: (self.folder / name).read_bytes() for name in FILES if (self.folder / name).exists()}
            _seeded[people] = Seeded(facts, kept, self.extra.get("DATABASE_URL", ""))
        facts, files, template = _seeded[people]
        if base:
            self.extra["DATABASE_URL"] = _new_database(base, template)
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
            (self.folder / name).chmod(0o600)
        self.facts = dict(facts)
        return self

    def _seed(self, people: bool) -> dict[str, Any]:
        command = [sys.executable, str(ROOT / "tests/seed.py"), *([] if people else ["--empty"])]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, text=True, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def start(self, *arguments: str, seconds: float = 60) -> "Console":
        """Start ``manage.py serve``, again on the same port after ``kill`` or ``stop``."""
        command = [sys.executable, "manage.py", "serve", "--port", str(self.port), *arguments]
        with (self.folder / self.log_name).open("a+") as log:
            start = log.seek(0, os.SEEK_END)
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, text=True, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=_hear_ctrl_c,
            )  # fmt: skip
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, f"serve ended with {self.process.returncode}:\n{self.log()}"
            if found := ADDRESS.search(self.log()[start:]):
                self.port = int(found[1])
                wait_for(f"{self.url}/v1/health", self.process)
                self._wait_for_models(end)
                return self
            time.sleep(0.05)
        raise AssertionError(f"serve printed no address within {seconds} s:\n{self.log()}")

    def _wait_for_models(self, end: float) -> None:
        """Wait until it has asked its model server what there is."""
        if "keys" not in self.facts:
            return
        request = urllib.request.Request(f"{self.url}/v1/models", headers={"Authorization": f"Bearer {self.key()}"})
        while time.monotonic() < end:
            with urllib.request.urlopen(request, timeout=5) as answer:
                if json.load(answer)["data"]:
                    return
            time.sleep(0.05)
        raise AssertionError(f"no models were listed in time:\n{self.log()}")

    def beside(self) -> "Console":
        """Return a second console on the same data, not started."""
        return Console(self.folder, self.models, self.extra, facts=self.facts)

    def kill(self) -> None:
        """End it as a power cut would."""
        _kill(self.process)

    def stop(self) -> None:
        """Ask it to end and wait."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()

    def remove(self) -> None:
        """Stop it and drop its database, where it has one of its own on a server."""
        self.stop()
        if base := os.environ.get("DATABASE_URL"):
            _drop_database(base, self.extra.get("DATABASE_URL", base))

    @property
    def setup_link(self) -> str:
        """The link it printed for the first account."""
        return re.findall(r"http://\S+/setup/\?token=\S+", self.log())[-1]

    def log(self) -> str:
        """Return what it printed so far."""
        return (self.folder / self.log_name).read_text()

    def setup_path(self) -> str:
        """Return the path of the one-time link it printed; raises AssertionError when it printed none."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if found := SETUP_LINK.findall(self.log()):
                return str(found[-1])
            time.sleep(0.05)
        raise AssertionError(f"serve printed no link for the first account:\n{self.log()}")

    def key(self, role: str = "operator") -> str:
        """Return the API key of a role."""
        return str(self.facts["keys"][role])


def _hear_ctrl_c() -> None:
    """Undo what a shell does to what it runs in the background: SIGINT is ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _kill(process: "subprocess.Popen[str] | None") -> None:
    if process and process.poll() is None:
        process.kill()
        process.wait(10)


def _new_database(base: str, template: str = "") -> str:
    import psycopg

    name = f"stack_console_{uuid4().hex[:12]}"
    like = f' TEMPLATE "{urlsplit(template).path.removeprefix("/")}"' if template else ""
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"{like}'.encode())
    return urlsplit(base)._replace(path=f"/{name}").geturl()


def _drop_database(base: str, url: str) -> None:
    import psycopg

    name = urlsplit(url).path.removeprefix("/")
    if url != base:
        with psycopg.connect(base, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
