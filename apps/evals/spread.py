"""How scores are distributed, what they come to in one number, which rows are bad. Knows no database and no page."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

Json = dict[str, Any]
NO_NUMBER = 1e9  # the worst score of a row that has none a number could be read from
UNSCORED = -1e9  # of a row that was not answered, or that a function could not score
MOST_BARS = 10
MOST = 1e100
LONGEST_LABEL = 24
LONGEST_WHY = 300
# What an aggregation's number is called, in the order in which one is taken to stand for all.
TOLD = {"accuracy": "accuracy", "average": "average", "weighted_average": "weighted average", "median": "median"}


@dataclass(frozen=True, slots=True)
class Headline:
    """What the scores of a function come to: a number where there is one, and what it is."""

    value: float | None
    label: str
    words: str = ""


def number(score: Any) -> float | None:
    """Return a score as a number: judges write theirs as text. None for what is no number one can count with."""
    try:
        found = float(score) if isinstance(score, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and abs(found) < MOST else None


def worst(scores: Mapping[str, Json], error: str) -> float:
    """Return a row's lowest score; rows without an answer or a score come before all others."""
    if error or any(one.get("score") is None for one in scores.values()):
        return UNSCORED
    numbers = [found for one in scores.values() if (found := number(one["score"])) is not None]
    return min(numbers, default=NO_NUMBER)


def lacks_scores(told: Json, failed: int) -> bool:
    """Return whether answers have no score, of what a run tells of its spread; rows that failed have none either."""
    return any(distribution.get("unscored", 0) > failed for distribution in told.get("functions", {}).values())


def usual_below(distribution: Json) -> float:
    """Return the number under which a score is low if nobody says: 0.5 for shares, else the middle of most scores."""
    low, high = distribution.get("low", 0.0), distribution.get("high", 1.0)
    middle = distribution.get("middle", (low + high) / 2)  # runs that ended earlier were not told theirs
    return 0.5 if 0 <= low <= high <= 1 else round(middle, 4)


def why_not(score_row: Json) -> str:
    """Return why a row has no score, empty for one that has one or where nothing is told."""
    return str(score_row.get("error") or "") if score_row.get("score") is None else ""


def of(score_rows: Sequence[Json]) -> Json:
    """Return how the scores of a function are distributed: how many there are, what they range over, and bars to draw.

    Where some are missing, ``why`` is the commonest reason that is told.
    """
    scores = [row.get("score") for row in score_rows]
    known = [score for score in scores if score is not None]
    numbers = [found for score in known if (found := number(score)) is not None]
    told: Json = {"scored": len(known), "unscored": len(scores) - len(known)}
    if reasons := Counter(why for row in score_rows if (why := why_not(row))):
        told["why"] = reasons.most_common(1)[0][0][:LONGEST_WHY]
    if numbers:
        told |= {"low": min(numbers), "high": max(numbers), "mean": fmean(numbers), "sd": pstdev(numbers)}
        told["middle"] = _middle(numbers)
    are_numbers = bool(numbers) and len(numbers) == len(known)
    return told | {"bars": _numeric(numbers) if are_numbers else _counted(known), "is_number": are_numbers}


def _middle(numbers: Sequence[float]) -> float:
    """Return the middle between low and high scores, a tenth of them left out at either end, one of three at least."""
    ordered, last = sorted(numbers), len(numbers) - 1
    return (ordered[math.ceil(last / 10)] + ordered[math.floor(last * 9 / 10)]) / 2


def _numeric(numbers: Sequence[float]) -> list[list[Any]]:
    """Return a bar for each whole number where all are whole and near each other, else one for each tenth of a scale.

    The scale is not the range of these scores: bars stay where they are while rows come, and two runs have the same.
    """
    low, high = min(numbers), max(numbers)
    if high - low <= MOST_BARS and all(value.is_integer() for value in numbers):
        if low >= 0 and high <= 1:
            low, high = 0.0, 1.0  # right and wrong are both shown, also when one never happened
        whole = Counter(int(value) for value in numbers)
        return [[_label(value), whole[value]] for value in range(int(low), int(high) + 1)]
    begin, end = -_round_up(-low) if low < 0 else 0.0, _round_up(high) if high > 0 else 0.0
    bins = Counter(min(MOST_BARS - 1, int((value - begin) * MOST_BARS / (end - begin))) for value in numbers)
    edges = [_label(begin + (end - begin) * at / MOST_BARS) for at in range(MOST_BARS + 1)]
    return [[f"{edges[at]}–{edges[at + 1]}", bins[at]] for at in range(MOST_BARS)]


def _round_up(value: float) -> float:
    """Return the end of the scale a number above 0 is shown on: 1, or the next of 2, 5, 10, 20, 50 and so on."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 1 else 1.0
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _counted(known: Sequence[Any]) -> list[list[Any]]:
    counts = Counter(str(score)[:LONGEST_LABEL] for score in known)
    shown = sorted(counts.most_common(MOST_BARS))
    rest = len(known) - sum(count for _, count in shown)
    return [[label, count] for label, count in shown] + ([["others", rest]] if rest else [])


def _label(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


def headline(aggregated: Json, distribution: Json) -> Headline:
    """Return the one number that stands for a function's scores, of what they come to and their distribution.

    There is none where not one row was scored: an accuracy would say 0 of rows nobody could judge.
    """
    if distribution.get("scored") == 0:
        return Headline(None, "")
    if sums := _sums(aggregated):
        return sums[0]
    return Headline(distribution["mean"], "mean") if distribution.get("is_number") else Headline(None, "")


def further(aggregated: Json, distribution: Json) -> list[Headline]:
    """Return what else a function's scores come to, beside the number that stands for them."""
    return [] if distribution.get("scored") == 0 else _sums(aggregated)[1:]


def _sums(aggregated: Json) -> list[Headline]:
    """Return what each aggregation gave, the most telling first."""
    found = []
    for name, label in TOLD.items():
        told = aggregated.get(name) or {}
        if number(told.get(name)) is not None:
            words = f"{told['num_correct']:,.12g} of {told['num_total']:,}" if name == "accuracy" else ""
            found.append(Headline(float(told[name]), label, words))
    counts = (aggregated.get("categorical_count") or {}).get("categorical_count") or {}
    if counts:
        shown = sorted(counts.items(), key=lambda one: -one[1])[:4]
        words = " · ".join(f"{name[:LONGEST_LABEL]} {count:,}" for name, count in shown)
        found.append(Headline(None, "count", words))
    return found
