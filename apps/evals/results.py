"""What an evaluation came to: its scores added up, and its result as the API tells it."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from django.db.models import Avg, Count, Q, QuerySet, Sum
from pydantic_core import from_json, to_json

from apps.core import db
from apps.core.errors import BadRequest
from apps.evals import functions, spread
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.running import spending
from apps.evals.running.spending import Tally
from apps.jobs.models import Status

Json = dict[str, Any]
FIRST, MOST = 4, 1_000  # rows held at a time: as many as it begins with, and at most
CHARS = 4_000_000  # of their texts
KINDS, LONGEST_KIND = 1_000, 1_000  # different score rows of which one stands for all that are the same


def parts(rows: QuerySet[EvaluatedRow], *columns: str) -> Iterator[list[tuple[Any, ...]]]:
    """Yield positions and columns of rows in their order, some at a time, however long the texts are."""
    after, count = -1, FIRST
    while some := list(rows.filter(position__gt=after).order_by("position").values_list("position", *columns)[:count]):
        yield some
        after, count = some[-1][0], fitting(some)


def fitting(some: Sequence[Iterable[Any]]) -> int:
    """Return how many rows to read after these ones: as many as fit if they are as long, twice as many at most."""
    size = sum(len(value) for row in some for value in row if isinstance(value, str))
    return max(1, min(MOST, len(some) * 2, CHARS * len(some) // max(1, size)))


def sums(evaluation_pk: int) -> Json:
    """Return what the rows that are done come to: their number, failures, tokens, judges and aggregated scores."""
    evaluation = Evaluation.objects.get(pk=evaluation_pk)
    answered = Q(error="")
    counts = evaluation.rows.aggregate(
        row_count=Count("pk"),
        failed_count=Count("pk", filter=~answered),
        mean_ms=Avg("duration_ms", filter=answered),
        cut=Count("pk", filter=Q(is_cut=True)),
        uncounted=Count("pk", filter=answered & (Q(input_tokens=None) | Q(output_tokens=None))),
        input_tokens=Sum("input_tokens"),  # the sums come last: they take the names of the columns
        output_tokens=Sum("output_tokens"),
    )
    told = {"rows": counts["row_count"]} | {name: counts.pop(name) for name in ("mean_ms", "cut", "uncounted")}
    scores, judged = _scores(evaluation)
    return {
        **counts,
        "judged": judged,
        "aggregated": functions.aggregated(evaluation.scoring, scores),
        "spread": {**told, "functions": {name: spread.of(rows) for name, rows in scores.items()}},
    }


def _scores(evaluation: Evaluation) -> tuple[dict[str, list[Json]], Tally]:
    """Return the score rows of each function as adding up needs them, and what the models that scored took.

    Most functions give the same few scores again and again: such rows are held once.
    """
    scores: dict[str, list[Json]] = {name: [] for name in evaluation.scoring}
    judged: Tally = {}
    kinds: dict[str, Json] = {}
    for _, text, spent in chain.from_iterable(parts(evaluation.rows.all(), "scores", "judged")):
        told = from_json(text)
        if spent:
            spending.add(judged, from_json(spent))
        for name, rows in scores.items():
            row = light(told.get(name) or {"score": None})
            key = repr(row)
            is_kept = len(kinds) < KINDS and len(key) < LONGEST_KIND
            rows.append(kinds.setdefault(key, row) if is_kept else kinds.get(key, row))
    return scores, judged


def bring_up(evaluation: Evaluation) -> None:
    """Add the scores up once more for a run that was stopped: its last rows came after the last sums."""
    if evaluation.job.is_active or evaluation.spread.get("rows", 0) == evaluation.row_count:
        return
    told = sums(evaluation.pk)
    Evaluation.objects.filter(pk=evaluation.pk).update(**told)
    for name, value in told.items():
        setattr(evaluation, name, value)


def light(score_row: Json) -> Json:
    """Return of a score row what adding up needs; a judge's words are long."""
    told: Json = {name: score_row[name] for name in ("score", "weight") if name in score_row}
    why = spread.why_not(score_row)
    return told | {"error": why[: spread.LONGEST_WHY]} if why else told


def first_error(evaluation_pk: int) -> str:
    """Return why the first row that failed did, empty when none failed."""
    rows = EvaluatedRow.objects.filter(evaluation=evaluation_pk).exclude(error="")
    return rows.order_by("position").values_list("error", flat=True).first() or ""


def check_completed(evaluation: Evaluation) -> None:
    """Raise BadRequest, naming its status, for an evaluation that has no whole result."""
    job = evaluation.job
    if job.status == Status.FAILED:
        raise BadRequest(f"Job '{job.job_id}' failed: {job.error}")
    if job.status != Status.COMPLETED:
        status = job.get_status_display().lower()
        raise BadRequest(f"Job '{job.job_id}' is {status}; its result is there once it is completed.")


async def told(evaluation: Evaluation) -> AsyncIterator[bytes]:
    """Yield the API's EvaluateResponse as JSON, rows in order, some at a time."""
    yield b'{"generations":['
    async for texts in _columns(evaluation, "generation"):
        yield texts
    yield b'],"scores":{'
    for number, name in enumerate(evaluation.scoring):
        yield (b"," if number else b"") + to_json(name) + b':{"score_rows":['
        async for texts in _columns(evaluation, "scores", name):
            yield texts
        yield b'],"aggregated_results":' + to_json(evaluation.aggregated.get(name) or {}) + b"}"
    yield b"}}"


async def _columns(evaluation: Evaluation, column: str, function: str = "") -> AsyncIterator[bytes]:
    """Yield a column of the rows as the inside of a JSON list: of the scores, those of one function."""
    some, joint = parts(EvaluatedRow.objects.filter(evaluation=evaluation.pk), column), b""
    while rows := await db.read(next, some, None):
        texts = [text if not function else _score(text, function) for _, text in rows]
        yield joint + ",".join(texts).encode()
        joint = b", "


def _score(text: str, function: str) -> str:
    return to_json(from_json(text).get(function) or {"score": None}).decode()
