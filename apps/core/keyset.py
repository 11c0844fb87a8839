"""Pages of a long list by the key of their first and last row: the hundredth page costs what the first does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import QueryDict

from apps.core.numbers import whole

SIZE = 50
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows of one page, newest first, and the query strings that lead to its neighbours (empty at the ends)."""

    rows: list[Row]
    newer: str = ""
    older: str = ""

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def page_of(rows: QuerySet[Row], query: QueryDict, *, size: int = SIZE) -> Page[Row]:
    """Return the page that ``?after=`` (older) or ``?before=`` (newer) names, else the newest one."""
    after, before = whole(query.get("after")), whole(query.get("before"))
    if before is not None:
        found = list(rows.filter(pk__gt=before).order_by("pk")[: size + 1])
        more, found = len(found) > size, found[:size][::-1]
        return _page(found, query, newer=more, older=bool(found))
    if after is not None:
        rows = rows.filter(pk__lt=after)
    found = list(rows.order_by("-pk")[: size + 1])
    return _page(found[:size], query, newer=after is not None, older=len(found) > size)


def _page(rows: list[Row], query: QueryDict, *, newer: bool, older: bool) -> Page[Row]:
    if not rows:
        return Page(rows, newer=_link(query) if newer else "")
    return Page(
        rows,
        newer=_link(query, before=rows[0].pk) if newer else "",
        older=_link(query, after=rows[-1].pk) if older else "",
    )


def _link(query: QueryDict, **place: Any) -> str:
    changed = query.copy()
    for name in ("after", "before"):
        changed.pop(name, None)
    for name, value in place.items():
        changed[name] = str(value)
    return "?" + changed.urlencode()
