"""The one door to the points of metrics: which series a point belongs to, and writing many at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from apps.telemetry.bulk import chunked, clean, insert
from apps.telemetry.models import NAME, MetricPoint, MetricSeries
from apps.telemetry.records import digest

ASKED = 5_000  # series one query names
UNIT, LABEL = 63, 1_000  # characters that are kept
LAST_S = 2**53  # times beyond it are no times
Key = tuple[str, str, str]  # metric, unit, digest of the labels


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a metric at a time in whole seconds since 1970; the labels say which of its series it belongs to."""

    metric: str
    labels: dict[str, str]
    unit: str
    time_s: int
    value: float


def save(points: Sequence[Point]) -> None:
    """Add the points to their series, which begin with their first point; called inside a write.

    Points that no column can hold, without a finite value or a time, are left out.
    """
    kept = [point for point in points if math.isfinite(point.value) and abs(point.time_s) < LAST_S]
    found = series_of([(point.metric, point.unit, point.labels) for point in kept])
    rows = [(pk, point.time_s, float(point.value)) for pk, point in zip(found, kept, strict=True)]
    insert(MetricPoint, ("series_id", "time_s", "value"), rows)


def series_of(wanted: Sequence[tuple[str, str, dict[str, str]]]) -> list[int]:
    """Return the primary key of the series of each (metric, unit, labels), made where there was none."""
    keys: list[Key] = []
    rows: dict[Key, MetricSeries] = {}
    for metric, unit, labels in wanted:
        key = _key(metric, unit, tuple(labels.items()))
        keys.append(key)
        if key not in rows:
            rows[key] = MetricSeries(metric=key[0], unit=key[1], labels=as_list(labels), digest=key[2])
    found = _found(list(rows))
    if missing := [row for key, row in rows.items() if key not in found]:
        MetricSeries.objects.bulk_create(missing, ignore_conflicts=True)
        found |= _found([(row.metric, row.unit, row.digest) for row in missing])
    return [found[key] for key in keys]


@lru_cache(maxsize=4_096)
def _key(metric: str, unit: str, labels: tuple[tuple[str, str], ...]) -> Key:
    return clean(metric)[:NAME], clean(unit)[:UNIT], digest(as_list(dict(labels)))


def as_list(labels: dict[str, str]) -> list[list[str]]:
    """Return labels as their column holds them: name and value, sorted by name."""
    return [[clean(str(name))[:NAME], clean(str(value))[:LABEL]] for name, value in sorted(labels.items())]


def _found(keys: Sequence[Key]) -> dict[Key, int]:
    found: dict[Key, int] = {}
    for some in chunked(keys, ASKED):
        metrics, units, digests = (set(part) for part in zip(*some, strict=True))
        rows = MetricSeries.objects.filter(metric__in=metrics, unit__in=units, digest__in=digests)
        found |= {(row[1], row[2], row[3]): row[0] for row in rows.values_list("pk", "metric", "unit", "digest")}
    return found
