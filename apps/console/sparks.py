"""Small lines beside numbers: values over time as the path of an SVG. A value nobody knows leaves a gap."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, TOP, FLOOR, BASE = 100.0, 2.0, 26.0, 28
Point = tuple[float, float]


@dataclass(frozen=True)
class Spark:
    """A line, the area under it, and what it shows in words."""

    line: str
    area: str
    words: str


def spark(values: Sequence[float | None], words: str) -> Spark | None:
    """Return the line through the values; None when there is nothing to see."""
    known = [value for value in values if value is not None]
    highest = max(known, default=0)
    if not highest or len(known) < 2:  # a lone point is no line: the number beside it says it all
        return None
    step = WIDTH / (len(values) - 1)
    runs = _runs([None if value is None else (at * step, _height(value / highest)) for at, value in enumerate(values)])
    return Spark(" ".join(map(_line, runs)), " ".join(map(_area, runs)), words)


def _height(share: float) -> float:
    return FLOOR - share * (FLOOR - TOP)


def _runs(points: list[Point | None]) -> list[list[Point]]:
    """Return the stretches without a gap; a point alone becomes a short line, or it could not be seen."""
    runs: list[list[Point]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run if len(run) > 1 else [run[0], (run[0][0] + 1, run[0][1])] for run in runs if run]


def _line(run: list[Point]) -> str:
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in run)


def _area(run: list[Point]) -> str:
    return f"{_line(run)} L{run[-1][0]:.1f} {BASE} L{run[0][0]:.1f} {BASE}Z"
