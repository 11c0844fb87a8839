"""The rows of an evaluation a page at a time: in their order or the bad ones first, by words they hold."""

import json
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.http import QueryDict
from pydantic_core import from_json

from apps.core.errors import BadRequest
from apps.core.numbers import whole
from apps.datasets.grid import dumped, text_of
from apps.evals import asked
from apps.evals.models import EvaluatedRow, Evaluation

Json = dict[str, Any]
SIZE = 50
CELL = 240
ORDERS = {"": "All rows", "failures": "Failures first"}
Place = tuple[float, int]


@dataclass(frozen=True, slots=True)
class Cell:
    """What one function made of a row."""

    name: str
    score: Any
    error: str = ""


@dataclass(frozen=True)
class Shown:
    """A row as the table shows it."""

    position: int
    question: str
    expected: str
    generated: str
    cells: list[Cell]
    error: str
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
    order: str
    words: str
    earlier: str = ""
    later: str = ""
    query: str = ""

    @property
    def is_filtered(self) -> bool:
        """Whether words leave rows out."""
        return bool(self.words)


def page_of(evaluation: Evaluation, query: QueryDict) -> RowPage:
    """Return the page that ``?after=`` or ``?before=`` names: rows that hold ``?q=``, in the order of ``?by=``."""
    order, words = query.get("by", ""), query.get("q", "").strip()[:500]
    order = order if order in ORDERS else ""
    rows = matching(evaluation, words)
    after, before = _place(query.get("after")), _place(query.get("before"))
    if before is not None:
        some = list(_beyond(rows, before, order, forward=False)[: SIZE + 1])
        found, more = some[:SIZE][::-1], len(some) > SIZE
        return _page(evaluation, found, query, order, words, earlier=more, later=bool(found))
    some = list(_beyond(rows, after, order, forward=True)[: SIZE + 1])
    return _page(evaluation, some[:SIZE], query, order, words, earlier=after is not None, later=len(some) > SIZE)


def matching(evaluation: Evaluation, words: str) -> QuerySet[EvaluatedRow]:
    """Return the rows whose question, answer or error holds the words."""
    rows = EvaluatedRow.objects.filter(evaluation=evaluation.pk)
    if not words:
        return rows
    wanted = Q()
    # Text stands in the database as JSON has it, with or without its escapes.
    for form in {words, json.dumps(words, ensure_ascii=False)[1:-1], json.dumps(words)[1:-1]}:
        wanted |= Q(row__icontains=form) | Q(generation__icontains=form) | Q(error__icontains=form)
    return rows.filter(wanted)


def _beyond(rows: QuerySet[EvaluatedRow], place: Place | None, order: str, *, forward: bool) -> QuerySet[EvaluatedRow]:
    names = ("worst", "position") if order else ("position",)
    rows = rows.order_by(*(name if forward else f"-{name}" for name in names))
    if place is None:
        return rows
    worst, position = place
    over = "gt" if forward else "lt"
    beyond = Q(**{f"position__{over}": position})
    if order:
        beyond = Q(**{f"worst__{over}": worst}) | (Q(worst=worst) & beyond)
    return rows.filter(beyond)


def _page(
    evaluation: Evaluation, found: list[EvaluatedRow], query: QueryDict, order: str, words: str,
    *, earlier: bool, later: bool,
) -> RowPage:  # fmt: skip
    names = list(evaluation.scoring)
    return RowPage(
        [shown(row, names) for row in found],
        order,
        words,
        earlier=_link(query, before=found[0]) if earlier and found else "",
        later=_link(query, after=found[-1]) if later else "",
        query=kept(query),
    )


def shown(row: EvaluatedRow, names: list[str]) -> Shown:
    """Return a row as a table shows it, its texts cut."""
    value, generation, scores = from_json(row.row), from_json(row.generation), from_json(row.scores)
    told = [row.input_tokens, row.output_tokens]
    return Shown(
        row.position,
        asked.question_of(value)[:CELL],
        words_of(asked.expected_of(value))[:CELL],
        words_of(generation.get("generated_answer"))[:CELL],
        [cell(name, scores.get(name)) for name in names],
        row.error,
        row.duration_ms,
        None if told == [None, None] else sum(count or 0 for count in told),
        row.trace_id,
    )


def cell(name: str, score_row: Json | None) -> Cell:
    """Return what a function made of a row, from its score row."""
    told = score_row or {}
    return Cell(name, told.get("score"), str(told.get("error") or ""))


def words_of(value: Any) -> str:
    """Return a value as a person reads it; nothing for none."""
    return "" if value is None else text_of(value)


def neighbours(evaluation: Evaluation, row: EvaluatedRow, query: QueryDict) -> tuple[int | None, int | None]:
    """Return the numbers of the rows before and after a row, in the order and the words the page is in."""
    order = query.get("by", "") if query.get("by", "") in ORDERS else ""
    rows = matching(evaluation, query.get("q", "").strip()[:500])
    place = (row.worst, row.position)
    both = (
        _beyond(rows, place, order, forward=forward).values_list("position", flat=True)[:1] for forward in (False, True)
    )
    before, after = (next((position + 1 for position in some), None) for some in both)
    return before, after


def talk(value: Json) -> list[dict[str, str]]:
    """Return what a row asks as a chat shows it; empty for a row that asks nothing."""
    try:
        messages = asked.messages_of(value)
    except BadRequest:
        return []
    return [{"role": one["role"], "text": text_of(one["content"])} for one in messages]


def as_json(value: Any) -> str:
    """Return a value as JSON for reading."""
    return dumped(value, indent=2)


def kept(query: QueryDict) -> str:
    """Return the part of an address that stays the same from row to row, empty for none."""
    changed = query.copy()
    changed.pop("tab", None)
    return "?" + changed.urlencode() if changed else ""


def _place(text: str | None) -> Place | None:
    worst, _, position = (text or "").rpartition(",")
    at = whole(position)
    if at is None:
        return None
    try:
        return (float(worst or 0), at)
    except ValueError:
        return None


def _link(query: QueryDict, **place: EvaluatedRow) -> str:
    changed = query.copy()
    for name in ("after", "before", "tab"):
        changed.pop(name, None)
    for name, row in place.items():
        changed[name] = f"{row.worst!r},{row.position}"
    return "?" + changed.urlencode()
