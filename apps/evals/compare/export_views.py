"""The compared rows of runs as a file: each row with every run's answer and scores."""

from collections.abc import Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_GET
from pydantic_core import from_json

from apps.accounts.pages import requires
from apps.core.csv_lines import csv_lines
from apps.core.fields import json_value
from apps.core.files import as_file
from apps.evals.compare import address, flips
from apps.evals.compare.comparing import Comparison
from apps.evals.compare.views import comparisons
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.running import asked as row_asked
from apps.evals.runs import grid

CHUNK = 500


@require_GET
@requires("viewer")
def compare_export(request: HttpRequest) -> HttpResponseBase:
    """Send a line for each row that the base shares with a run, as CSV."""
    asked = address.of(request.GET)
    if not asked.base or not asked.others:
        raise Http404("Name the runs: ?base=<job>&with=<job>")
    all_ = comparisons(address.runs(asked.names))
    numbers = "-".join(str(run.pk) for run in _runs(all_))
    return as_file(_parts(all_), f"runs-{numbers}.csv", "text/csv; charset=utf-8")


def _runs(all_: list[Comparison]) -> list[Evaluation]:
    return [all_[0].base, *(one.other for one in all_)]


def _parts(all_: list[Comparison]) -> Iterator[bytes]:
    base, *others = _runs(all_)
    yield csv_lines([_head(all_)])
    # Of a row of the base: where it stands in each of the others, and what each function says of it.
    places = [dict(one.pairs) for one in all_]
    kinds = [_kinds(one) for one in all_]
    wanted = sorted(set().union(*places))
    for at in range(0, len(wanted), CHUNK):
        some = wanted[at : at + CHUNK]
        before = flips.rows_at(base, some)
        after = [
            flips.rows_at(run, [place[one] for one in some if one in place])
            for run, place in zip(others, places, strict=True)
        ]
        lines = []
        for one in some:
            found = [rows.get(place.get(one, -1)) for rows, place in zip(after, places, strict=True)]
            lines.append(_line(before[one], found, all_, [told.get(one, []) for told in kinds]))
        yield csv_lines(lines)


def _head(all_: list[Comparison]) -> list[str]:
    base = all_[0].base
    head = ["row", "input", "expected", f"run {base.pk}: {base.candidate}"]
    head += [f"run {base.pk}: {name}" for name in base.scoring]
    for one in all_:
        run = one.other
        head.append(f"run {run.pk}: {run.candidate}")
        for told in one.outcomes:
            if told.is_shared:
                head += [f"run {run.pk}: {told.name}", f"run {run.pk}: {told.name}, change"]
    return head


def _kinds(one: Comparison) -> dict[int, list[str]]:
    """Return for each row of the base what the shared functions say of it, in their order."""
    shared = [told.kinds for told in one.outcomes if told.is_shared]
    return {base: [kinds[at] for kinds in shared] for at, (base, _) in enumerate(one.pairs)}


def _line(
    base: EvaluatedRow, others: list[EvaluatedRow | None], all_: list[Comparison], kinds: list[list[str]]
) -> list[Any]:
    value, scores = json_value(base.row), from_json(base.scores)
    line = [base.position + 1, row_asked.question_of(value), grid.words_of(row_asked.expected_of(value))]
    line += [flips.answer(base), *((scores.get(name) or {}).get("score") for name in all_[0].base.scoring)]
    for one, row, words in zip(all_, others, kinds, strict=True):
        shared = [told.name for told in one.outcomes if told.is_shared]
        if row is None:
            line += [""] * (1 + 2 * len(shared))
            continue
        told = from_json(row.scores)
        line.append(flips.answer(row))
        for name, word in zip(shared, words, strict=True):
            line += [(told.get(name) or {}).get("score"), word]
    return line
