"""What a job's function is given: its arguments, and the ways to tell how far it is."""

import time
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils.timezone import now
from pydantic_core import from_json, to_json

from apps.core import db, live
from apps.jobs.models import Job, JobLine
from apps.jobs.speed import Speed

EVERY_S = 0.5
LINES_KEPT = 1_000
LINES_BATCH = 200
LINE_CHARS = 2_000
CANCELLED, LOST, GIVEN_BACK = "cancelled", "lost", "given back"


class Cancelled(Exception):
    """The job is to stop: somebody cancelled it, its worker stops, or another worker has it now."""


class Handle:
    """A job while it runs. Every method may be called from a thread or an event loop and none of them waits, but
    ``keep``, which writes at once and belongs into a transaction: in a thread, or in a unit given to ``db.write``.
    """

    def __init__(self, job: Job, tell: Callable[..., None] = live.tell) -> None:
        self.job_id = job.job_id
        self.arguments: dict[str, Any] = job.arguments
        self.checkpoint: Any = job.checkpoint
        self.attempt = job.attempt
        self.lease = job.lease_owner
        self.stop_reason = ""
        self._row, self._topic, self._tell = job.pk, job.topic, tell
        self._progress: dict[str, Any] = {}
        self._unsent = False
        self._sent_at = -EVERY_S
        self._speed = Speed()
        self._lines = 0

    def check(self) -> None:
        """Raise Cancelled when the job is to stop; call it every second or so."""
        if self.stop_reason:
            raise Cancelled(self.stop_reason)

    def progress(
        self, done: float, total: float | None = None, unit: str = "", note: str = "", is_waiting: bool = False
    ) -> None:
        """Tell how much is done; pages hear of it at most twice a second, and of the last value always.

        While it waits for somebody else, as ``note`` says, nobody knows how fast it is.
        """
        if is_waiting:
            self._speed.forget()
        speed = {} if is_waiting else self._speed.told(done, total)
        self._progress = {"done": done, "total": total, "unit": unit, "note": note, **speed}
        self._unsent = True
        if time.monotonic() - self._sent_at >= EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Send the newest progress that was held back."""
        if not self._unsent:
            return
        self._unsent, self._sent_at = False, time.monotonic()
        progress = plain(self._progress)
        written = db.write_soon(Job.objects.held(self.lease).update, progress=progress)
        event = {"event_type": "job_progress", **progress}
        written.add_done_callback(lambda done: done.exception() or self._tell(self._topic, event))

    def keep(self, checkpoint: dict[str, Any]) -> None:
        """Store from where another attempt goes on, in the transaction of the rows that it speaks of.

        Another place than before is progress: attempts are counted anew from here.

        Raises Cancelled, which undoes the transaction, when the job is to stop or another worker has it.
        """
        self.check()
        changes: dict[str, Any] = {"checkpoint": plain(checkpoint)}
        if changes["checkpoint"] != plain(self.checkpoint):
            changes["idle_attempts"] = 1
        with transaction.atomic():
            if not Job.objects.held(self.lease).update(**changes):
                self.stop_reason = LOST
                raise Cancelled(LOST)
        self.checkpoint = checkpoint

    def log(self, text: str, level: str = "info") -> None:
        """Write a line into the job's log; level is info, warning or error."""
        line = JobLine(job_id=self._row, at=now(), level=level, text=text.replace("\0", "")[:LINE_CHARS])
        self._lines += 1
        written = db.write_soon(_store, line, self._lines % LINES_BATCH == 0)

        def told(done: Any) -> None:
            if not done.exception():
                event = {"event_type": "job_line", "id": line.pk, "at": line.at.isoformat(), "level": level}
                self._tell(self._topic, event | {"text": line.text})

        written.add_done_callback(told)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: what is no number becomes null, what is unknown its text."""
    return from_json(to_json(value, inf_nan_mode="null", fallback=str))


def _store(line: JobLine, tidy: bool) -> None:
    line.save(force_insert=True)
    if tidy:
        lines = JobLine.objects.filter(job_id=line.job_id).order_by("-pk")
        oldest = lines.values_list("pk", flat=True)[LINES_KEPT : LINES_KEPT + 1].first()
        if oldest is not None:
            JobLine.objects.filter(job_id=line.job_id, pk__lte=oldest).delete()
