"""A console's data with a clerk who gives jobs, and workers that a test may kill; all are real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import redis_databases
from tests.processes import ROOT, Console, ModelServer


class Shop:
    """A console's data with a clerk who gives jobs, and any number of workers."""

    def __init__(self, folder: Path, *, people: bool = False) -> None:
        extra = {"OPENAI_BASE_URL": "", "REDIS_URL": redis_databases.given()}
        self.console = Console(folder, ModelServer(), extra).prepare(people=people)
        self.console.facts.pop("keys", None)  # it has no models to wait for
        self.clerk = self._spawn(sys.executable, "tests/clerk.py", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.workers: list[subprocess.Popen[str]] = []

    def _spawn(self, *command: str, **pipes: Any) -> "subprocess.Popen[str]":
        with (self.console.folder / "workers.log").open("a") as log:
            pipes = {"stdout": log, **pipes}
            return subprocess.Popen(command, cwd=ROOT, env=self.console.environment, text=True, stderr=log, **pipes)

    def ask(self, **request: Any) -> Any:
        """Return the clerk's answer."""
        assert self.clerk.stdin and self.clerk.stdout
        self.clerk.stdin.write(json.dumps(request) + "\n")
        self.clerk.stdin.flush()
        line = self.clerk.stdout.readline()
        assert line, self.log()
        return json.loads(line)

    def worker(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a worker and wait until it has told of itself."""
        before = len(self.ask(workers=True))
        self.workers.append(self._spawn(sys.executable, "manage.py", "worker", *arguments))
        until(lambda: len(self.ask(workers=True)) > before, 30)
        return self.workers[-1]

    def job(self, job_id: str) -> dict[str, Any]:
        """Return one job."""
        return dict(self.ask(look=[job_id])[0])

    def ended(self, job_id: str, seconds: float = 60) -> dict[str, Any]:
        """Return a job once it has ended."""
        until(lambda: self.job(job_id)["status"] in ("completed", "failed", "cancelled"), seconds, lambda: self.log())
        return self.job(job_id)

    def freeze(self, pid: int, job_id: str = "") -> None:
        """Stop a process while it holds no lock, and none of a job it runs.

        A killed process has no locks. One stopped inside a transaction keeps the row, and with SQLite everybody,
        waiting until it goes on.
        """
        for _ in range(50):
            os.kill(pid, signal.SIGSTOP)
            if self.ask(free=job_id):
                return
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.03)
        raise AssertionError("the process was inside a transaction each time")

    def log(self) -> str:
        """Return what the workers printed."""
        return (self.console.folder / "workers.log").read_text()[-3000:]

    def close(self) -> None:
        """End everything."""
        for process in (*self.workers, self.clerk):
            process.kill()
            process.communicate()
        self.console.remove()


def until(condition: Callable[[], Any], seconds: float, told: Callable[[], str] = str) -> float:
    """Return after how many seconds the condition held."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s\n{told()}")


def rows_are_whole(shop: Shop, job_id: str, total: int) -> bool:
    """Every number was written, each once."""
    return Counter(shop.ask(rows=job_id)) == Counter(f"{job_id}:{number}" for number in range(total))
