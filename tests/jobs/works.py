"""What the jobs of these tests do; found by its dotted path like any other work."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from django.db import transaction

from apps.accounts.models import AuditLine
from apps.core import db
from apps.core.errors import BadRequest

go = threading.Event()
seen: list[str] = []


def answer(job: Any) -> dict[str, Any]:
    """Answer with what was asked."""
    job.log("at it")
    job.progress(1, 1, "step")
    return {"said": job.arguments.get("say")}


async def answer_in_loop(job: Any) -> dict[str, Any]:
    """Answer from the worker's loop."""
    await asyncio.sleep(0)
    seen.append(job.job_id)
    return {"said": job.arguments.get("say")}


def answer_strangely(job: Any) -> dict[str, Any]:
    """Answer with values JSON does not have."""
    return {"nan": float("nan"), "set": {1}, "object": go.__class__}


def note_once(job: Any) -> None:
    """Leave one row for each job that was really run."""
    _note("ran", job.job_id)


def fail(job: Any) -> None:
    """Fail, whatever happens."""
    raise RuntimeError("the disk is full")


def refuse(job: Any) -> None:
    """Refuse the input."""
    raise BadRequest("Line 3 is not JSON.")


def wait_for_go(job: Any) -> None:
    """Look whether to stop, until the test lets it go on."""
    seen.append(job.job_id)
    while not go.wait(0.02):
        job.check()


def wait_deaf(job: Any) -> None:
    """Never look."""
    seen.append(job.job_id)
    go.wait(30)
    with transaction.atomic():
        _note("late", job.job_id)
        job.keep({"late": True})


async def sleep_long(job: Any) -> None:
    """Sleep in the loop."""
    seen.append(job.job_id)
    await asyncio.sleep(60)


def count_rows(job: Any) -> dict[str, Any]:
    """Write a row and its checkpoint for each number, slowly; go on from the checkpoint."""
    done = (job.checkpoint or {}).get("done", 0)
    if job.checkpoint:
        job.log(f"goes on from {done}")
    total = job.arguments["total"]
    for number in range(done, total):
        job.check()
        with transaction.atomic():
            _note("row", f"{job.job_id}:{number}")
            job.keep({"done": number + 1})
        job.progress(number + 1, total, "rows")
        time.sleep(job.arguments.get("each_s", 0.05))
    return {"rows": total}


async def count_rows_in_loop(job: Any) -> dict[str, Any]:
    """Do the same in the worker's loop."""
    total = job.arguments["total"]
    for number in range((job.checkpoint or {}).get("done", 0), total):
        await db.write(_row_and_checkpoint, job, number)
        job.progress(number + 1, total, "rows")
        await asyncio.sleep(job.arguments.get("each_s", 0.05))
    return {"rows": total}


def _row_and_checkpoint(job: Any, number: int) -> None:
    _note("row", f"{job.job_id}:{number}")
    job.keep({"done": number + 1})


def die_once(job: Any) -> dict[str, Any]:
    """Kill the own process at the first attempt."""
    if job.attempt == 1:
        with transaction.atomic():
            job.keep({"step": 7})
        os.kill(os.getpid(), signal.SIGKILL)
    return {"checkpoint": job.checkpoint}


def die_always(job: Any) -> None:
    """Kill the own process at every attempt."""
    os.kill(os.getpid(), signal.SIGKILL)


def start_grandchild(job: Any) -> None:
    """Start a process and ignore every wish to stop."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with transaction.atomic():
        job.keep({"child": os.getpid(), "grandchild": child.pid})
    time.sleep(600)


def _note(action: str, object_id: str) -> None:
    AuditLine.objects.create(action=action, kind="test", object_id=object_id, actor="job")
