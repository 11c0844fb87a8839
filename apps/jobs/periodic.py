"""Work that is due every so often (``settings.PERIODIC``): whichever worker looks first asks for its next job."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.module_loading import import_string
from django.utils.timezone import now

from apps.core import db
from apps.core.errors import ConsoleError
from apps.jobs import runner
from apps.jobs.models import ACTIVE, UPKEEP, Job, Periodic

log = logging.getLogger(__name__)
LOOK_S = 20.0
KEPT = 5  # ended jobs of each work that stay to be looked at


async def look() -> None:
    """Ask for the jobs that are due; cheap while none is."""
    if not settings.PERIODIC:
        return
    if await db.read(_is_anything_due):
        await db.write(ask_for_due)


def ask_for_due() -> list[Job]:
    """Enqueue what is due and return it. Of several workers that look at once, one does: the row is its word.

    Work that is new here is due when its time has passed once; work whose last job has not ended is not due, nor is
    work that says it has nothing to do.
    """
    known = set(Periodic.objects.values_list("work", flat=True))
    fresh = [Periodic(work=work, last_at=now()) for work in settings.PERIODIC if work not in known]
    Periodic.objects.bulk_create(fresh, ignore_conflicts=True)
    return [job for work in settings.PERIODIC if (job := _ask_for(work)) is not None]


def _is_anything_due() -> bool:
    last = dict(Periodic.objects.values_list("work", "last_at"))
    return any(
        work not in last or (last[work] <= _due(every_s) and _has_to_do(*needed))
        for work, (_, every_s, *needed) in settings.PERIODIC.items()
    )


def _has_to_do(needed: str = "") -> bool:
    """Return whether work that names what tells so has anything to do; other work always has."""
    return not needed or import_string(needed)()


def _due(every_s: float) -> datetime:
    return now() - timedelta(seconds=every_s)


def _ask_for(work: str) -> Job | None:
    title, every_s, *needed = settings.PERIODIC[work]
    unended = Job.objects.filter(work=OuterRef("work"), status__in=ACTIVE)
    due = Periodic.objects.filter(~Exists(unended), work=work, last_at__lte=_due(every_s))
    try:
        with transaction.atomic():
            if not _has_to_do(*needed) or not due.update(last_at=now()):
                return None
            _forget_old(work)
            return runner.enqueue(work, {}, kind=UPKEEP, title=title, actor=None)
    except ConsoleError as error:  # the queue is full: next time
        log.warning("%s is due and could not be enqueued: %s", work, error.detail)
        return None


def _forget_old(work: str) -> None:
    ended = Job.objects.filter(work=work, kind=UPKEEP).order_by("-id")
    Job.objects.filter(pk__in=list(ended.values_list("pk", flat=True)[KEPT - 1 :])).delete()
