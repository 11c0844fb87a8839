"""Offset pagination: a slice of a queryset as the spec's PaginatedResponse."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from apps.core.errors import BadRequest
from apps.core.spec import SpecModel

M = TypeVar("M", bound=Model)
MAX_START = 2**62  # beyond it no database can count
MAX_PAGE = 10_000  # documented: an unlimited list is cut here and says so by has_more


class PaginatedResponse(SpecModel):
    """One slice of a list."""

    data: list[dict[str, Any]]
    has_more: bool
    url: str | None = None


def paginate(
    rows: QuerySet[M],
    start_index: int | None,
    limit: int | None,
    url: str,
    as_item: Callable[[M], dict[str, Any]],
) -> PaginatedResponse:
    """Return rows ``start_index`` to ``start_index + limit``; no limit or -1 is everything from there on.

    Raises BadRequest on other negative numbers.
    """
    start = start_index or 0
    if start < 0:
        raise BadRequest(f"start_index: must be 0 or more, not {start}")
    if start > MAX_START:
        return PaginatedResponse(data=[], has_more=False, url=url)
    if limit is not None and limit < -1:
        raise BadRequest(f"limit: must be -1 (everything) or more, not {limit}")
    if limit == 0:
        return PaginatedResponse(data=[], has_more=rows[start : start + 1].exists(), url=url)
    size = MAX_PAGE if limit is None or limit == -1 else min(limit, MAX_PAGE)
    page = list(rows[start : start + size + 1])
    return PaginatedResponse(data=[as_item(row) for row in page[:size]], has_more=len(page) > size, url=url)
