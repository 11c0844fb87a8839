"""How one job is carried out: in the worker's loop, in one of its threads, or in a child process of its own."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import Any

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from apps.core import db
from apps.core.errors import ConsoleError
from apps.jobs.handle import Handle
from apps.jobs.models import Job

KILL_S = 2.5  # between asking a child to stop and killing it; cancelling is promised within five seconds
STOPPED = 75  # how a child ends that was asked to
HOPELESS = 2  # and one that need not be tried again
LINE_LIMIT = 1 << 16


class ChildFailed(Exception):
    """The child process of a job ended without its result."""


class Gone(ChildFailed):
    """The child was killed from outside."""


def is_interruptible(job: Job) -> bool:
    """Return whether cancelling the task of this job ends it; a thread must look for itself."""
    return job.is_isolated or iscoroutinefunction(import_string(job.work))


async def carry_out(job: Job, handle: Handle, threads: Executor) -> Any:
    """Return what the job's function answers; raises what it raises, or ChildFailed."""
    if job.is_isolated:
        return await _in_child(job, handle)
    work = import_string(job.work)
    if iscoroutinefunction(work):
        return await work(handle)
    return await asyncio.get_running_loop().run_in_executor(threads, call, work, handle)


def call(work: Callable[[Handle], Any], handle: Handle) -> Any:
    """Run a function that blocks, and give its thread's connection back."""
    try:
        return work(handle)
    finally:
        connections.close_all()


def is_hopeless(error: BaseException) -> bool:
    """Return whether another attempt cannot go better: the input itself is refused."""
    return isinstance(error, ConsoleError) and error.status < 500


def reason(error: BaseException) -> str:
    """Return why a job failed, in words an operator can act on."""
    if isinstance(error, ConsoleError):
        return error.detail
    if isinstance(error, ChildFailed):
        return str(error)
    words = str(error).replace("\0", "")
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


async def _in_child(job: Job, handle: Handle) -> Any:
    """Run the job in a process group of its own, which ends with this process at the latest."""
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "run_job", job.job_id, handle.lease]
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,  # closes when this process dies, however it does: the child watches it
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        process_group=0,
        limit=LINE_LIMIT,
    )
    reading = asyncio.create_task(_read(child, handle))
    try:
        code = await child.wait()
        await reading
    except asyncio.CancelledError:
        await _stop(child)
        raise
    finally:
        reading.cancel()
        _signal(child, signal.SIGKILL)  # what the job started and left behind
    if code == 0:
        return await db.read(Job.objects.values_list("result", flat=True).get, pk=job.pk)
    raise await _failure(job, code)


async def _failure(job: Job, code: int) -> Exception:
    if code < 0:
        name = signal.Signals(-code).name
        return Gone(f"The job's process was killed by {name}" + (" (out of memory?)." if code == -9 else "."))
    error = await db.read(Job.objects.values_list("error", flat=True).get, pk=job.pk)
    if not error:
        return ChildFailed(f"The job's process ended with code {code}; its log tells more.")
    return ConsoleError(error, status=400) if code == HOPELESS else ChildFailed(error)


async def _read(child: asyncio.subprocess.Process, handle: Handle) -> None:
    assert child.stdout is not None
    while True:
        try:
            line = await child.stdout.readline()
        except ValueError:  # a line beyond all reason
            continue
        if not line:
            return
        if text := line.decode(errors="replace").rstrip():
            handle.log(text)


async def _stop(child: asyncio.subprocess.Process) -> None:
    _signal(child, signal.SIGTERM)
    with suppress(TimeoutError):
        await asyncio.wait_for(child.wait(), KILL_S)
    _signal(child, signal.SIGKILL)
    await child.wait()


def _signal(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
