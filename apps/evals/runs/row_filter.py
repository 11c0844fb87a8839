"""Which rows of an evaluation an address means, and in which order: words they hold, a slice, those that fail."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, FloatField, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.http import QueryDict

from apps.evals import spread
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.runs import low_scores, row_json
from apps.evals.spread import NO_NUMBER

ORDERS = {"": "In order", "failures": "Failures first", "human": "Lowest human score"}
BEST = "best"  # the other way round; only of one function
LONGEST = 500
Place = tuple[float, ...]  # what rows are put in order by, and the row's position


@dataclass(frozen=True, slots=True)
class Filter:
    """What the address of an evaluation's page says of its rows; ``value`` is JSON text, None for all slices.

    ``scorer`` is the function that failing speaks of, empty for any of them; ``below`` the number its scores fail
    below, None for what is usual.
    """

    words: str = ""
    order: str = ""
    column: str = ""
    value: str | None = None
    unscored: bool = False
    scorer: str = ""
    failing: bool = False
    below: float | None = None
    cut: bool = False

    @classmethod
    def of(cls, query: QueryDict) -> "Filter":
        """Return what ``q``, ``by``, ``slice``, ``is``, ``unscored``, ``scorer``, ``failing``, ``below``, ``cut`` say.

        Nonsense is left out.
        """
        order, column, scorer = query.get("by", ""), query.get("slice", ""), query.get("scorer", "")
        column = column if row_json.is_name(column) else ""
        scorer = scorer if row_json.is_name(scorer) else ""
        return cls(
            words=query.get("q", "").strip()[:LONGEST],
            order=order if order in ORDERS or (order == BEST and scorer) else "",
            column=column,
            value=query.get("is", "")[: row_json.LONGEST_VALUE] if column and "is" in query else None,
            unscored=bool(query.get("unscored")),
            scorer=scorer,
            failing=bool(query.get("failing")),
            below=spread.number(query.get("below")),
            cut=bool(query.get("cut")),
        )

    @property
    def is_set(self) -> bool:
        """Whether it leaves any row out."""
        return bool(self.words or self.unscored or self.failing or self.cut or self.value is not None)

    def limits(self, evaluation: Evaluation) -> dict[str, float]:
        """Return the number below which each function's scores fail: what is usual, or what the address says."""
        usual = {name: low_scores.below(evaluation, name) for name in evaluation.scoring}
        if not self.failing or self.below is None:
            return usual
        return usual | dict.fromkeys([self.scorer] if self.scorer in usual else usual, self.below)

    def rows(self, evaluation: Evaluation) -> QuerySet[EvaluatedRow]:
        """Return the rows that are meant, in no order."""
        rows = EvaluatedRow.objects.filter(evaluation=evaluation.pk).order_by()
        if self.value is not None:
            rows = rows.alias(written=row_json.column(self.column)).filter(written=self.value)
        if self.unscored:
            rows = rows.filter(human=None)
        if self.cut:
            rows = rows.filter(is_cut=True)
        if self.failing:
            rows = low_scores.only(rows, evaluation, self.scorer, self.below)
        return rows.filter(_holding(self.words)) if self.words else rows

    def beyond(self, evaluation: Evaluation, place: Place | None, *, forward: bool) -> QuerySet[EvaluatedRow]:
        """Return the rows after a place in the order, or before it, the nearest first; all of them for no place.

        Each has its ``place``'s parts beside it, as ``place_of`` reads them.
        """
        ranks = self._ranks(evaluation)
        rows = self.rows(evaluation).annotate(**ranks)
        names = [*ranks, "position"]
        rows = rows.order_by(*(name if forward else f"-{name}" for name in names))
        return rows if place is None or len(place) != len(names) else rows.filter(_past(names, place, forward))

    def place_of(self, evaluation: Evaluation, row: EvaluatedRow) -> Place:
        """Return where a row stands in the order; asks the database for one that ``beyond`` did not return."""
        ranks = self._ranks(evaluation)
        if any(name not in vars(row) for name in ranks):
            row = EvaluatedRow.objects.annotate(**ranks).get(pk=row.pk)
        return (*(float(getattr(row, name)) for name in ranks), row.position)

    def _ranks(self, evaluation: Evaluation) -> dict[str, Any]:
        """Return what rows are put in order by before their position, by the names the database gives it."""
        if self.order == "human":
            return {"rank": Coalesce("human", Value(NO_NUMBER), output_field=FloatField())}
        if self.order and self.scorer in evaluation.scoring:
            return {"rank": row_json.score(self.scorer, is_turned=self.order == BEST)}
        if not self.order:
            return {}
        many = low_scores.count(evaluation)
        return {"rank": F("worst")} if many is None else {"many": many, "rank": F("worst")}


def _past(names: Sequence[str], place: Place, forward: bool) -> Q:
    """Return the condition for rows whose values of these names, the first one first, come after a place's."""
    over = "gt" if forward else "lt"
    past = Q(**{f"{names[-1]}__{over}": place[-1]})
    for name, at in zip(names[-2::-1], place[-2::-1], strict=True):
        past = Q(**{f"{name}__{over}": at}) | (Q(**{name: at}) & past)
    return past


def _holding(words: str) -> Q:
    """Return the condition for rows whose question, answer or error holds the words."""
    wanted = Q()
    # Text stands in the database as JSON has it, with or without its escapes.
    for form in {words, json.dumps(words, ensure_ascii=False)[1:-1], json.dumps(words)[1:-1]}:
        wanted |= Q(row__icontains=form) | Q(generation__icontains=form) | Q(error__icontains=form)
    return wanted
