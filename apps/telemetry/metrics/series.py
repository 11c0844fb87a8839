"""What a metric says: its points or their sums, one series for each set of labels.

Labels are matched here over the series of the metric, of which there are few; points are only ever found by their
series and time. Regular expressions are RE2's: the time they take grows with the text alone, whatever they say.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import re2
from django.db import connection
from django.db.models import Avg, Count, F, Max, QuerySet, Sum

from apps.core.errors import BadRequest
from apps.telemetry import schemas
from apps.telemetry.bulk import chunked
from apps.telemetry.models import MetricPoint, MetricSeries

MOST_POINTS = 100_000  # of one answer: beyond it a window must be cut, or summed up by a granularity
ASKED = 5_000  # series one query names
WAYS = {"sum": Sum, "average": Avg, "largest": Max, "count": Count}
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
GRANULARITY = re.compile(r"([0-9]{1,9})([smhdw])")
Values = list[tuple[int, float]]  # time in whole seconds, value


@dataclass(frozen=True, slots=True)
class Series:
    """A series of a metric as its row tells it."""

    pk: int
    unit: str
    labels: dict[str, str]

    @property
    def labels_text(self) -> str:
        """The labels in one line."""
        return ", ".join(f"{name}={value}" for name, value in self.labels.items())


def query(metric: str, request: schemas.QueryMetricsRequest) -> list[schemas.MetricSeries]:
    """Return the series of a metric that have points in the window; none for an unknown metric.

    Raises BadRequest for a window that ends before it begins, a granularity or regular expression that cannot be
    read, and an answer of more than ``MOST_POINTS`` points.
    """
    start, end = _window(request)
    step = None if request.granularity is None else seconds_of(request.granularity)
    found = {one.pk: one for one in matching(metric, request.label_matchers or ())}
    if request.query_type == "instant":
        told = totals(found, start, end)
    else:
        told = points(found, start, end) if step is None else buckets(found, start, end, step)
    return [_as_schema(metric, found[pk], told[pk]) for pk in found if pk in told]


def seconds_of(granularity: str) -> int:
    """Return the length of a bucket in seconds; raises BadRequest unless it is a number and one of s, m, h, d, w."""
    read = GRANULARITY.fullmatch(granularity)
    if read is None or not int(read[1]):
        raise BadRequest(f"The granularity '{granularity}' is none. Write a number and s, m, h, d or w, such as 5m.")
    return int(read[1]) * UNITS[read[2]]


def matching(metric: str, matchers: Sequence[schemas.MetricLabelMatcher]) -> list[Series]:
    """Return the series of a metric that every matcher fits, by their labels; raises BadRequest for a bad pattern.

    A label that a series does not have is empty: ``!=`` and ``!~`` match it, as ``=~`` does with ``.*``.
    """
    tests = [(matcher.name, _test(matcher)) for matcher in matchers]
    rows = MetricSeries.objects.filter(metric=metric).values_list("pk", "unit", "labels")
    all_ = (Series(pk, unit, dict(labels)) for pk, unit, labels in rows)
    kept = [one for one in all_ if all(fits(one.labels.get(name, "")) for name, fits in tests)]
    return sorted(kept, key=lambda one: (sorted(one.labels.items()), one.unit))


def buckets(series: Iterable[int], start: int, end: int, step: int, how: str = "sum") -> dict[int, Values]:
    """Return each series by bucket, in order of time: one value of ``WAYS`` for the points of each.

    Buckets begin at multiples of ``step`` since 1970, and are left out where no point is. Raises BadRequest for more
    than ``MOST_POINTS`` of them.
    """
    # The remainder of a time before 1970 is negative in SQL.
    bucket = F("time_s") - (F("time_s") % step + step) % step
    told: list[tuple[int, int, float]] = []
    for some in chunked(list(series), ASKED):
        rows = MetricPoint.objects.filter(series__in=some, time_s__range=(start, end)).order_by()
        summed = rows.values("series", bucket=bucket).annotate(told=WAYS[how]("value"))
        told += _at_most(summed.values_list("series", "bucket", "told"), MOST_POINTS + 1 - len(told))
        _check_size(len(told))
    return _by_series(sorted(told))


def _window(request: schemas.QueryMetricsRequest) -> tuple[int, int]:
    if request.end_time is None:
        return request.start_time, int(time.time())
    if request.end_time < request.start_time:
        raise BadRequest("end_time is before start_time; both are whole seconds since 1970.")
    return request.start_time, request.end_time


def _test(matcher: schemas.MetricLabelMatcher) -> Callable[[str], bool]:
    if matcher.operator == "=":
        return lambda value: value == matcher.value
    if matcher.operator == "!=":
        return lambda value: value != matcher.value
    pattern, wanted = _compiled(matcher), matcher.operator == "=~"
    known: dict[str, bool] = {}

    def fits(value: str) -> bool:
        if value not in known:
            known[value] = pattern.fullmatch(value) is not None
        return known[value] == wanted

    return fits


def _compiled(matcher: schemas.MetricLabelMatcher) -> "re2._Regexp":
    options = re2.Options()
    options.log_errors, options.dot_nl, options.never_capture = False, True, True
    try:
        return re2.compile(matcher.value, options)
    except (re2.error, UnicodeError) as problem:
        shown = matcher.value if len(matcher.value) <= 80 else matcher.value[:80] + "…"
        raise BadRequest(
            f"The pattern '{shown}' for label '{matcher.name}' cannot be read: {_words(problem)}. "
            "Patterns are RE2's and match the whole value; look-around and back-references are not among them."
        ) from problem


def _words(problem: Exception) -> str:
    told = problem.args[0] if problem.args else ""
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)


def totals(series: Iterable[int], start: int, end: int, how: str = "sum") -> dict[int, Values]:
    """Return one value of ``WAYS`` for each series that has points in the window; its time is the window's end."""
    told: dict[int, Values] = {}
    for some in chunked(list(series), ASKED):
        rows = MetricPoint.objects.filter(series__in=some, time_s__range=(start, end)).order_by()
        summed = rows.values("series").annotate(told=WAYS[how]("value"))
        told |= {pk: [(end, value)] for pk, value in summed.values_list("series", "told")}
    return told


def points(series: Iterable[int], start: int, end: int) -> dict[int, Values]:
    """Return the points of each series in order of time; raises BadRequest for more than ``MOST_POINTS``."""
    told: list[tuple[int, int, float]] = []
    for some in chunked(list(series), ASKED):
        rows = MetricPoint.objects.filter(series__in=some, time_s__range=(start, end)).order_by("series", "time_s")
        told += rows.values_list("series", "time_s", "value")[: MOST_POINTS + 1 - len(told)]
        _check_size(len(told))
    return _by_series(told)


def _at_most(rows: QuerySet[Any, Any], count: int) -> list[Any]:
    """Return the first rows of a query that adds up, in no order.

    Told of a limit, Postgres would sort the points of a month to have the first sums soon: five times the work.
    """
    sql, params = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"WITH told AS MATERIALIZED ({sql}) SELECT * FROM told LIMIT %s", [*params, count])
        return list(cursor.fetchall())


def _by_series(rows: Iterable[tuple[int, int, float]]) -> dict[int, Values]:
    told: dict[int, Values] = {}
    for pk, time_s, value in rows:
        told.setdefault(pk, []).append((time_s, value))
    return told


def _check_size(points: int) -> None:
    if points > MOST_POINTS:
        raise BadRequest(
            f"That is more than {MOST_POINTS:,} points. "
            "Ask for a shorter window, fewer series or a coarser granularity."
        )


def _as_schema(metric: str, series: Series, values: Values) -> schemas.MetricSeries:
    labels = [schemas.MetricLabel(name=name, value=value) for name, value in series.labels.items()]
    # Not checked again: there may be many, and they come from columns of these types.
    told = [
        schemas.MetricDataPoint.model_construct(timestamp=at, value=value, unit=series.unit) for at, value in values
    ]
    return schemas.MetricSeries.model_construct(metric=metric, labels=labels, values=told)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric in one unit, and how many series it has."""

    name: str
    unit: str
    series: int


def metrics() -> list[Metric]:
    """Return every metric that has series, by name."""
    rows = MetricSeries.objects.values("metric", "unit").order_by("metric", "unit").annotate(series=Count("pk"))
    return [Metric(*row) for row in rows.values_list("metric", "unit", "series")]


def label_values(series: Iterable[Series]) -> dict[str, list[str]]:
    """Return the names of the series' labels, and the values each has."""
    told: dict[str, set[str]] = {}
    for name, value in _labels(series):
        told.setdefault(name, set()).add(value)
    return {name: sorted(values) for name, values in sorted(told.items())}


def _labels(series: Iterable[Series]) -> Iterator[tuple[str, str]]:
    for one in series:
        yield from one.labels.items()
