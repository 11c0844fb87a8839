"""How candidates stand on a benchmark: their newest scores, their best, and the scores of runs over time."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Max

from apps.evals.models import Evaluation
from apps.evals.spread import Headline, headline
from apps.jobs.models import Status

LOOKED_AT = 200  # newest runs a leaderboard and a chart are made of
DRAWN = 4  # candidates a chart has colours for
NAMED = 3  # candidates a list names
TICKS = 4


@dataclass(frozen=True)
class Standing:
    """A candidate: its newest run with its scores, and how far each is from the run before."""

    candidate: str
    newest: Evaluation
    scores: list[tuple[str, Headline, float | None]]
    best: float | None
    runs: int


@dataclass(frozen=True)
class Line:
    """A candidate's scores over the runs, as paths of an SVG of 100 by 100."""

    name: str
    tone: str
    path: str
    dots: str


@dataclass(frozen=True)
class Chart:
    """Lines over runs, the ticks of their axis from the top down, and what is shown in words."""

    lines: list[Line]
    ticks: list[tuple[str, str]]
    first: Evaluation
    last: Evaluation
    words: str


def scores_of(run: Evaluation, functions: Sequence[str] | None = None) -> list[tuple[str, Headline]]:
    """Return each function with the one number its scores come to."""
    lies = run.spread.get("functions", {})
    names = run.scoring if functions is None else functions
    return [(name, headline(run.aggregated.get(name) or {}, lies.get(name) or {})) for name in names]


def completed(benchmark_id: str) -> list[Evaluation]:
    """Return the newest completed runs of a benchmark, newest first."""
    rows = Evaluation.objects.filter(benchmark_id=benchmark_id, job__status=Status.COMPLETED).select_related("job")
    return list(rows.defer("config", "scoring").order_by("-id")[:LOOKED_AT])


def leaderboard(runs: Sequence[Evaluation], functions: Sequence[str], by: str) -> list[Standing]:
    """Return who stands where by the newest score of one function; who has no number comes last."""
    place = list(functions).index(by)
    found: dict[str, list[Evaluation]] = {}
    for run in runs:
        found.setdefault(run.candidate, []).append(run)
    standings = [_standing(name, some, functions, by) for name, some in found.items()]
    return sorted(standings, key=lambda one: -_value(one.scores[place][1].value))


def _standing(name: str, runs: list[Evaluation], functions: Sequence[str], by: str) -> Standing:
    newest = [one for _, one in scores_of(runs[0], functions)]
    before = [one for _, one in scores_of(runs[1], functions)] if len(runs) > 1 else [None] * len(newest)
    deltas = [
        now.value - then.value if then and now.value is not None and then.value is not None else None
        for now, then in zip(newest, before, strict=True)
    ]
    numbers = [value for run in runs if (value := scores_of(run, [by])[0][1].value) is not None]
    best = max(numbers, default=None)
    return Standing(name, runs[0], list(zip(functions, newest, deltas, strict=True)), best, len(runs))


def _value(value: float | None) -> float:
    return float("-inf") if value is None else value


def chart(runs: Sequence[Evaluation], by: str) -> Chart | None:
    """Return one function's scores over the runs; None when no run has a number."""
    told = [(run, scores_of(run, [by])[0][1].value) for run in reversed(runs)]
    known = [(run, value) for run, value in told if value is not None]
    if not known:
        return None
    low, high = min(0.0, *(value for _, value in known)), max(1.0, *(value for _, value in known))
    step = 100 / max(1, len(known) - 1)
    points: dict[str, list[tuple[float, float]]] = {}
    for at, (run, value) in enumerate(known):
        x = 50.0 if len(known) == 1 else at * step
        points.setdefault(run.candidate, []).append((x, 100 - (value - low) / (high - low) * 100))
    names = list(dict.fromkeys(run.candidate for run, _ in reversed(known)))[:DRAWN]
    lines = [_line(name, f"c{at + 1}", points[name]) for at, name in enumerate(names)]
    ticks = [_tick(at, low, high) for at in range(TICKS + 1)]
    last = {run.candidate: value for run, value in known}
    words = "; ".join(f"{name}: last {last[name]:.4g}" for name in names)
    return Chart(lines, ticks, known[0][0], known[-1][0], f"{by} over {len(known)} runs. {words}.")


def _line(name: str, tone: str, points: list[tuple[float, float]]) -> Line:
    path = "M" + " L".join(f"{x:.2f} {y:.2f}" for x, y in points) if len(points) > 1 else ""
    return Line(name, tone, path, " ".join(f"M{x:.2f} {y:.2f}h0" for x, y in points))


def _tick(at: int, low: float, high: float) -> tuple[str, str]:
    return f"{at * 100 / TICKS:g}", f"{high - at * (high - low) / TICKS:.3g}".replace("-", "−")


def newest_of(benchmark_ids: Sequence[str]) -> dict[str, list[Evaluation]]:
    """Return for each benchmark its candidates' newest completed runs, the newest first; two queries."""
    rows = Evaluation.objects.filter(benchmark_id__in=benchmark_ids, job__status=Status.COMPLETED).order_by()
    newest = rows.values("benchmark_id", "candidate").annotate(newest=Max("pk")).values_list("newest", flat=True)
    found: dict[str, list[Evaluation]] = {}
    for run in Evaluation.objects.filter(pk__in=list(newest)).select_related("job").defer("config").order_by("-id"):
        found.setdefault(run.benchmark_id, []).append(run)
    return {name: some[:NAMED] for name, some in found.items()}


def counts_of(benchmark_ids: Sequence[str]) -> dict[str, int]:
    """Return how many runs each benchmark has."""
    rows = Evaluation.objects.filter(benchmark_id__in=benchmark_ids).order_by().values_list("benchmark_id")
    return dict(rows.annotate(Count("pk")))
