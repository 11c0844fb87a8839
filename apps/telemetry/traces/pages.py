"""One page of the list of traces, by when they began or how long they took. Neighbours are found by value and key."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db.models import BigIntegerField, ExpressionWrapper, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest

from apps.core.numbers import whole
from apps.telemetry.models import Trace
from apps.telemetry.traces.listing import EXACT, SIZE, Asked, Row, rows_of

WORDS = {"": "newest first", "start": "oldest first", "-duration": "longest first", "duration": "shortest first"}


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page in the order asked for, and the query strings of its neighbours (empty at the ends)."""

    rows: list[Row] = field(default_factory=list)
    newer: str = ""
    older: str = ""
    first: int = 1

    @property
    def last(self) -> int:
        """The number of the last row, as people count."""
        return self.first + len(self.rows) - 1

    @property
    def open_ids(self) -> str:
        """The ids of rows that may still change."""
        return ",".join(row.trace.trace_id for row in self.rows if row.is_open)


@dataclass(frozen=True, slots=True)
class Head:
    """A head of a column that sorts: the query string it leads to, and how the column is sorted now."""

    link: str
    sorted: str = ""  # as aria-sort says it


def heads_of(asked: Asked) -> dict[str, Head]:
    """Return the heads that sort: a click on one that is in force turns it round."""
    start = {"": Head(asked.link(sort="start"), "descending"), "start": Head(asked.link(sort=""), "ascending")}
    took = {"-duration": Head(asked.link(sort="duration"), "descending")}
    took["duration"] = Head(asked.link(sort="-duration"), "ascending")
    others = Head(asked.link(sort="")), Head(asked.link(sort="-duration"))
    return {"start": start.get(asked.sort, others[0]), "duration": took.get(asked.sort, others[1])}


def page_of(asked: Asked, query: Mapping[str, str]) -> Page:
    """Return the page that ``?after=`` or ``?before=`` names, else the first one.

    It is empty for a filter or a time that was not understood: what is listed can be chosen, and deleted.
    """
    if asked.problems:
        return Page()
    traces, by = _sorted(asked)
    falls = asked.sort in ("", "-duration")
    after, before = _place(query.get("after")), _place(query.get("before"))
    at = whole(query.get("at")) or 0
    if before is not None:
        found = _next(traces, by, before, falls=not falls)
        more, found = len(found) > SIZE, found[:SIZE][::-1]
        return _page(asked, by, found, max(0, at - len(found)) if more else 0, newer=more, older=bool(found))
    found = _next(traces, by, after, falls=falls)
    start = at if after is not None else 0
    return _page(asked, by, found[:SIZE], start, newer=after is not None, older=len(found) > SIZE)


def _sorted(asked: Asked) -> tuple[QuerySet[Trace], str]:
    """Return the traces with what they are sorted by. By duration these are the newest ``EXACT``; no index knows it."""
    traces = asked.traces()
    if asked.sort not in ("-duration", "duration"):
        return traces, "start_ns"
    newest = traces.order_by("-start_ns", "-pk").values("pk")[:EXACT]
    # One that runs has no duration yet: it is the shortest. Clocks that differ make none shorter than nothing.
    took = ExpressionWrapper(Coalesce(F("end_ns"), F("start_ns")) - F("start_ns"), output_field=BigIntegerField())
    rows = Trace.objects.filter(pk__in=newest).order_by()
    return rows.annotate(took_ns=Greatest(took, Value(0), output_field=BigIntegerField())), "took_ns"


def _next(traces: QuerySet[Trace], by: str, place: tuple[int, int] | None, *, falls: bool) -> list[Trace]:
    """Return the traces behind a place, one more than a page holds, or the first ones."""
    if place is not None:
        value, pk = place
        side, key = ("lte", "pk__gte") if falls else ("gte", "pk__lte")
        traces = traces.filter(**{f"{by}__{side}": value}).exclude(Q(**{by: value, key: pk}))
    sign = "-" if falls else ""
    return list(traces.order_by(f"{sign}{by}", f"{sign}pk")[: SIZE + 1])


def _page(asked: Asked, by: str, traces: list[Trace], at: int, *, newer: bool, older: bool) -> Page:
    rows = rows_of(traces, asked.window.now_ns)
    if not traces:
        return Page(rows, newer=asked.link() if newer else "")
    return Page(
        rows,
        newer=asked.link(before=_cursor(traces[0], by), at=str(at)) if newer else "",
        older=asked.link(after=_cursor(traces[-1], by), at=str(at + len(traces))) if older else "",
        first=at + 1,
    )


def _cursor(trace: Trace, by: str) -> str:
    return f"{getattr(trace, by)}.{trace.pk}"


def _place(text: str | None) -> tuple[int, int] | None:
    value, _, pk = (text or "").partition(".")
    numbers = (int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else None, whole(pk))
    return None if numbers[0] is None or numbers[1] is None else (min(numbers[0], 2**63 - 1), numbers[1])
