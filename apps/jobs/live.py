"""What watchers of jobs see, and how a worker tells them from its own thread.

``job:<id>`` carries one job's state, progress and log lines; ``jobs`` says that the list changed.
"""

import asyncio
import time
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from apps.core import db, live
from apps.core.live import Event, Topic
from apps.core.process import this_process
from apps.jobs.models import Job

LIST = "jobs"
COUNT_S = 1.0
RECOUNT = "jobs_counted"
_count = (0.0, 0)
_recount: asyncio.TimerHandle | None = None


def register() -> None:
    """Make the topics of this app watchable."""
    live.register("job", Topic(_may_watch_job, frames))
    live.register(LIST, Topic(_may_watch, _list_frames))


def changed(*job_ids: str) -> None:
    """Tell that these jobs are in another state."""
    for job_id in job_ids:
        live.tell(f"job:{job_id}", {"event_type": "job_state"})
    if job_ids:
        list_changed()


def list_changed() -> None:
    """Tell that the list of jobs is another."""
    live.tell(LIST, {"event_type": "jobs_changed"})


def must_poll(job: Job) -> bool:
    """Return whether news of this job may happen in a process whose events do not reach this one."""
    elsewhere = not settings.REDIS_URL and job.worker != this_process()
    return job.is_active and (job.is_isolated or elsewhere)  # a child process tells nobody but the row


async def _may_watch(user: Any, topic: str) -> bool:
    return bool(user.is_authenticated and user.can("viewer"))


async def _may_watch_job(user: Any, topic: str) -> bool:
    job_id = topic.partition(":")[2]
    return await _may_watch(user, topic) and await db.read(Job.objects.filter(job_id=job_id).exists)


async def frames(topic: str, number: int, event: Event) -> list[dict[str, Any]]:
    """Return what an event of a job paints: its bar, a line of its log, or the whole page anew."""
    if event["event_type"] == "job_progress":
        job = await db.read(Job.objects.filter(job_id=topic.partition(":")[2]).first)
        if job is None:
            return []
        html = render_to_string("jobs/_progress.html", {"job": job})
        return [{"k": "html", "target": "#job-progress", "h": html}]
    if event["event_type"] == "job_line":
        html = render_to_string("jobs/_line.html", {"line": event | {"clock": event["at"][11:19]}})
        return [{"k": "html", "target": "#job-lines", "swap": "append", "h": html}]
    return [{"k": "state", "v": {"event_type": event["event_type"]}}]


async def _list_frames(topic: str, number: int, event: Event) -> list[dict[str, Any]]:
    """Return the badge's count; counted at most once a second however many jobs end and people watch.

    What changes within that second is told when it has passed, else the last change would never be.
    """
    global _count, _recount
    if time.monotonic() - _count[0] > COUNT_S:
        _count = (time.monotonic(), await db.read(Job.objects.unanswered_failures().count))
    elif event.get("event_type") != RECOUNT and _recount is None:
        _recount = asyncio.get_running_loop().call_later(COUNT_S, _tell_again)
    return [{"k": "state", "v": {"count": _count[1]}}]


def _tell_again() -> None:
    global _recount
    _recount = None
    live.tell(LIST, {"event_type": RECOUNT})
