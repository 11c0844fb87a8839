"""How candidates stand on a benchmark: their newest scores and their best."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, Max

from apps.evals.models import Benchmark, Evaluation
from apps.evals.spread import Headline
from apps.jobs.models import Status

LOOKED_AT = 200  # newest runs a leaderboard and a history are made of
NAMED = 3  # candidates a list names


@dataclass(frozen=True)
class Standing:
    """A candidate: its newest run with its scores, and how far each is from the run before and from the baseline.

    Equals share a place. Who was asked only a part of the rows has none, nor has who has no score of the function.
    """

    place: int | None
    is_part: bool
    newest: Evaluation
    scores: list[tuple[str, Headline, float | None, float | None]]
    best: float | None
    runs: int


@dataclass(frozen=True)
class Newest:
    """The newest runs of a few candidates, each with its score of the benchmark's first function.

    There are ``others`` more candidates.
    """

    scored: list[tuple[Evaluation, Headline]]
    others: int


def scores_of(run: Evaluation, functions: Sequence[str] | None = None) -> list[tuple[str, Headline]]:
    """Return each function with the one number its scores come to."""
    return [(name, run.headline(name)) for name in (run.scoring if functions is None else functions)]


def completed(benchmark_id: str) -> list[Evaluation]:
    """Return the newest completed runs of a benchmark, newest first."""
    rows = Evaluation.objects.filter(benchmark_id=benchmark_id, job__status=Status.COMPLETED).select_related("job")
    return list(rows.defer("config", "scoring").order_by("-id")[:LOOKED_AT])


def leaderboard(
    runs: Sequence[Evaluation], functions: Sequence[str], by: str, baseline: Evaluation | None
) -> list[Standing]:
    """Return who stands where by the newest score of one function; the other functions put equals in order.

    A candidate is a model or an agent asked in one way. One that has no score of it, or was only asked some rows, has
    no place.
    """
    order = [by, *(name for name in functions if name != by)]
    measured = comparable(runs)
    found: dict[str, list[Evaluation]] = {}
    for run in runs:
        found.setdefault(run.fingerprint, []).append(run)
    ranked = [some for one in found.values() if (some := [run for run in one if run in measured])]
    ranked.sort(key=lambda some: [-_value(some[0].headline(name).value) for name in order])
    placed = _places([some[0].headline(by).value for some in ranked])
    others = [one for one in found.values() if not any(run in measured for run in one)]
    return [
        *(_standing(place, False, some, functions, by, baseline) for place, some in zip(placed, ranked, strict=True)),
        *(_standing(None, True, some, functions, by, baseline) for some in others),
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


def _standing(
    place: int | None,
    is_part: bool,
    runs: list[Evaluation],
    functions: Sequence[str],
    by: str,
    baseline: Evaluation | None,
) -> Standing:
    newest, base = runs[0], None if baseline == runs[0] else baseline
    scores = [
        (name, told, change, against)
        for (name, told), change, against in zip(
            scores_of(newest, functions),
            _changes(newest, runs[1] if len(runs) > 1 else None, functions),
            _changes(newest, base, functions),
            strict=True,
        )
    ]
    numbers = [value for run in runs if (value := run.headline(by).value) is not None]
    return Standing(place, is_part, newest, scores, max(numbers, default=None), len(runs))


def _changes(run: Evaluation, other: Evaluation | None, functions: Sequence[str]) -> list[float | None]:
    """Return how far each function's number is from that of another run of as many rows; None where there is none."""
    if other is None or run.row_total != other.row_total:
        return [None] * len(functions)
    pairs = [(run.headline(name).value, other.headline(name).value) for name in functions]
    return [None if now is None or then is None else now - then for now, then in pairs]


def _value(value: float | None) -> float:
    return float("-inf") if value is None else value


def newest_of(benchmarks: Iterable[Benchmark]) -> dict[str, Newest]:
    """Return the newest scores of each benchmark; two queries."""
    scored_by = {one.benchmark_id: one.scoring_functions[:1] for one in benchmarks}
    rows = Evaluation.objects.filter(benchmark_id__in=scored_by, job__status=Status.COMPLETED).order_by()
    places: dict[str, list[int]] = {name: [] for name in scored_by}
    newest = rows.values("benchmark_id", "fingerprint").annotate(newest=Max("pk"))
    for name, place in newest.order_by("-newest").values_list("benchmark_id", "newest"):
        places[name].append(place)
    named = [place for some in places.values() for place in some[:NAMED]]
    runs = Evaluation.objects.select_related("job").defer("config").in_bulk(named)
    found = {name: [runs[place] for place in some[:NAMED] if place in runs] for name, some in places.items()}
    return {
        name: Newest([(run, _headline(run, scored_by[name])) for run in some], len(places[name][NAMED:]))
        for name, some in found.items()
    }


def _headline(run: Evaluation, functions: Sequence[str]) -> Headline:
    return next((told for _, told in scores_of(run, functions)), Headline(None, ""))


def counts_of(benchmark_ids: Sequence[str]) -> dict[str, int]:
    """Return how many runs each benchmark has."""
    rows = Evaluation.objects.filter(benchmark_id__in=benchmark_ids).order_by().values_list("benchmark_id")
    return dict(rows.annotate(Count("pk")))
