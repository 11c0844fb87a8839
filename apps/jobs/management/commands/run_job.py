"""``run_job JOB LEASE``: the child process of an isolated job. A worker starts it; nobody else needs to."""

import asyncio
import logging
import os
import signal
import sys
import threading
import traceback
from argparse import ArgumentParser
from inspect import iscoroutinefunction
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from apps.core import db
from apps.jobs import carrying
from apps.jobs.handle import CANCELLED, Cancelled, Handle, plain
from apps.jobs.models import Job


class Command(BaseCommand):
    """Runs one job whose lease the parent holds."""

    help = "Run one job in this process; started by a worker."
    requires_system_checks: list[str] = []  # noqa: RUF012

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the job and the lease it is run under."""
        parser.add_argument("job_id")
        parser.add_argument("lease")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it and store its result; exits with 0, with 2 when trying again is no use, 75 when stopped, else 1."""
        job = Job.objects.held(options["lease"]).filter(job_id=options["job_id"]).first()
        if job is None:
            raise CommandError("This lease is no longer held.")
        os.nice(10)
        for handler in logging.getLogger().handlers:  # the job's log has times of its own
            handler.setFormatter(logging.Formatter("{message}", style="{"))
        threading.Thread(target=_end_with_parent, daemon=True).start()
        sys.exit(_run(job))


def _run(job: Job) -> int:
    handle = Handle(job, tell=lambda *_: None)  # pages read the row: this process has no sockets

    def stop(*_: Any) -> None:
        handle.stop_reason = CANCELLED

    signal.signal(signal.SIGTERM, stop)
    code, changes = _answer(job, handle)
    handle.flush()
    db.write_soon(Job.objects.held(handle.lease).update, **changes).result()
    return code


def _answer(job: Job, handle: Handle) -> tuple[int, dict[str, Any]]:
    work = import_string(job.work)
    try:
        result = asyncio.run(work(handle)) if iscoroutinefunction(work) else work(handle)
        return 0, {"result": plain(result)}
    except Cancelled:
        return carrying.STOPPED, {"error": ""}
    except Exception as error:
        handle.log(traceback.format_exc(limit=-4), "error")
        return carrying.HOPELESS if carrying.is_hopeless(error) else 1, {"error": carrying.reason(error)}


def _end_with_parent() -> None:
    """Wait for the parent's end of the pipe to close, and take the whole group along."""
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)
