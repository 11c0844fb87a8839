"""A run held against another row by row: what got better, what got worse, and whether that could be chance.

Rows are the same when their content is: first those at the same place, then what moved. Of each row only its digest
and its scores are read. Higher scores count as better.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from django.db.models.functions import MD5
from pydantic_core import from_json

from apps.evals import results, spread
from apps.evals.compare import certainty
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.scoring.base import aggregate

Json = dict[str, Any]
BETTER, SAME, WORSE, CHANGED, UNSCORED, NEITHER = "better", "same", "worse", "changed", "unscored", "neither"
FLIPPED = (BETTER, WORSE, CHANGED, UNSCORED)
CLOSE = 1e-9  # what adding up in another order may change
LATE = 10_000  # more rows than these are compared once a page is there: that takes its time
CHUNK = 2_000
GAP = 0.6  # between the parts of a bar, in hundredths of its width


@dataclass(frozen=True, slots=True)
class Side:
    """What one run has scored: places and digests of its rows, each function's score rows in that order, the
    milliseconds each took, and what people gave it.
    """

    run: Evaluation
    positions: list[int]
    digests: list[str]
    scores: dict[str, list[Json]]
    times: list[float | None]
    human: list[float | None]


@dataclass(frozen=True, slots=True)
class Means:
    """The means of a number over the rows for which both runs have it, and how many those are."""

    base: float
    other: float
    rows: int


@dataclass(frozen=True)
class Outcome:
    """What one scoring function says of two runs; ``kinds`` has a word for each pair of rows."""

    name: str
    base: spread.Headline
    other: spread.Headline
    kinds: Sequence[str]
    is_shared: bool

    @cached_property
    def counts(self) -> Counter[str]:
        """How many pairs are of which kind."""
        return Counter(self.kinds)

    @property
    def flipped(self) -> int:
        """How many pairs are not what they were."""
        return sum(self.counts[kind] for kind in FLIPPED)

    @property
    def delta(self) -> float | None:
        """The difference of the two numbers; None when one of them is none."""
        if self.base.value is None or self.other.value is None:
            return None
        return self.other.value - self.base.value

    @property
    def certainty(self) -> certainty.Certainty:
        """Whether better and worse differ by more than chance; verdicts have no order, so nothing is told of them."""
        counts = self.counts
        if counts[CHANGED] and not counts[BETTER] + counts[WORSE]:
            return certainty.Certainty(None, "verdicts have no order")
        return certainty.of(counts[BETTER], counts[WORSE])

    @property
    def bar(self) -> list[Json]:
        """The parts of the bar from left to right: kind, place and width in hundredths."""
        counts = self.counts
        shown = [(kind, counts[kind]) for kind in (BETTER, CHANGED, SAME, UNSCORED, WORSE) if counts[kind]]
        total, room = sum(count for _, count in shown), 100 - GAP * max(0, len(shown) - 1)
        parts, at = [], 0.0
        for kind, count in shown:
            width = count / total * room
            parts.append({"kind": kind, "x": f"{at:.2f}%", "width": f"{width:.2f}%"})
            at += width + GAP
        return parts


@dataclass(frozen=True)
class Comparison:
    """Two runs: the pairs of places of the same rows, and what each scoring function says of them."""

    base: Evaluation
    other: Evaluation
    pairs: list[tuple[int, int]]
    outcomes: list[Outcome]
    base_only: int
    other_only: int
    times: Means | None
    human: Means | None

    def outcome(self, name: str) -> Outcome | None:
        """Return what a function both runs used says; for a name that is none of them, the first that flipped rows."""
        shared = [one for one in self.outcomes if one.is_shared]
        named = [one for one in shared if one.name == name]
        return next(iter([*named, *(one for one in shared if one.flipped), *shared]), None)


def side(run: Evaluation) -> Side:
    """Return what a run has scored so far; one query that reads neither questions nor answers."""
    rows = EvaluatedRow.objects.filter(evaluation=run.pk).order_by("position").annotate(digest=MD5("row"))
    positions: list[int] = []
    digests: list[str] = []
    scores: dict[str, list[Json]] = {name: [] for name in run.scoring}
    times: list[float | None] = []
    human: list[float | None] = []
    columns = ("position", "digest", "scores", "duration_ms", "human")
    for position, digest, text, took, mean in rows.values_list(*columns).iterator(CHUNK):
        positions.append(position)
        digests.append(digest)
        times.append(took)
        human.append(mean)
        told = from_json(text)
        for name, some in scores.items():
            some.append(results.light(told.get(name) or {"score": None}))
    return Side(run, positions, digests, scores, times, human)


def compare(base: Side, other: Side) -> Comparison:
    """Return what became of each row and of each function's scores from one run to the other."""
    found = joined(base, other)
    names = list(dict.fromkeys([*base.scores, *other.scores]))
    return Comparison(
        base.run,
        other.run,
        [(base.positions[one], other.positions[two]) for one, two in found],
        [_outcome(name, base, other, found) for name in names],
        len(base.positions) - len(found),
        len(other.positions) - len(found),
        _means(base.times, other.times, found),
        _means(base.human, other.human, found),
    )


def _means(
    base: Sequence[float | None], other: Sequence[float | None], pairs: Sequence[tuple[int, int]]
) -> Means | None:
    both = [(base[one], other[two]) for one, two in pairs]
    known = [(one, two) for one, two in both if one is not None and two is not None]
    return Means(fmean(one for one, _ in known), fmean(two for _, two in known), len(known)) if known else None


def joined(base: Side, other: Side) -> list[tuple[int, int]]:
    """Return the indexes of the rows of the same content, in the base's order; each row is paired once."""
    places = {position: at for at, position in enumerate(other.positions)}
    pairs: dict[int, int] = {}
    for at, (position, digest) in enumerate(zip(base.positions, base.digests, strict=True)):
        there = places.get(position)
        if there is not None and other.digests[there] == digest:
            pairs[at] = there
    if len(pairs) < min(len(base.positions), len(other.positions)):
        pairs |= _moved(base, other, pairs)
    return sorted(pairs.items())


def _moved(base: Side, other: Side, paired: Mapping[int, int]) -> dict[int, int]:
    """Return pairs of rows that stand elsewhere in the other run; of equal ones the first with the first."""
    taken = set(paired.values())
    left: dict[str, list[int]] = defaultdict(list)
    for at in reversed(range(len(other.digests))):
        if at not in taken:
            left[other.digests[at]].append(at)
    rest = (at for at in range(len(base.digests)) if at not in paired)
    return {at: left[digest].pop() for at in rest if left.get(digest := base.digests[at])}


def _outcome(name: str, base: Side, other: Side, pairs: Sequence[tuple[int, int]]) -> Outcome:
    before, after = base.scores.get(name), other.scores.get(name)
    if before is None or after is None:
        return Outcome(name, _headline(base, name), _headline(other, name), [], False)
    old, new = [before[one] for one, _ in pairs], [after[two] for _, two in pairs]
    kinds = [kind(one["score"], two["score"]) for one, two in zip(old, new, strict=True)]
    asked = [one.run.scoring[name] for one in (base, other)]
    told = _summed(asked[0], old), _summed(asked[1], new)
    return Outcome(name, *told, kinds, True)


def kind(before: Any, after: Any) -> str:
    """Return what became of a score; scores that are no numbers can only change."""
    if before is None or after is None:
        return NEITHER if before is after else UNSCORED
    one, two = spread.number(before), spread.number(after)
    if one is None or two is None:
        return SAME if before == after else CHANGED
    if abs(one - two) <= CLOSE:
        return SAME
    return BETTER if two > one else WORSE


def _headline(one: Side, name: str) -> spread.Headline:
    """Return what all rows of a run come to, for a function the other run does not have."""
    if name not in one.scores:
        return spread.Headline(None, "")
    return _summed(one.run.scoring[name], one.scores[name])


def _summed(asked: Json, rows: Sequence[Json]) -> spread.Headline:
    """Return the number some score rows come to, as the run's own aggregations have it."""
    told = aggregate(rows, asked["params"]["aggregation_functions"])
    return spread.headline(told, {} if told else spread.of(rows))
