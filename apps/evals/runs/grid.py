"""The rows of an evaluation a page at a time, as the table shows them, and the ways from page to page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Subquery
from django.http import QueryDict
from pydantic_core import from_json

from apps.core.errors import BadRequest
from apps.core.fields import json_value
from apps.core.numbers import whole
from apps.datasets.grid import text_of
from apps.evals import spread
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.running import asked
from apps.evals.runs import low_scores
from apps.evals.runs.row_filter import BEST, ORDERS, Filter, Place

Json = dict[str, Any]
SIZE = 50
CELL = 240
FITTING = 4  # functions whose columns fit beside the texts


@dataclass(frozen=True, slots=True)
class Cell:
    """What one function made of a row."""

    name: str
    score: Any
    error: str = ""
    limit: float | None = None  # a score below it fails; None where nothing is said of that

    @property
    def fails(self) -> bool:
        """Whether there is a score and it is a low one; a row without one says why."""
        return self.limit is not None and low_scores.is_low(self.score, self.limit)


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a function's column: where a click leads, and how the rows are put in order by it."""

    name: str
    link: str = ""
    sorted: str = ""


@dataclass(frozen=True)
class Shown:
    """A row as the table shows it."""

    position: int
    question: str
    expected: str
    generated: str
    cells: list[Cell]
    human: float | None
    error: str
    is_cut: bool
    duration_ms: int | None
    tokens: int | None
    trace_id: str

    @property
    def number(self) -> int:
        """The row's number as people count."""
        return self.position + 1


@dataclass(frozen=True)
class RowPage:
    """Rows of one page, with the ways to its neighbours."""

    rows: list[Shown]
    meant: Filter
    functions: list[Head]
    earlier: str = ""
    later: str = ""
    query: str = ""
    orders: Sequence[tuple[str, str, str]] = ()
    failing: str = ""

    @property
    def is_wide(self) -> bool:
        """Whether there are so many functions that their columns do not fit beside the texts."""
        return len(self.functions) > FITTING


def page_of(evaluation: Evaluation, query: QueryDict) -> RowPage:
    """Return the page that ``?after=`` or ``?before=`` names, of the rows the rest of the address means."""
    meant = Filter.of(query)
    after, before = _place(query.get("after")), _place(query.get("before"))
    if before is not None:
        some = list(meant.beyond(evaluation, before, forward=False)[: SIZE + 1])
        found, more = some[:SIZE][::-1], len(some) > SIZE
        return _page(evaluation, found, query, meant, earlier=more, later=bool(found))
    some = list(meant.beyond(evaluation, after, forward=True)[: SIZE + 1])
    return _page(evaluation, some[:SIZE], query, meant, earlier=after is not None, later=len(some) > SIZE)


def meant_count(evaluation: Evaluation, page: RowPage) -> int:
    """Return how many rows the filter of a page means; 0 where there is none. Those of a single page are counted."""
    if not page.meant.is_set:
        return 0
    return page.meant.rows(evaluation).count() if page.earlier or page.later else len(page.rows)


def _page(
    evaluation: Evaluation, found: list[EvaluatedRow], query: QueryDict, meant: Filter, *, earlier: bool, later: bool
) -> RowPage:
    names, limits = list(evaluation.scoring), meant.limits(evaluation)

    def at(row: EvaluatedRow) -> str:
        return ",".join(map(repr, meant.place_of(evaluation, row)))

    return RowPage(
        [shown(row, limits) for row in found],
        meant,
        [_head(evaluation, name, query, meant) for name in names],
        earlier=changed(query, before=at(found[0])) if earlier and found else "",
        later=changed(query, after=at(found[-1])) if later else "",
        query=kept(query),
        orders=[(key, label, changed(query, by=key)) for key, label in ORDERS.items()],
        failing="" if meant.failing else changed(query, failing="1"),
    )


def _head(evaluation: Evaluation, name: str, query: QueryDict, meant: Filter) -> Head:
    """Return the head of a function's column; a click puts its low scores first, one more its high ones."""
    if name not in low_scores.numeric(evaluation):
        return Head(name)
    is_sorted = meant.scorer == name and meant.order in ("failures", BEST)
    turned = BEST if is_sorted and meant.order == "failures" else "failures"
    way = {"failures": "ascending", BEST: "descending"}[meant.order] if is_sorted else ""
    below = query.get("below", "") if meant.scorer == name else ""  # it was said of another function
    return Head(name, changed(query, by=turned, scorer=name, below=below), way)


def shown(row: EvaluatedRow, limits: Mapping[str, float]) -> Shown:
    """Return a row as a table shows it, its texts cut, with the scores of these functions."""
    value, generation, scores = json_value(row.row), from_json(row.generation), from_json(row.scores)
    told = [row.input_tokens, row.output_tokens]
    return Shown(
        row.position,
        asked.question_of(value)[:CELL],
        words_of(asked.expected_of(value))[:CELL],
        words_of(generation.get("generated_answer"))[:CELL],
        [cell(name, scores.get(name), limit) for name, limit in limits.items()],
        row.human,
        row.error,
        row.is_cut,
        row.duration_ms,
        None if told == [None, None] else sum(count or 0 for count in told),
        row.trace_id,
    )


def cell(name: str, score_row: Json | None, limit: float | None = None) -> Cell:
    """Return what a function made of a row, from its score row."""
    told = score_row or {}
    return Cell(name, told.get("score"), spread.why_not(told), limit)


def words_of(value: Any) -> str:
    """Return a value as a person reads it; nothing for none."""
    return "" if value is None else text_of(value)


def neighbours(evaluation: Evaluation, row: EvaluatedRow, query: QueryDict) -> tuple[int | None, int | None]:
    """Return the numbers of the rows before and after a row, of those the page shows and in its order."""
    meant = Filter.of(query)
    place = meant.place_of(evaluation, row)
    before, after = (
        Subquery(meant.beyond(evaluation, place, forward=forward).values("position")[:1]) for forward in (False, True)
    )
    numbers: tuple[int | None, int | None] = (
        EvaluatedRow.objects.filter(pk=row.pk).values_list(before + 1, after + 1).get()
    )
    return numbers


def talk(value: Json, system: str = "") -> list[dict[str, str]]:
    """Return what a row asks as a chat shows it, after what is told before each; empty for a row that asks nothing."""
    try:
        messages = asked.messages_of(value)
    except BadRequest:
        return []
    told = [{"role": "system", "text": system}] if system else []
    return told + [{"role": one["role"], "text": text_of(one["content"])} for one in messages]


def kept(query: QueryDict) -> str:
    """Return the part of an address that stays the same from row to row, empty for none."""
    same = query.copy()
    same.pop("tab", None)
    return "?" + same.urlencode() if same else ""


def _place(text: str | None) -> Place | None:
    *ranks, position = (text or "").split(",")
    at = whole(position)
    try:
        found = [float(rank) for rank in ranks]
    except ValueError:
        return None
    return (*found, at) if at is not None and all(map(math.isfinite, found)) else None


def changed(query: QueryDict, **changes: str) -> str:
    """Return the address with these parts changed, at its first page; an empty part is left out."""
    new = query.copy()
    for name in ("after", "before", "tab"):
        new.pop(name, None)
    for name, value in changes.items():
        new.pop(name, None)
        if value:
            new[name] = value
    return "?" + new.urlencode()
