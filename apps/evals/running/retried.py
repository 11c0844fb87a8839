"""An evaluation that goes on from an ended one: begun, and given the rows of that one that were answered.

What ended never changes, so its rows are copied. There may be a million: a few thousand are copied in a transaction,
so that nobody waits for long, the worker keeps its lease and a cancel is heard.
"""

from django.db import connection
from django.db.models import F, Max
from django.utils.timezone import now

from apps.core import db
from apps.core.errors import NotFound
from apps.evals import human
from apps.evals.models import EvaluatedRow, Evaluation
from apps.jobs.handle import Handle
from apps.jobs.models import Job

PART = 5_000  # rows copied in a transaction


def begin(job: Job) -> Evaluation:
    """Return the evaluation of a job that tries an ended one again, at the prices of that one; called inside a write.

    It has the first rows that were answered, for a start: as many as a request may copy. Raises NotFound when the
    ended one was deleted meanwhile.
    """
    evaluation = Evaluation.objects.filter(job=job.retry_of).first()
    if evaluation is None:
        raise NotFound("The evaluation this one goes on from was deleted; start a new one.")
    evaluation.pk = None
    evaluation.job, evaluation.created_at, evaluation.row_count, evaluation.failed_count = job, now(), 0, 0
    evaluation.save(force_insert=True)
    if source := _source(evaluation):
        _take_part(source, evaluation.pk)
        evaluation.refresh_from_db(fields=["row_count"])
    return evaluation


async def take_over(evaluation: Evaluation, handle: Handle) -> None:
    """Copy the answered rows it does not have yet.

    Raises Cancelled when the job is to stop or another worker has it.
    """
    source = await db.read(_source, evaluation)
    while source is not None and await db.write(_take_part, source, evaluation.pk, handle):
        pass


def _source(evaluation: Evaluation) -> int | None:
    """Return the key of the run rows are taken from: of those it goes on from, the one with the most answers.

    That is the last of them, unless it was stopped while it still took rows over itself.
    """
    before, job = list[Evaluation](), evaluation.job
    while job.retry_of is not None:
        job = job.retry_of
        before += Evaluation.objects.filter(job=job)
    best = max(before, key=lambda run: run.row_count - run.failed_count, default=None)
    return best.pk if best else None


def _take_part(before: int, after: int, handle: Handle | None = None) -> bool:
    """Copy the next answered rows with what people gave them; return whether there may be more."""
    if handle is not None:
        handle.keep(handle.checkpoint or {})
    last = EvaluatedRow.objects.filter(evaluation=after).aggregate(last=Max("position"))["last"]
    start = 0 if last is None else last + 1  # rows are asked only once all are copied, so none is missing below
    table = EvaluatedRow._meta.db_table
    kept = ", ".join(str(field.column) for field in EvaluatedRow._meta.fields if field.name not in ("id", "evaluation"))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (evaluation_id, {kept}) SELECT %s, {kept} FROM {table} "
            "WHERE evaluation_id = %s AND position >= %s AND error = '' ORDER BY position LIMIT %s",
            [after, before, start, PART],
        )
        copied: int = cursor.rowcount
    human.copy(before, after, start)
    Evaluation.objects.filter(pk=after).update(row_count=F("row_count") + copied)
    return copied == PART
