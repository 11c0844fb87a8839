"""Rows as people read them: a page of the grid, the search through it, a row as a chat, the columns summed up."""

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q, QuerySet
from django.http import QueryDict
from pydantic_core import to_json

from apps.datasets import purposes
from apps.datasets.models import Addition, Dataset, Row
from apps.datasets.rows import between, within

SIZE = 50
CELL = 200
WINDOW = 5_000  # rows a search looks through at a time
SEARCH_S = 1.0
SAMPLE = 1_000
HOW = {
    "api": "API",
    "typed": "typed",
    "file": "file",
    "uri": "address",
    "turn": "turn",
    "span": "span",
    "evaluation": "evaluation",
}


@dataclass(frozen=True)
class Shown:
    """A row of the grid."""

    position: int
    cells: list[str]
    origin: str
    size: int
    problem: str

    @property
    def number(self) -> int:
        """The row's number as people count."""
        return self.position + 1


@dataclass(frozen=True)
class GridPage:
    """Rows of one page, newest first, with the ways to its neighbours; ``searched_to`` where a search was cut short."""

    rows: list[Shown]
    columns: tuple[str, str]
    newer: str = ""
    older: str = ""
    searched_to: int | None = None

    def __len__(self) -> int:
        return len(self.rows)


def page_of(dataset: Dataset, query: QueryDict) -> GridPage:
    """Return the page that ``?after=`` (older) or ``?before=`` (newer) names, of the rows that hold ``?q=``."""
    after, before = _number(query.get("after")), _number(query.get("before"))
    end = dataset.next_position if after is None else min(after, dataset.next_position)
    rows = Row.objects.filter(dataset_id=dataset.pk)
    words = query.get("q", "").strip()
    if words:
        return _search(dataset, rows, words, query, end)
    if before is not None:
        found = list(between(dataset, before + 1, SIZE + 1).order_by("position"))
        more, found = len(found) > SIZE, found[:SIZE][::-1]
        return _page(dataset, found, query, newer=more, older=bool(found))
    found = list(_below(dataset, end, SIZE + 1).order_by("-position"))
    return _page(dataset, found[:SIZE], query, newer=after is not None, older=len(found) > SIZE)


def _below(dataset: Dataset, end: int, count: int) -> QuerySet[Row]:
    """Return the ``count`` rows before a position."""
    return within(dataset, dataset.places.before_rows(end, count), end)


def _search(dataset: Dataset, rows: Any, words: str, query: QueryDict, end: int) -> GridPage:
    """Look through the rows from ``end`` downwards, window by window, until a page is full or a second has passed."""
    until = time.monotonic() + SEARCH_S
    found: list[Row] = []
    wanted = _holding(words)
    while end > 0 and len(found) <= SIZE:
        if time.monotonic() > until:
            page = _page(dataset, found, query, newer=False, older=False)
            return GridPage(page.rows, page.columns, "", _link(query, after=end), searched_to=end)
        start = max(0, end - WINDOW)
        window = rows.filter(wanted, position__gte=start, position__lt=end)
        found += list(window.order_by("-position")[: SIZE + 1 - len(found)])
        end = start
    return _page(dataset, found[:SIZE], query, newer=False, older=len(found) > SIZE)


def _holding(words: str) -> Q:
    """Return the condition for text that holds the words, written as they are or with JSON's escapes."""
    forms = {words, json.dumps(words, ensure_ascii=False)[1:-1], json.dumps(words)[1:-1]}
    wanted = Q()
    for form in forms:
        wanted |= Q(content__icontains=form)
    return wanted


def _page(dataset: Dataset, rows: list[Row], query: QueryDict, *, newer: bool, older: bool) -> GridPage:
    columns = columns_of(dataset, rows)
    if not rows:
        return GridPage([], columns, newer=_link(query) if newer else "")
    told = origins(dataset, rows)
    shown = [_shown(dataset, row, columns, told[row.position]) for row in rows]
    return GridPage(
        shown,
        columns,
        newer=_link(query, before=rows[0].position) if newer else "",
        older=_link(query, after=rows[-1].position) if older else "",
    )


def columns_of(dataset: Dataset, rows: list[Row]) -> tuple[str, str]:
    """Return what the grid's two columns are called: as the first row that fits says, else as the first row does."""
    values = [value_of(row.content) for row in rows]
    fitting = filter(None, (_asked_and_answered(value, dataset.purpose) for value in values))
    two = next(fitting, None) or _first_two(values[0] if values else {})
    return two[0][0], two[1][0]


def _shown(dataset: Dataset, row: Row, columns: tuple[str, str], origin: str) -> Shown:
    value = value_of(row.content)
    two = _asked_and_answered(value, dataset.purpose) or _first_two(value)
    known = value | dict(two)
    others = [(name, cell) for name, cell in two if name and name not in columns]
    texts = []
    for column in columns:
        if column in known or not others:
            texts.append(_short(known.get(column, "")))
        else:  # what the row has instead, by its name
            name, cell = others.pop(0)
            texts.append(f"{name}: {_short(cell)}")
    return Shown(row.position, texts, origin, len(row.content), purposes.problem(dataset.purpose, value) or "")


def _asked_and_answered(value: dict[str, Any], purpose: str) -> list[tuple[str, Any]] | None:
    """Return the two things to read of a row that has the purpose's columns."""
    for column in purposes.MESSAGE_COLUMNS:
        messages = purposes.messages_of(value.get(column))
        if messages:
            answer = next((name for name in ("answer", "expected_answer") if name in value), None)
            last = value[answer] if answer else _said(messages, "assistant")
            return [("User", _said(messages, "user")), ("Answer" if answer else "Assistant", last)]
    for columns in purposes.ACCEPTED[purpose]:
        if len(columns) > 1 and all(column in value for column in columns[:2]):
            return [(column.replace("_", " ").capitalize(), value[column]) for column in columns[:2]]
    return None


def _first_two(value: dict[str, Any]) -> list[tuple[str, Any]]:
    two = list(value.items())[:2]
    return [*two, *[("", "")] * (2 - len(two))]


def _said(messages: list[dict[str, Any]], role: str) -> Any:
    return next((message["content"] for message in reversed(messages) if message["role"] == role), "")


def _short(value: Any) -> str:
    return text_of(value)[:CELL]


def text_of(value: Any) -> str:
    """Return a value as a person reads it: text as it is, content items by their text, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(one, dict) and "text" in one for one in value):
        return "\n".join(text_of(one["text"]) for one in value)
    return dumped(value)


def dumped(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON for reading; what is half a character is escaped."""
    try:
        return to_json(value, indent=indent).decode()
    except ValueError:
        return json.dumps(value, indent=indent)


def value_of(text: str) -> dict[str, Any]:
    """Return a stored row's value."""
    value: dict[str, Any] = json.loads(text)
    return value


def origins(dataset: Dataset, rows: Iterable[Row]) -> dict[int, str]:
    """Return for each row, in words, how it came."""
    rows = list(rows)
    highest = max(row.position for row in rows)
    additions = list(Addition.objects.filter(dataset=dataset, start__lte=highest).order_by("-start")[: len(rows) + 1])
    return {row.position: _origin(row, additions) for row in rows}


def _origin(row: Row, additions: list[Addition]) -> str:
    addition = next((one for one in additions if one.start <= row.position), None)
    kind = str((row.origin or {}).get("kind") or (addition.how if addition else ""))
    return HOW.get(kind, kind)


def addition_of(dataset: Dataset, position: int) -> Addition | None:
    """Return with which others a row came."""
    return Addition.objects.filter(dataset=dataset, start__lte=position).order_by("-start").first()


def talk(value: dict[str, Any]) -> list[dict[str, str]] | None:
    """Return a row's messages as a chat shows them, its answer last; None for a row that is no conversation."""
    for column in purposes.MESSAGE_COLUMNS:
        messages = purposes.messages_of(value.get(column))
        if messages:
            said = [{"role": message["role"], "text": text_of(message["content"])} for message in messages]
            answer = next((value[name] for name in ("answer", "expected_answer") if name in value), None)
            return [*said, {"role": "expected", "text": text_of(answer)}] if answer is not None else said
    for columns in (("question", "answer"), ("input_query", "expected_answer"), ("prompt", "chosen")):
        if all(column in value for column in columns):
            asked, answered = (text_of(value[column]) for column in columns)
            return [{"role": "user", "text": asked}, {"role": "expected", "text": answered}]
    return None


@dataclass
class Column:
    """What a column holds in the rows looked at."""

    name: str
    seen: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    example: str = ""
    share: float = 0.0

    @property
    def kinds_text(self) -> str:
        """Its types, the most frequent first."""
        return ", ".join(kind for kind, _ in self.kinds.most_common())


@dataclass
class Profile:
    """The columns of a dataset, and the rows that do not fit its purpose, as far as they were looked at."""

    looked_at: int
    columns: list[Column]
    problems: list[tuple[int, str]]
    valid: int


def profile(dataset: Dataset) -> Profile:
    """Look at the first and the last rows of a dataset."""
    first = list(between(dataset, 0, SAMPLE).order_by("position"))
    more = min(SAMPLE, dataset.row_count - len(first))
    last = list(_below(dataset, dataset.next_position, more).order_by("position")) if more > 0 else []
    columns: dict[str, Column] = {}
    problems: list[tuple[int, str]] = []
    for row in first + last:
        value = value_of(row.content)
        if wrong := purposes.problem(dataset.purpose, value):
            problems.append((row.position, wrong))
        for name, cell in value.items():
            column = columns.setdefault(name, Column(name, example=_short(cell)))
            column.seen += 1
            column.kinds[KINDS.get(type(cell), "null")] += 1
    looked_at = len(first) + len(last)
    for column in columns.values():
        column.share = column.seen / looked_at
    return Profile(looked_at, list(columns.values()), problems, looked_at - len(problems))


KINDS = {str: "text", bool: "true or false", int: "whole number", float: "number", list: "list", dict: "object"}


def _link(query: QueryDict, **place: Any) -> str:
    changed = query.copy()
    for name in ("after", "before", "edit", "tab"):
        changed.pop(name, None)
    for name, value in place.items():
        changed[name] = str(value)
    return "?" + changed.urlencode()


def _number(value: str | None) -> int | None:
    return int(value) if value and value.isdecimal() and len(value) < 16 else None
