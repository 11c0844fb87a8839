"""The rows of an evaluation by the values of a column: how many there are of each, and what their scores come to."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import fmean
from typing import Any

from django.http import QueryDict
from pydantic_core import from_json

from apps.core.fields import json_value
from apps.evals import functions, results, spread
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.runs import grid, low_scores, row_json
from apps.evals.runs.row_filter import Filter
from apps.evals.spread import Headline, Json

LOOKED_AT = 50  # rows that tell which columns are worth it
OFFERED = 30
LONGEST = 100  # characters of a value that may stand for a kind of rows
MOST = 50  # slices told one by one
CELL = 80
ScoreRows = tuple[Json, ...]  # of a row, one for each function


@dataclass(frozen=True)
class Slice:
    """Rows with one value, or all with a rare one: those have no link."""

    label: str
    link: str
    is_chosen: bool
    rows: int
    failed: int
    scores: list[tuple[str, Headline]]
    human: float | None


@dataclass
class _Group:
    """What was read of the rows of a slice."""

    failed: int = 0
    human: list[float] = field(default_factory=list)
    scores: list[ScoreRows] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.scores)

    def add(self, other: "_Group") -> None:
        self.failed += other.failed
        self.human += other.human
        self.scores += other.scores


def columns(evaluation: Evaluation, chosen: str) -> list[str]:
    """Return the columns worth slicing by, as the first rows tell: short values that come more than once.

    The chosen one is among them whatever the rows say.
    """
    rows = EvaluatedRow.objects.filter(evaluation=evaluation.pk).order_by("position")
    values = [json_value(text) for text in rows.values_list("row", flat=True)[:LOOKED_AT]]
    names = dict.fromkeys(name for value in values for name in value)
    found = [
        name for name in names if row_json.is_name(name) and _is_worth([one[name] for one in values if name in one])
    ]
    return list(dict.fromkeys([*found[:OFFERED], *([chosen] if chosen else [])]))


def _is_worth(values: list[Any]) -> bool:
    known = [value for value in values if value is not None]
    if any(isinstance(value, list | dict) or len(str(value)) > LONGEST for value in known):
        return False
    return 0 < len({str(value) for value in known}) < len(known)


def table(evaluation: Evaluation, meant: Filter, query: QueryDict) -> list[Slice]:
    """Return the slices of the column the address names, the largest first, rare values as one; empty without rows.

    Scores are added up as those of the whole evaluation are, so that the numbers can be held against its tiles.
    """
    groups = _groups(evaluation, meant.column)
    names = sorted(groups, key=lambda name: (-groups[name].rows, name))
    labels = Counter(label_of(name) for name in names[:MOST])
    told = [_slice(evaluation, meant, query, name, groups[name], labels) for name in names[:MOST]]
    if len(names) > MOST:
        rest = _Group()
        for name in names[MOST:]:
            rest.add(groups[name])
        label = f"{len(names) - MOST:,} others"
        told.append(
            Slice(label, "", False, rest.rows, rest.failed, _scores(evaluation, rest.scores), _mean(rest.human))
        )
    return told


def _groups(evaluation: Evaluation, column: str) -> dict[str, _Group]:
    @lru_cache(results.KINDS)  # most functions give the same few scores again and again: such are read once
    def told(scores: str) -> ScoreRows:
        all_ = from_json(scores)
        return tuple(results.light(all_.get(name) or {"score": None}) for name in evaluation.scoring)

    rows = EvaluatedRow.objects.filter(evaluation=evaluation.pk).order_by()
    groups: dict[str, _Group] = defaultdict(_Group)
    # The value comes first: a name that is given to an expression stands before the columns.
    for value, error, human, scores in rows.values_list(row_json.column(column), "error", "human", "scores").iterator(
        2_000
    ):
        group = groups[value]
        group.failed += bool(error)
        group.scores.append(told(scores))
        if human is not None:
            group.human.append(human)
    return groups


def _slice(
    evaluation: Evaluation, meant: Filter, query: QueryDict, value: str, group: _Group, labels: Mapping[str, int]
) -> Slice:
    label = label_of(value)
    if labels[label] > 1:
        label = value[:CELL]  # as JSON, which tells 1 from "1"
    is_chosen = value == meant.value
    link = grid.changed(query, **{"is": "" if is_chosen else value})
    scores = _scores(evaluation, group.scores)
    return Slice(label, link, is_chosen, group.rows, group.failed, scores, _mean(group.human))


def _scores(evaluation: Evaluation, rows: Sequence[ScoreRows]) -> list[tuple[str, Headline]]:
    by_name = dict(zip(evaluation.scoring, zip(*rows, strict=True), strict=True))
    told = functions.aggregated(evaluation.scoring, by_name)
    found = {name: spread.headline(one, {"scored": _scored(by_name[name])}) for name, one in told.items()}
    # How scores lie is asked only where nothing was to be added up: it takes longer than all the rest.
    return [(name, one if one.label else spread.headline({}, spread.of(by_name[name]))) for name, one in found.items()]


def _scored(rows: Sequence[Json]) -> int:
    return sum(row["score"] is not None for row in rows)


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None


def label_of(value: str) -> str:
    """Return a slice's value as people read it, from its JSON text."""
    if value == row_json.NOTHING:
        return "(none)"
    try:
        text = grid.words_of(json_value(value))
    except ValueError:  # it was too long and is cut
        text = json.dumps(value, ensure_ascii=False)[1:-1]
    return text[:CELL] or "(empty)"


def chips(evaluation: Evaluation, meant: Filter, query: QueryDict) -> list[tuple[str, str]]:
    """Return what leaves rows out beside words, in words, each with the address without it."""
    found = []
    if meant.value is not None:
        found.append((f"{meant.column}: {label_of(meant.value)}", grid.changed(query, **{"is": ""})))
    if meant.unscored:
        found.append(("not scored by people", grid.changed(query, unscored="")))
    if meant.cut:
        found.append(("cut off", grid.changed(query, cut="")))
    if meant.failing:
        told = low_scores.words(evaluation, meant.scorer, meant.below)
        found.append((f"failing {told}", grid.changed(query, failing="", below="")))
    return found
