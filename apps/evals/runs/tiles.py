"""The tiles of an evaluation's page: what each function's scores come to, their distribution, what is missing."""

from collections.abc import Mapping
from typing import Any

from apps.evals import human, spread, standings
from apps.evals.compare.since_baseline import Change
from apps.evals.models import Evaluation
from apps.evals.spread import Headline

Json = dict[str, Any]
BAR_HEIGHT = 40


def of(evaluation: Evaluation, changes: Mapping[str, Change]) -> list[Json]:
    """Return for each function, and for people, headline, change and distribution, with bars ready to be drawn."""
    so_far = evaluation.spread.get("rows", 0) if evaluation.job.is_active else None
    found = [
        _tile(name, told, evaluation.distribution(name))
        | {
            "further": spread.further(evaluation.aggregated.get(name) or {}, evaluation.distribution(name)),
            "change": changes.get(name),
            "missing": _missing(evaluation, told, evaluation.distribution(name)),
            "so_far": so_far,
        }
        for name, told in standings.scores_of(evaluation)
    ]
    by_people = human.distribution(evaluation)
    if by_people:
        told = Headline(by_people["mean"], "mean", f"{by_people['scored']:,} of {evaluation.row_count:,} rows")
        missing = f"{by_people['unscored']:,} not scored" if by_people["unscored"] else ""
        found.append(_tile("Human", told, by_people) | {"is_human": True, "missing": missing})
    return found


def _tile(name: str, told: Headline, distribution: Json) -> Json:
    bars = distribution.get("bars") or []
    most = max((count for _, count in bars), default=0)
    width = 100 / max(1, len(bars))
    drawn = [
        {
            "label": label,
            "count": count,
            "x": f"{at * width + width * 0.1:.2f}%",
            "width": f"{width * 0.8:.2f}%",
            "y": BAR_HEIGHT - _height(count, most),
            "height": _height(count, most),
        }
        for at, (label, count) in enumerate(bars)
    ]
    return {"name": name, "told": told, "distribution": distribution, "bars": drawn, "labels": _labels(drawn)}


def _height(count: int, most: int) -> int:
    return max(2, round(count / most * BAR_HEIGHT)) if count and most else 0


def _labels(bars: list[Json]) -> list[str]:
    """Return the words under the bars: all of a few, the ends of many."""
    labels = [str(bar["label"]) for bar in bars]
    return labels if len(labels) <= 6 else [labels[0].partition("–")[0], labels[-1].rpartition("–")[2]]


def _missing(evaluation: Evaluation, told: Headline, distribution: Json) -> str:
    """Return what became of the rows that a function did not score, in words; empty where there are none.

    An accuracy counts them as wrong; the other numbers, and the bars, leave them out.
    """
    if not distribution.get("unscored"):
        return ""
    if distribution["scored"]:
        became = "counted as wrong" if told.label == "accuracy" else "left out"
        return f"{distribution['unscored']:,} not scored, {became}"
    return "Nothing was answered" if evaluation.failed_count == evaluation.row_count else "No row was scored"
