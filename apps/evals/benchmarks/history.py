"""The scores of a benchmark's runs over time, as a chart: what it draws, and the same in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.evals import standings
from apps.evals.models import Evaluation

DRAWN = 4  # candidates a chart has colours for
TICKS = 4


@dataclass(frozen=True)
class Line:
    """A candidate's scores over the runs, as paths of an SVG of 100 by 100."""

    name: str
    variant: str
    tone: str
    path: str
    dots: str


@dataclass(frozen=True)
class Level:
    """The baseline's score: its height in an SVG of 100 by 100, and the score."""

    y: str
    score: float


@dataclass(frozen=True)
class Chart:
    """Lines over runs, the baseline's level, the ticks of the axis from the top down, and what is shown in words.

    There are ``others`` more candidates than lines.
    """

    lines: list[Line]
    ticks: list[tuple[str, str]]
    first: Evaluation
    last: Evaluation
    level: Level | None
    words: str
    others: int


def chart(runs: Sequence[Evaluation], by: str, baseline: Evaluation | None) -> Chart | None:
    """Return one function's scores over the runs that can be compared; None when none of them has a number."""
    told = [(run, run.headline(by).value) for run in reversed(standings.comparable(runs))]
    known = [(run, value) for run, value in told if value is not None]
    if not known:
        return None
    base = baseline.headline(by).value if baseline else None
    values = [value for _, value in known] + ([] if base is None else [base])
    low, high = min(0.0, *values), max(1.0, *values)
    step = 100 / max(1, len(known) - 1)
    points: dict[str, list[tuple[float, float]]] = {}
    for at, (run, value) in enumerate(known):
        x = 50.0 if len(known) == 1 else at * step
        points.setdefault(run.fingerprint, []).append((x, _height(value, low, high)))
    newest = {run.fingerprint: (run, value) for run, value in known}  # the last of each stays
    drawn = sorted(newest.values(), key=lambda one: -one[0].pk)[:DRAWN]
    lines = [_line(run, f"c{at + 1}", points[run.fingerprint]) for at, (run, _) in enumerate(drawn)]
    ticks = [_tick(at, low, high) for at in range(TICKS + 1)]
    words = "; ".join(f"{run.asked}: last {value:.4g}" for run, value in drawn)
    words = f"{by} over {len(known)} runs. {words}." + ("" if base is None else f" Baseline {base:.4g}.")
    level = None if base is None else Level(f"{_height(base, low, high):.2f}", base)
    return Chart(lines, ticks, known[0][0], known[-1][0], level, words, len(newest) - len(drawn))


def _height(value: float, low: float, high: float) -> float:
    """Return where a value is drawn between 0, the top, and 100."""
    return 100 - (value - low) / (high - low) * 100


def _line(run: Evaluation, tone: str, points: list[tuple[float, float]]) -> Line:
    path = "M" + " L".join(f"{x:.2f} {y:.2f}" for x, y in points) if len(points) > 1 else ""
    return Line(run.candidate, run.variant, tone, path, " ".join(f"M{x:.2f} {y:.2f}h0" for x, y in points))


def _tick(at: int, low: float, high: float) -> tuple[str, str]:
    return f"{at * 100 / TICKS:g}", f"{high - at * (high - low) / TICKS:.3g}".replace("-", "−")
