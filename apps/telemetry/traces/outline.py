"""A trace as a nested list, for readers without script: some hundred spans a page, in order of time."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.paginator import Paginator

from apps.telemetry.models import Span, Trace
from apps.telemetry.traces.span_view import length

PAGE = 500


@dataclass(frozen=True, slots=True)
class Line:
    """One span of the list; ``closes`` tells how many lists end after it, ``opens`` whether one begins under it."""

    span_id: str
    name: str
    kind: str
    took: str
    is_failed: bool
    opens: bool
    closes: range


@dataclass(frozen=True, slots=True)
class Outline:
    """One page of the list."""

    lines: list[Line]
    number: int
    pages: int
    count: int


def outline_of(trace: Trace, page: int) -> Outline:
    """Return a page of the trace's spans; a span whose parent is on another page stands at the top of its own."""
    found = trace.spans.order_by("start_ns", "id").only(
        "span_id", "parent_span_id", "name", "kind", "status", "start_ns", "end_ns", "trace"
    )
    paginator = Paginator(found, PAGE)
    paginator.count = trace.span_count  # known, so it is not counted
    part = paginator.get_page(page)
    return Outline(_lines(list(part)), part.number, paginator.num_pages, trace.span_count)


def _lines(spans: Sequence[Span]) -> list[Line]:
    here = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in spans:
        parent = span.parent_span_id if span.parent_span_id in here else ""
        children.setdefault("" if parent == span.span_id else parent, []).append(span)
    ordered: list[tuple[Span, int]] = []
    waiting = [(span, 0) for span in reversed(children.get("", []))]
    while waiting:
        span, depth = waiting.pop()
        ordered.append((span, depth))
        waiting += [(child, depth + 1) for child in reversed(children.get(span.span_id, []))]
    seen = {span.pk for span, _ in ordered}
    ordered += [(span, 0) for span in spans if span.pk not in seen]  # spans that are each other's forebears
    depths = [depth for _, depth in ordered] + [0]
    return [_line(span, depths[at], depths[at + 1]) for at, (span, _) in enumerate(ordered)]


def _line(span: Span, depth: int, following: int) -> Line:
    took = length(None if span.end_ns is None else max(0, span.end_ns - span.start_ns))
    opens = following > depth
    return Line(
        span.span_id,
        span.name,
        span.kind,
        took,
        span.status == "error",
        opens,
        range(0 if opens else depth - following),
    )
