"""How candidates stand on a benchmark: their newest scores and their best."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import Count, Max

from apps.evals.current import CURRENT
from apps.evals.models import Benchmark, Evaluation
from apps.evals.spread import Headline

LOOKED_AT = 200  # newest runs a leaderboard and a history are made of
NAMED = 3  # candidates a list names


class Score(NamedTuple):
    """What a candidate's newest run scored by a function, and how far that is from the run it is held against."""

    function: str
    headline: Headline
    change: float | None


@dataclass(frozen=True)
class Standing:
    """A candidate, that is a model or an agent asked in one way: its newest run with its scores.

    These are held against the benchmark's baseline; where it has none, against the candidate's run before.
    Equals share a place. Who was asked only a part of the rows has none, nor has who has no score of the function.
    """

    place: int | None
    is_part: bool
    is_baseline: bool
    newest: Evaluation
    scores: list[Score]
    best: float | None
    runs: int


@dataclass(frozen=True)
class Newest:
    """The newest runs of a few candidates, each with its score by the function that tells them apart.

    There are ``others`` more candidates.
    """

    by: str
    scored: list[tuple[Evaluation, Headline]]
    others: int


def scores_of(run: Evaluation) -> list[tuple[str, Headline]]:
    """Return each function of a run with the one number its scores come to."""
    return [(name, run.headline(name)) for name in run.scoring]


def completed(benchmark_id: str) -> list[Evaluation]:
    """Return the newest completed runs of a benchmark as it is now, newest first."""
    rows = Evaluation.objects.filter(CURRENT, benchmark_id=benchmark_id).completed().listed()
    return list(rows.defer("scoring")[:LOOKED_AT])


def left_out(benchmark_id: str) -> int:
    """Return how many completed runs have no place: they are of an earlier benchmark or dataset of the same id."""
    return Evaluation.objects.filter(benchmark_id=benchmark_id).exclude(CURRENT).completed().count()


def leaderboard(
    runs: Sequence[Evaluation], functions: Sequence[str], by: str, baseline: Evaluation | None
) -> list[Standing]:
    """Return who stands where by the newest score of one function; the other functions put equals in order."""
    order = [by, *(name for name in functions if name != by)]
    measured = set(comparable(runs))
    candidates: dict[str, list[Evaluation]] = {}
    for run in runs:
        candidates.setdefault(run.fingerprint, []).append(run)
    ranked = [kept for some in candidates.values() if (kept := [run for run in some if run in measured])]
    ranked.sort(key=lambda some: [-_value(some[0].headline(name).value) for name in order])
    places = _places([some[0].headline(by).value for some in ranked])
    asked_a_part = [some for some in candidates.values() if measured.isdisjoint(some)]

    def standing(some: list[Evaluation], place: int | None, *, is_part: bool) -> Standing:
        numbers = [value for run in some if (value := run.headline(by).value) is not None]
        is_baseline = baseline is not None and baseline.fingerprint == some[0].fingerprint
        scores = _scores(some[0], baseline or next(iter(some[1:]), None), functions)
        return Standing(place, is_part, is_baseline, some[0], scores, max(numbers, default=None), len(some))

    return [
        *(standing(some, place, is_part=False) for some, place in zip(ranked, places, strict=True)),
        *(standing(some, None, is_part=True) for some in asked_a_part),
    ]


def telling(runs: Sequence[Evaluation], functions: Sequence[str]) -> str:
    """Return the first function whose scores tell runs apart, else the first; "" without any."""
    measured = comparable(runs)
    differing = (name for name in functions if len({run.headline(name).value for run in measured}) > 1)
    return next(differing, next(iter(functions), ""))


def comparable(runs: Sequence[Evaluation]) -> list[Evaluation]:
    """Return the runs whose scores speak of the same rows: of all there were, else of as many as the newest asked."""
    some = [run for run in runs if run.row_count]
    whole = [run for run in some if not run.is_partial]
    return whole or [run for run in some if run.row_total == some[0].row_total]


def _places(values: list[float | None]) -> list[int | None]:
    """Return the place of each of the values, which are in order, from 1; equals share one, no value has none."""
    return [None if value is None else values.index(value) + 1 for value in values]


def _scores(run: Evaluation, other: Evaluation | None, functions: Sequence[str]) -> list[Score]:
    """Return what a run scored by each function, held against another run."""
    return [Score(name, run.headline(name), _change(run, other, name)) for name in functions]


def _change(run: Evaluation, other: Evaluation | None, function: str) -> float | None:
    """Return how far a function's number is from that of another run of as many rows; None without such a run."""
    if other is None or other == run or run.row_total != other.row_total:
        return None
    now, then = run.headline(function).value, other.headline(function).value
    return None if now is None or then is None else now - then


def _value(value: float | None) -> float:
    return float("-inf") if value is None else value


def newest_of(benchmarks: Iterable[Benchmark]) -> dict[str, Newest]:
    """Return the newest scores of each benchmark; two queries."""
    scored_by = {one.benchmark_id: one.scoring_functions for one in benchmarks}
    runs = Evaluation.objects.filter(CURRENT, benchmark_id__in=scored_by).completed()
    places: dict[str, list[int]] = {name: [] for name in scored_by}
    newest = runs.order_by().values("benchmark_id", "fingerprint").annotate(newest=Max("pk"))
    for name, place in newest.order_by("-newest").values_list("benchmark_id", "newest"):
        places[name].append(place)
    found = Evaluation.objects.listed().in_bulk([place for some in places.values() for place in some[:NAMED]])
    return {
        name: _newest([found[place] for place in some[:NAMED] if place in found], scored_by[name], len(some[NAMED:]))
        for name, some in places.items()
    }


def _newest(runs: Sequence[Evaluation], functions: Sequence[str], others: int) -> Newest:
    by = telling(runs, functions)
    return Newest(by, [(run, run.headline(by)) for run in runs], others)


def counts_of(benchmark_ids: Sequence[str]) -> dict[str, int]:
    """Return how many runs each benchmark has."""
    rows = Evaluation.objects.filter(benchmark_id__in=benchmark_ids).order_by().values_list("benchmark_id")
    return dict(rows.annotate(Count("pk")))
