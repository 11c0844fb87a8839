"""Samples that programs send, as points: a running total becomes what was added to it since its last value.

Each process that counts has a total of its own, so that several may count one series; ``RunningTotal`` remembers
where each stood. What was counted before the first value came belongs to that value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.telemetry.bulk import chunked, insert_returning, update
from apps.telemetry.metrics.points import Point
from apps.telemetry.models import RunningTotal
from apps.telemetry.records import digest
from apps.telemetry.windows import SECOND_NS

ASKED = 5_000


@dataclass(frozen=True, slots=True)
class Sample:
    """A value on its way in. ``counter`` names whose running total it is; empty when the value stands for itself."""

    metric: str
    labels: dict[str, str]
    unit: str
    time_ns: int
    value: float
    counter: str = ""

    @property
    def key(self) -> str:
        """What the running total is remembered by."""
        return digest([self.metric, self.unit, self.labels, self.counter])


def as_points(samples: Sequence[Sample]) -> list[Point]:
    """Return the points that samples make, and remember where running totals stand; called inside a write.

    A value that came before is nothing new, nor is one older than the last; a lower one means it began anew.
    """
    counted = [(sample.key, sample) for sample in samples if sample.counter]
    totals = _locked(sorted({key for key, _ in counted}))
    points = [_point(sample, sample.value) for sample in samples if not sample.counter]
    for key, sample in sorted(counted, key=lambda pair: pair[1].time_ns):
        row = totals[key]
        if sample.time_ns > row.time_ns:
            added = sample.value - row.total if sample.value >= row.total else sample.value
            row.total, row.time_ns = sample.value, sample.time_ns
            if added:
                points.append(_point(sample, added))
    update(RunningTotal, ("total", "time_ns"), [(row.total, row.time_ns, row.pk) for row in totals.values()])
    return points


def _locked(keys: Sequence[str]) -> dict[str, RunningTotal]:
    """Return the row of each key, begun at nothing where there was none."""
    found = _rows(keys)
    if missing := [key for key in keys if key not in found]:
        columns, rows = ("key", "total", "time_ns"), [(key, 0.0, 0) for key in missing]
        list(insert_returning(RunningTotal, columns, rows, "key"))
        found |= _rows(missing)
    return found


def _rows(keys: Sequence[str]) -> dict[str, RunningTotal]:
    rows = RunningTotal.objects.select_for_update().order_by("key")
    return {row.key: row for some in chunked(keys, ASKED) for row in rows.filter(key__in=some)}


def _point(sample: Sample, value: float) -> Point:
    return Point(sample.metric, sample.labels, sample.unit, sample.time_ns // SECOND_NS, value)
