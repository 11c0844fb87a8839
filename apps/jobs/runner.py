"""Asking for work, and taking it back: enqueue, cancel, retry. What a worker does with it is in ``worker``."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count
from django.utils.module_loading import import_string
from django.utils.timezone import now
from pydantic_core import to_jsonable_python

from apps.accounts.audit import note
from apps.accounts.principals import Principal
from apps.core.errors import ConsoleError, NotFound
from apps.jobs import delivery, live
from apps.jobs.models import QUEUES, Job, JobQuerySet, Status

AT_ONCE = 1_000  # jobs a bulk action touches at most
TOLD = 16  # deliveries a bulk action makes; a worker that is awake goes on until nothing waits


class QueueFull(ConsoleError):
    """So much waits that nothing more is taken."""

    status = 503


def enqueue(
    work: str,
    arguments: dict[str, Any],
    *,
    kind: str,
    title: str,
    about: tuple[str, str] = ("", ""),
    queue: str = "default",
    priority: int = 0,
    max_attempts: int = 3,
    isolated: bool = False,
    actor: Principal | None,
) -> Job:
    """Insert a job and deliver it once the caller's transaction is committed; return its row.

    ``work`` names a function of our code, ``def run(job: Handle)`` or ``async def run(job: Handle)``, whose answer
    becomes the result. ``isolated`` runs it in a child process that can be killed. An actor
    of None is the console itself, which leaves no line in the audit log. Raises QueueFull.
    """
    import_string(work)  # a name that leads nowhere fails here and not in a worker
    with transaction.atomic():
        _make_room(queue)
        job = Job.objects.create(
            work=work,
            arguments=to_jsonable_python(arguments),
            kind=kind,
            title=title[:200],
            about_kind=about[0],
            about_id=about[1],
            queue=queue,
            priority=priority,
            max_attempts=max_attempts,
            is_isolated=isolated,
            created_by_id=actor.user_id if actor else None,
        )
        if actor:
            note(actor, "enqueue", "job", job.job_id, title=job.title, job_kind=kind)
        _announce([job])
    return job


def named(job_id: str) -> Job:
    """Return the job; raises NotFound."""
    job = Job.objects.filter(job_id=job_id).first()
    if job is None:
        raise NotFound(f"Job '{job_id}' not found")
    return job


def waiting() -> dict[str, int]:
    """Return how many jobs wait in each queue that has any."""
    rows = Job.objects.filter(status=Status.SCHEDULED).order_by().values_list("queue")
    return dict(rows.annotate(Count("pk")))


def cancel(jobs: JobQuerySet, actor: Principal) -> int:
    """End those that wait and ask those that run to stop; return how many; ended ones stay as they are."""
    with transaction.atomic():
        ids = list(jobs.active().values_list("job_id", flat=True)[:AT_ONCE])
        these = Job.objects.filter(job_id__in=ids)
        queued = these.filter(status=Status.SCHEDULED).update(
            status=Status.CANCELLED, cancel_requested=True, completed_at=now()
        )
        running = these.filter(status=Status.IN_PROGRESS).update(cancel_requested=True)
        if queued + running:
            note(actor, "cancel", "job", ids[0] if len(ids) == 1 else "", jobs=ids)
            transaction.on_commit(lambda: live.changed(*ids))
    return queued + running


def retry(jobs: JobQuerySet, actor: Principal) -> list[Job]:
    """Make a new job of each that failed or was cancelled, going on from its checkpoint; return the new ones.

    A job that ended never changes: the new one refers to it.
    """
    with transaction.atomic():
        ended = jobs.filter(status__in=(Status.FAILED, Status.CANCELLED), retries=None).order_by("id")
        held = list(ended.select_for_update(of=("self",))[:AT_ONCE])  # whoever wants the same now waits
        again = set(Job.objects.filter(retry_of__in=held).values_list("retry_of", flat=True))  # who was quicker
        old = [job for job in held if job.pk not in again]
        for queue in {job.queue for job in old}:
            _make_room(queue, sum(job.queue == queue for job in old))
        made = Job.objects.bulk_create([_again(job, actor) for job in old])
        if made:
            told = [{"from": before.job_id, "to": after.job_id} for before, after in zip(old, made, strict=True)]
            note(actor, "retry", "job", old[0].job_id if len(old) == 1 else "", jobs=told)
            _announce(made)
    return made


def _again(job: Job, actor: Principal) -> Job:
    copied = ("work", "kind", "title", "about_kind", "about_id", "queue", "priority", "max_attempts", "is_isolated")
    kept = {name: getattr(job, name) for name in (*copied, "arguments", "checkpoint")}
    return Job(**kept, retry_of=job, created_by_id=actor.user_id)


def _make_room(queue: str, wanted: int = 1) -> None:
    limit = settings.JOB_QUEUE_LIMIT
    rows = Job.objects.filter(status=Status.SCHEDULED, queue=queue)
    if rows.order_by()[max(0, limit - wanted) :].exists():
        raise QueueFull(
            f"{limit:,} jobs already wait in the queue '{QUEUES[queue]}'. Try again when some are done, "
            "start more workers, or raise JOB_QUEUE_LIMIT."
        )


def _announce(jobs: list[Job]) -> None:
    for job in jobs[:TOLD]:
        delivery.deliver(job.queue, job.job_id)
    transaction.on_commit(lambda: live.changed(*(job.retry_of.job_id for job in jobs if job.retry_of)))
    transaction.on_commit(live.list_changed)
