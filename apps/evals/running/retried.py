"""An evaluation that goes on from ended ones: begun, given the rows that are done, told which answers it has already.

What ended never changes, so rows that are answered and scored by all functions are copied. There may be a million: a
few thousand are copied in a transaction, so that nobody waits for long, the worker keeps its lease and a cancel is
heard. Rows that were answered but lack a score come with their answer when it is their turn, to be scored anew.
"""

from collections.abc import Iterable, Sequence

from django.db import connection
from django.db.models import Count, F, Max
from django.utils.timezone import now
from pydantic_core import from_json

from apps.core import db
from apps.core.errors import NotFound
from apps.evals import human
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.running.candidates import Answer
from apps.evals.running.evaluating import Row
from apps.evals.spread import UNSCORED
from apps.jobs.handle import Handle
from apps.jobs.models import Job

PART = 5_000  # rows copied in a transaction


def begin(job: Job) -> Evaluation:
    """Return the evaluation of a job that tries an ended one again, at the prices of that one; called inside a write.

    It has the first rows that were done, for a start: as many as a request may copy. Raises NotFound when the ended
    one was deleted meanwhile.
    """
    evaluation = Evaluation.objects.filter(job=job.retry_of).first()
    if evaluation is None:
        raise NotFound("The evaluation this one goes on from was deleted; start a new one.")
    evaluation.pk = None
    evaluation.job, evaluation.created_by_id, evaluation.created_at = job, job.created_by_id, now()
    evaluation.row_count = evaluation.failed_count = 0
    evaluation.save(force_insert=True)
    if source := _source(before(evaluation)):
        _take_part(source, evaluation.pk)
        evaluation.refresh_from_db(fields=["row_count"])
    return evaluation


def before(evaluation: Evaluation) -> list[int]:
    """Return the keys of the runs it goes on from, the last one first."""
    runs, job = list[int](), evaluation.job
    while job.retry_of is not None:
        job = job.retry_of
        runs += Evaluation.objects.filter(job=job).values_list("pk", flat=True)
    return runs


async def take_over(evaluation: Evaluation, runs: Sequence[int], handle: Handle) -> None:
    """Copy the rows that are done in the runs it goes on from, and that it does not have yet.

    Raises Cancelled when the job is to stop or another worker has it.
    """
    source = await db.read(_source, runs)
    while source is not None and await db.write(_take_part, source, evaluation.pk, handle):
        pass


def answered(runs: Sequence[int], positions: Iterable[int]) -> dict[int, Row]:
    """Return by their places the rows that these runs have an answer to, each with the newest one."""
    rows = EvaluatedRow.objects.filter(evaluation__in=runs, position__in=positions, error="").order_by("evaluation_id")
    return {row.position: _with_answer(row) for row in rows}


def _with_answer(row: EvaluatedRow) -> Row:
    answer = Answer(from_json(row.generation), row.input_tokens, row.output_tokens, row.duration_ms or 0, row.is_cut)
    return Row(row.position, row.row, answer, row.evaluation_id)


def _source(runs: Sequence[int]) -> int | None:
    """Return the key of the run rows are copied from: of those it goes on from, the one in which most are done.

    That is the last of them, unless it was stopped while it still took rows over itself.
    """
    rows = EvaluatedRow.objects.filter(evaluation__in=runs, worst__gt=UNSCORED).order_by()
    done = dict(rows.values_list("evaluation").annotate(Count("pk")))
    return max(runs, key=lambda run: done.get(run, 0), default=None)


def _take_part(source: int, after: int, handle: Handle | None = None) -> bool:
    """Copy the next rows that are done with what people gave them; return whether there may be more."""
    if handle is not None:
        handle.keep(handle.checkpoint or {})
    last = EvaluatedRow.objects.filter(evaluation=after).aggregate(last=Max("position"))["last"]
    start = 0 if last is None else last + 1  # rows are asked only once all are copied, so none is missing below
    table = EvaluatedRow._meta.db_table
    kept = ", ".join(str(field.column) for field in EvaluatedRow._meta.fields if field.name not in ("id", "evaluation"))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (evaluation_id, {kept}) SELECT %s, {kept} FROM {table} "
            "WHERE evaluation_id = %s AND position >= %s AND worst > %s ORDER BY position LIMIT %s",
            [after, source, start, UNSCORED, PART],
        )
        copied: int = cursor.rowcount
    human.copy(source, after, EvaluatedRow.objects.filter(evaluation=after, position__gte=start))
    Evaluation.objects.filter(pk=after).update(row_count=F("row_count") + copied)
    return copied == PART
