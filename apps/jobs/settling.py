"""How a run of a job ended, written down: completed, cancelled, given back, tried again a little later, or failed."""

import asyncio
import logging
import traceback
from contextlib import suppress
from typing import Any

from django.db import InterfaceError, OperationalError

from apps.core import db
from apps.jobs import carrying
from apps.jobs.handle import CANCELLED, GIVEN_BACK, LOST, Cancelled, Handle, plain
from apps.jobs.models import Job, Status

log = logging.getLogger(__name__)
WAITS_S = (1, 5, 15, 30)  # then its lease runs out, and it is tried again
LONGEST_WAIT_S = 60


async def settle(job: Job, handle: Handle, doing: "asyncio.Future[Any]") -> None:
    """Write the end of a run down, though the database may be away for a while; the lease is kept meanwhile.

    A run that does not listen is not done yet: it is settled without it.
    """
    for wait_s in WAITS_S:
        try:
            return await _settle(job, handle, doing)
        except (InterfaceError, OperationalError):
            log.exception("the end of job %s could not be written; next try in %s s", job.job_id, wait_s)
            await asyncio.sleep(wait_s)
        except Exception as error:
            log.exception("job %s could not be settled", job.job_id)
            return await _refused(handle, error)


async def _settle(job: Job, handle: Handle, doing: "asyncio.Future[Any]") -> None:
    has_ended = doing.done() and not doing.cancelled()
    error = doing.exception() if has_ended else None
    if has_ended and error is None:
        result = plain(doing.result())
        await db.write(Job.objects.end, handle.lease, Status.COMPLETED, result=result)
    elif handle.stop_reason == LOST:
        log.warning("job %s was taken over by another worker", job.job_id)
    elif handle.stop_reason == GIVEN_BACK:
        await db.write(Job.objects.give_back, handle.lease, counts=False)
    elif handle.stop_reason == CANCELLED:
        await db.write(Job.objects.end, handle.lease, Status.CANCELLED)
    else:
        await _failed(job, handle, error or Cancelled("The job stopped by itself."))


async def _refused(handle: Handle, error: Exception) -> None:
    """End a job whose result cannot be stored."""
    with suppress(Exception):
        words = f"Its result could not be stored: {carrying.reason(error)}"
        await db.write(Job.objects.end, handle.lease, Status.FAILED, error=words)


async def _failed(job: Job, handle: Handle, error: BaseException) -> None:
    """Let the job be tried again a little later, or end it when that was the last attempt or is no use."""
    words = carrying.reason(error)
    if not isinstance(error, carrying.ChildFailed) and not carrying.is_hopeless(error):
        handle.log("".join(traceback.format_exception(error, limit=-4)), "error")
    job = await db.read(Job.objects.get, pk=job.pk)  # it may have stored progress
    if carrying.is_hopeless(error) or job.attempt >= job.last_attempt:
        handle.log(f"Attempt {job.attempt} of {job.last_attempt} failed: {words}", "error")
        await db.write(Job.objects.end, handle.lease, Status.FAILED, error=words)
        log.warning("job %s (%s) failed: %s", job.job_id, job.title, words)
        return
    wait_s = min(2**job.idle_attempts, LONGEST_WAIT_S)
    handle.log(f"Attempt {job.attempt} of {job.last_attempt} failed: {words} Next in {wait_s} s.", "warning")
    await db.write(Job.objects.give_back, handle.lease, wait_s=wait_s, error=words)
