"""Values of OTLP as the console keeps them: plain JSON of sane length and depth, whichever encoding they came in."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from apps.telemetry.bulk import clean
from apps.telemetry.own import cut
from apps.telemetry.records import Json, canonical

SHORT = 200  # characters nobody cuts: reading the setting for each text would take longer than the rest
MAX_DEPTH = 20  # of lists and maps inside an attribute; what is deeper is left out


class Style(Enum):
    """What a data point's value tells: what is now, what was added since the last one, or a running total."""

    GAUGE = "gauge"
    DELTA = "delta"
    TOTAL = "total"
    UNKNOWN = ""


@dataclass(slots=True)
class DataPoint:
    """A data point as it came. ``values`` are by what is put behind the metric's name: "", ``_count``, ``_sum``."""

    metric: str
    unit: str
    attributes: Json
    resource: Json
    time_ns: int
    since_ns: int
    style: Style
    values: dict[str, float]
    is_missing: bool = False  # told on purpose: there is no value at this time


def text(value: str) -> str:
    """Return a text any database can hold, cut where it is longer than the console keeps."""
    return clean(value if len(value) <= SHORT else cut(value))


def double(value: float) -> float | str:
    """Return a number, or its name for what JSON cannot say: NaN, Infinity, -Infinity."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def label(value: Any) -> str:
    """Return an attribute's value as a metric's label tells it."""
    return value if isinstance(value, str) else canonical(value)
