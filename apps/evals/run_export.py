"""The rows of an evaluation as a file, and the page's answer with it."""

import re
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_GET
from pydantic_core import from_json

from apps.accounts.pages import requires
from apps.core.csv_lines import csv_lines
from apps.core.fields import json_text
from apps.evals import asked, found, run_grid
from apps.evals.models import EvaluatedRow, Evaluation

KINDS = {"csv": ("text/csv; charset=utf-8", "CSV"), "jsonl": ("application/x-ndjson", "JSON Lines")}
CHUNK = 1_000
Json = dict[str, Any]


@require_GET
@requires("viewer")
def evaluation_export(request: HttpRequest, job_id: str, kind: str) -> HttpResponseBase:
    """Send the rows that are scored as a file, those with the words of the address if it has any."""
    evaluation = found.evaluation_or_404(job_id)
    if kind not in KINDS:
        raise Http404(f"Nothing is exported as '{kind}'")
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the response closes it
    rows = run_grid.matching(evaluation, request.GET.get("q", "").strip()[:500])
    for part in _parts(kind, evaluation, _all(rows)):
        file.write(part)
    file.seek(0)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", evaluation.benchmark_id)[:80].strip("-.") or "evaluation"
    return FileResponse(
        file, as_attachment=True, filename=f"{name}-run-{evaluation.pk}.{kind}", content_type=KINDS[kind][0]
    )


def _all(rows: Any) -> Iterator[list[EvaluatedRow]]:
    """Yield rows in their order, some at a time."""
    after = -1
    while some := list(rows.filter(position__gt=after).order_by("position")[:CHUNK]):
        yield some
        after = some[-1].position


def _parts(kind: str, evaluation: Evaluation, chunks: Iterator[list[EvaluatedRow]]) -> Iterator[bytes]:
    names = list(evaluation.scoring)
    if kind == "csv":
        rest = ("error", "duration_ms", "input_tokens", "output_tokens", "trace_id")
        yield csv_lines([["row", "input", "expected", "generated", *names, *rest]])
        for some in chunks:
            yield csv_lines([_cells(row, names) for row in some])
        return
    for some in chunks:
        yield "".join(f"{json_text(_object(row))}\n" for row in some).encode()


def _object(row: EvaluatedRow) -> Json:
    told = {
        "row": row.position + 1,
        "input": from_json(row.row),
        "generation": from_json(row.generation),
        "scores": from_json(row.scores),
    }
    rest = ("error", "duration_ms", "input_tokens", "output_tokens", "trace_id")
    return told | {name: value for name in rest if (value := getattr(row, name)) not in (None, "")}


def _cells(row: EvaluatedRow, names: list[str]) -> list[Any]:
    value, generation, scores = from_json(row.row), from_json(row.generation), from_json(row.scores)
    return [
        row.position + 1,
        asked.question_of(value),
        run_grid.words_of(asked.expected_of(value)),
        run_grid.words_of(generation.get("generated_answer")),
        *((scores.get(name) or {}).get("score") for name in names),
        row.error, row.duration_ms, row.input_tokens, row.output_tokens, row.trace_id,
    ]  # fmt: skip
