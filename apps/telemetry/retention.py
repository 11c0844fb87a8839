"""How long telemetry is kept: what is past its time goes, in short writes between which turns write theirs.

A trace goes when its ``expires_s`` has passed, with its spans and their values; a point after ``METRICS_DAYS``. Names
that many spans share (keys of attributes, resources) go when they were last seen before the oldest trace began.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Exists, F, Min, OuterRef, QuerySet

from apps.core import db
from apps.jobs.handle import Handle
from apps.telemetry.bulk import chunked
from apps.telemetry.models import (
    AttributeKey,
    MetricPoint,
    MetricSeries,
    Resource,
    RunningTotal,
    Span,
    SpanAttribute,
    Trace,
)
from apps.telemetry.windows import SECOND_NS

FIRST, FEWEST, MOST = 100, 20, 2_000  # rows of a chunk: how many at first, and how many at all
CHUNK_S = 0.015  # what a chunk should take; the next one is made smaller or larger by what this one took
DAY_S = 86_400
GRACE_S = DAY_S  # processes remember names for some hours (known.SEEN_S), and clocks differ
KINDS = ("traces", "spans", "points", "series", "keys", "resources")
Gone = Counter[str]


def run(job: Handle) -> dict[str, int]:
    """Purge as a job, until it is stopped; return what went."""
    return purge(job.check)


def purge(between: Callable[[], None] = lambda: None) -> dict[str, int]:
    """Delete what is past its time and return how many of each went; ``between`` is called between the chunks.

    Not for an event loop, and not inside a transaction: the chunks are committed by this process's writer.
    """
    # What is being written to just now is left for the next time.
    expired = Trace.objects.filter(expires_s__lte=int(time.time())).order_by("expires_s")
    expired = expired.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    gone = Gone()
    for some in (lambda size: _traces(expired, size), _points, _series, _totals, _names):
        gone.update(_in_chunks(some, between))
    return {kind: gone[kind] for kind in KINDS}


def delete_traces(trace_ids: Sequence[str]) -> dict[str, int]:
    """Delete these traces with their spans and return how many of each went; unknown ids are left out. As ``purge``."""
    gone = Gone()
    for ids in chunked(trace_ids, 500):
        rows = Trace.objects.filter(trace_id__in=ids).order_by("trace_id").select_for_update()  # the store's order
        gone.update(_in_chunks(lambda size, rows=rows: _traces(rows, size), lambda: None))  # type: ignore[misc]
    return {kind: gone[kind] for kind in KINDS[:2]}


def _in_chunks(some: Callable[[int], Gone], between: Callable[[], None]) -> Gone:
    """Delete some until there is nothing to delete; after each chunk others may write for as long as it took."""
    gone, size = Gone(), FIRST
    while True:
        between()
        went, took_s = db.write_soon(_timed, some, size).result()
        gone.update(went)
        if not went.total():
            return gone
        size = min(MOST, max(FEWEST, int(size * min(2.0, CHUNK_S / took_s))))
        time.sleep(took_s)


def _timed(some: Callable[[int], Gone], size: int) -> tuple[Gone, float]:
    began = time.perf_counter()
    return some(size), max(time.perf_counter() - began, 1e-6)


def _traces(rows: QuerySet[Trace], size: int) -> Gone:
    """Delete whole traces that have ``size`` spans together, or so many spans of one that has more."""
    chosen: list[int] = []
    room = size
    for pk, spans in rows.values_list("pk", "span_count")[:size]:
        if spans > room and chosen:
            break
        if spans > room:
            return _part_of(pk, size)
        chosen.append(pk)
        room -= spans
    _erase(SpanAttribute.objects.filter(trace__in=chosen))
    spans = _erase(Span.objects.filter(trace__in=chosen))
    return Gone(traces=_erase(Trace.objects.filter(pk__in=chosen)), spans=spans)


def _part_of(trace: int, size: int) -> Gone:
    spans = list(Span.objects.filter(trace=trace).order_by().values_list("pk", flat=True)[:size])
    _erase(SpanAttribute.objects.filter(trace=trace, span__in=spans))
    went = _erase(Span.objects.filter(trace=trace, pk__in=spans))
    left = F("span_count") - went if went == size else 0  # a count that was too high must not keep the trace
    Trace.objects.filter(pk=trace).update(span_count=left)
    return Gone(spans=went, parts=1)


def old_points() -> QuerySet[MetricPoint]:
    """Return the points that are past their time, series by series: the index finds them nowhere else."""
    every = MetricSeries.objects.order_by().values("pk")
    return MetricPoint.objects.order_by().filter(series__in=every, time_s__lt=_oldest_point())


def _points(size: int) -> Gone:
    chosen = list(old_points().values_list("pk", flat=True)[:size])
    return Gone(points=_erase(MetricPoint.objects.filter(pk__in=chosen)))


def _series(size: int) -> Gone:
    """Delete series without points."""
    empty = MetricSeries.objects.filter(~Exists(MetricPoint.objects.filter(series=OuterRef("pk"))))
    return Gone(series=_erase(MetricSeries.objects.filter(pk__in=list(empty.values_list("pk", flat=True)[:size]))))


def _totals(size: int) -> Gone:
    """Forget counters of programs that told nothing for as long as points are kept: they have ended."""
    old = RunningTotal.objects.filter(time_ns__lt=_oldest_point() * SECOND_NS).values_list("pk", flat=True)
    return Gone(totals=_erase(RunningTotal.objects.filter(pk__in=list(old[:size]))))


def _names(size: int) -> Gone:
    """Delete names that no span can have: every trace began a day and more after they were last looked up."""
    first = Trace.objects.aggregate(first=Min("start_ns"))["first"]
    seen_s = min(time.time(), math.inf if first is None else first / SECOND_NS) - GRACE_S
    gone = Gone()
    for kind, rows in (("keys", AttributeKey.objects.all()), ("resources", Resource.objects.all())):
        old = list(rows.filter(seen_s__lt=seen_s).values_list("pk", flat=True)[:size])
        gone[kind] = _erase(rows.filter(pk__in=old))
    return gone


def _erase(rows: QuerySet[Any]) -> int:
    """Delete rows without asking for what refers to them, and return how many."""
    return int(rows._raw_delete("default") or 0)  # type: ignore[attr-defined]


def _oldest_point() -> int:
    return int(time.time() - settings.METRICS_DAYS * DAY_S)
