"""What an evaluation came to: its scores added up, and its result as the API tells it."""

from collections.abc import AsyncIterator
from typing import Any

from django.db.models import Avg, Count, Q, Sum
from pydantic_core import from_json, to_json

from apps.core import db
from apps.core.errors import BadRequest
from apps.evals import functions, spread
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.running import spending
from apps.evals.running.spending import Tally
from apps.jobs.models import Status

Json = dict[str, Any]
CHUNK = 1_000  # rows held at a time
KINDS = 1_000  # different score rows of which one stands for all that are the same


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
    for text, spent in evaluation.rows.order_by("position").values_list("scores", "judged").iterator(2_000):
        told = from_json(text)
        if spent:
            spending.add(judged, from_json(spent))
        for name, rows in scores.items():
            row = light(told.get(name) or {"score": None})
            key = repr(row)
            rows.append(kinds.setdefault(key, row) if len(kinds) < KINDS else kinds.get(key, row))
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
    """Yield the API's EvaluateResponse as JSON, rows in order, a thousand at a time."""
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
    start = 0
    while rows := await db.read(_chunk, evaluation.pk, column, start):
        texts = [text if not function else _score(text, function) for _, text in rows]
        yield (", " if start else "").encode() + ",".join(texts).encode()
        start = rows[-1][0] + 1


def _chunk(evaluation_pk: int, column: str, start: int) -> list[tuple[int, str]]:
    rows = EvaluatedRow.objects.filter(evaluation=evaluation_pk, position__gte=start).order_by("position")
    return list(rows.values_list("position", column)[:CHUNK])


def _score(text: str, function: str) -> str:
    return to_json(from_json(text).get(function) or {"score": None}).decode()
