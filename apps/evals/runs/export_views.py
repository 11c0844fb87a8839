"""The rows of an evaluation as a file, and the page's answer with it."""

import re
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_GET
from pydantic_core import from_json

from apps.accounts.pages import requires
from apps.core.csv_lines import csv_lines
from apps.core.fields import json_text, json_value
from apps.core.files import as_file
from apps.evals import costs, lookup, results
from apps.evals.models import EvaluatedRow, Evaluation, HumanScore
from apps.evals.running import asked
from apps.evals.runs import grid
from apps.evals.runs.row_filter import Filter

KINDS = {"csv": ("text/csv; charset=utf-8", "CSV"), "jsonl": ("application/x-ndjson", "JSON Lines")}
TEXTS = attrgetter("row", "generation", "scores")
REST = ("error", "is_cut", "duration_ms", "input_tokens", "output_tokens", "trace_id")
HUMAN = ("human_score", "human_notes")
SPENT = ("judge_input_tokens", "judge_output_tokens", "cost", "currency")
Json = dict[str, Any]
Row = tuple[EvaluatedRow, list[HumanScore]]


@require_GET
@requires("viewer")
def evaluation_export(request: HttpRequest, job_id: str, kind: str) -> HttpResponseBase:
    """Send the rows that are scored as a file: those that the address means, with what people gave them."""
    evaluation = lookup.evaluation_or_404(job_id)
    if kind not in KINDS:
        raise Http404(f"Nothing is exported as '{kind}'")
    meant = Filter.of(request.GET)
    parts = _parts(kind, evaluation, meant.rows(evaluation))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", evaluation.benchmark_id)[:80].strip("-.") or "evaluation"
    part = "-filtered" if meant.is_set else ""
    return as_file(parts, f"{name}-run-{evaluation.pk}{part}.{kind}", KINDS[kind][0])


def _all(evaluation: Evaluation, rows: QuerySet[EvaluatedRow]) -> Iterator[list[Row]]:
    """Yield rows in their order, each with what people gave it, some at a time."""
    after, count = -1, results.FIRST
    while some := list(rows.filter(position__gt=after).order_by("position")[:count]):
        given: dict[int, list[HumanScore]] = {}
        places = {"position__gt": after, "position__lte": some[-1].position}
        for one in evaluation.human_scores.filter(**places).select_related("given_by").order_by("position", "id"):
            given.setdefault(one.position, []).append(one)
        yield [(row, given.get(row.position, [])) for row in some]
        after, count = some[-1].position, results.fitting([TEXTS(row) for row in some])


def _parts(kind: str, evaluation: Evaluation, rows: QuerySet[EvaluatedRow]) -> Iterator[bytes]:
    names = list(evaluation.scoring)
    if kind == "csv":
        columns = _columns(rows)
        own = [f"input.{name}" for name in columns]
        yield csv_lines([["row", "input", "expected", "generated", *names, *HUMAN, *own, *REST, *SPENT]])
        for some in _all(evaluation, rows):
            yield csv_lines([_cells(evaluation, row, given, names, columns) for row, given in some])
        return
    for some in _all(evaluation, rows):
        yield "".join(f"{json_text(_object(evaluation, row, given))}\n" for row, given in some).encode()


def _columns(rows: QuerySet[EvaluatedRow]) -> list[str]:
    """Return the columns of the dataset's rows in the order they are first met."""
    texts = (text for some in results.parts(rows, "row") for _, text in some)
    return list(dict.fromkeys(name for text in texts for name in json_value(text)))


def _object(evaluation: Evaluation, row: EvaluatedRow, given: list[HumanScore]) -> Json:
    told = {
        "row": row.position + 1,
        "input": json_value(row.row),
        "generation": from_json(row.generation),
        "scores": from_json(row.scores),
    }
    if given:
        told["human"] = {"score": row.human, "given": [_given(one) for one in given]}
    rest = {name: getattr(row, name) for name in REST} | dict(zip(SPENT, _spent(evaluation, row), strict=True))
    return told | {name: value for name, value in rest.items() if value not in (None, "")}


def _given(one: HumanScore) -> Json:
    told = {"score": one.score, "note": one.note, "by": str(one.given_by or ""), "at": one.given_at.isoformat()}
    return {name: value for name, value in told.items() if value != ""}


def _spent(evaluation: Evaluation, row: EvaluatedRow) -> list[Any]:
    """Return what the models that scored took, and the cost of the row; all of it None where there is none."""
    told = costs.of_row(evaluation, row)
    judges = [told.input_tokens, told.output_tokens] if told.calls else [None, None]
    return judges + ([f"{told.cost.amount:f}", told.cost.currency] if told.cost else [None, None])


def _cells(
    evaluation: Evaluation, row: EvaluatedRow, given: list[HumanScore], names: list[str], columns: list[str]
) -> list[Any]:
    value, generation, scores = json_value(row.row), from_json(row.generation), from_json(row.scores)
    return [
        row.position + 1,
        asked.question_of(value),
        grid.words_of(asked.expected_of(value)),
        grid.words_of(generation.get("generated_answer")),
        *((scores.get(name) or {}).get("score") for name in names),
        row.human,
        "\n".join(one.note for one in given if one.note),
        *(grid.words_of(value.get(name)) for name in columns),
        *(getattr(row, name) for name in REST),
        *_spent(evaluation, row),
    ]
