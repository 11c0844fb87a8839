"""Work that must be stoppable runs in child processes: expressions of users, mathematics, languages.

A few children at most, started when first needed and ended when nobody asks for a while. Each order has a time limit
that the kernel keeps: a child that is over it is gone, whatever it was doing, and the next order gets another one.
"""

import asyncio
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from django.conf import settings

from apps.evals.scoring.base import RowError

IDLE_S = 60.0
START_S = 30.0  # a child's start and imports, on a busy machine
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV")  # nothing secret


class Ended(RowError):
    """The child ended in the middle of the order: that took more memory than it may, or broke it."""


class TooSlow(Ended):
    """The order took longer than its limit, and the child was ended."""


async def run(task: str, payload: Any, seconds: float) -> Any:
    """Return what a child answers to an order; raises TooSlow, and RowError for what it refused or died of."""
    return await asyncio.wrap_future(_pool.submit(task, payload, seconds))


class Child:
    """One child process, asked one thing at a time over its pipes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-X", "utf8", "-m", "apps.evals.scoring.child"],
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            start_new_session=True,  # Ctrl-C is for us; the child ends with the pipe it reads from
        )
        self._left = b""

    def ask(self, task: str, payload: Any, seconds: float) -> Any:
        """Return the answer; raises TooSlow or RowError. After a failure of the child itself it is of no more use."""
        order = json.dumps({"task": task, "payload": payload, "seconds": seconds})  # rows may hold half a character
        try:
            self._write(order.encode() + b"\n")
            answer = json.loads(self._read(time.monotonic() + START_S + seconds))
        except (OSError, EOFError) as error:
            raise self._lost(seconds) from error
        if "error" in answer:
            raise RowError(answer["error"])
        return answer["value"]

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def end(self) -> int:
        """End it, and return how it ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=0.5)
        self._process.kill()
        return self._process.wait()

    def _write(self, text: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def _read(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        waiting = select.poll()  # select() takes no handle above 1,023, and a busy server has more open
        waiting.register(handle, select.POLLIN | select.POLLHUP)
        while b"\n" not in self._left:
            if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise EOFError
            piece = os.read(handle, 1 << 20)
            if not piece:
                raise EOFError
            self._left += piece
        line, _, self._left = self._left.partition(b"\n")
        return line

    def _lost(self, seconds: float) -> RowError:
        code = self.end()
        if code in (-signal.SIGALRM, -signal.SIGKILL):
            return TooSlow(f"Scoring the row took longer than {seconds:g} s and was stopped.")
        return Ended("Scoring the row took more memory than it may have, or broke the process that did it.")


class _Pool:
    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[tuple[Future[Any], Callable[[Child], Any]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._open = 0  # orders that are not answered

    def submit(self, task: str, payload: Any, seconds: float) -> "Future[Any]":
        future: Future[Any] = Future()
        with self._lock:
            self._orders.put((future, lambda child: child.ask(task, payload, seconds)))
            self._open += 1
            if self._threads < min(self._open, settings.SCORING_PROCESSES):
                self._threads += 1
                threading.Thread(target=self._work, name="scoring", daemon=True).start()
        return future

    def _work(self) -> None:
        child: Child | None = None
        while True:
            try:
                future, ask = self._orders.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    if not self._orders.empty():  # one came since: nobody else may be there to take it
                        continue
                    self._threads -= 1
                break
            if future.set_running_or_notify_cancel():
                child = self._answer(child, future, ask)
            with self._lock:
                self._open -= 1
        if child is not None:
            child.end()

    def _answer(self, child: Child | None, future: "Future[Any]", ask: Callable[[Child], Any]) -> Child | None:
        """Settle an order and return the child it was given to, which may be a new one."""
        try:
            if child is None or not child.is_alive:
                child = Child()
            future.set_result(ask(child))
        except RowError as error:
            future.set_exception(error)
        except OSError as error:
            future.set_exception(RowError(f"No process could be started to score the row: {error}"))
        except Exception as error:  # whoever waits must hear of it, and the next order finds this thread alive
            future.set_exception(RowError(f"The row cannot be scored: {type(error).__name__}: {error}"))
            if child is not None:
                child.end()  # half an answer may stand in its pipe
        return child


_pool = _Pool()
