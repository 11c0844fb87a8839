"""Which rows of an evaluation went badly: those without an answer, with a low score, or with a verdict."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from django.db.models import QuerySet
from pydantic_core import from_json

from apps.evals import spread
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.runs import low_scores

CHUNK = 500
ERROR, LOW, HUMAN = "error", "low", "human"
LOW_BY = "low:"  # before a function's name: its scores alone


@dataclass(frozen=True, slots=True)
class Failing:
    """What makes a row a failing one: no answer, a low score, also by people, or a verdict (``function=verdict``).

    A low score is one of any function, or of the one that ``low:function`` names; without a number to be below, each
    function's usual one decides.
    """

    which: str
    below: float | None = None
    at_most: int = 2

    def rows(self, evaluation: Evaluation) -> Iterator[EvaluatedRow]:
        """Yield them in their order."""
        name, verdict = self.verdict
        for row in self._found(evaluation).iterator(CHUNK):
            if not name or _verdict_of(row, name) == verdict:
                yield row

    def look(self, evaluation: Evaluation, most: int) -> tuple[int, list[EvaluatedRow]]:
        """Return how many they are, and the first of them."""
        if self.verdict[0]:  # the database cannot tell which rows have it
            rows = self.rows(evaluation)
            first = list(islice(rows, most))
            return len(first) + sum(1 for _ in rows), first
        found = self._found(evaluation)
        return found.count(), list(found[:most])

    def _found(self, evaluation: Evaluation) -> QuerySet[EvaluatedRow]:
        """Return the rows in their order; of a verdict those that may have it, for what means nothing none."""
        rows = EvaluatedRow.objects.filter(evaluation=evaluation.pk).order_by("position")
        if self.which == LOW or self.function:
            return low_scores.only(rows, evaluation, self.function, self.below)
        if self.which == ERROR:
            return rows.exclude(error="")
        if self.which == HUMAN:
            return rows.filter(human__lte=self.at_most)
        return rows.filter(error="") if self.verdict[0] else rows.none()

    @property
    def function(self) -> str:
        """The function whose low scores are meant, empty for any and where none are meant."""
        return self.which.removeprefix(LOW_BY) if self.which.startswith(LOW_BY) else ""

    @property
    def verdict(self) -> tuple[str, str]:
        """The function whose verdict is meant, and the verdict; no function where none is meant."""
        name, _, verdict = ("", "", "") if self.function else self.which.rpartition("=")
        return name, verdict


def _verdict_of(row: EvaluatedRow, name: str) -> str:
    score = (from_json(row.scores).get(name) or {}).get("score")
    return "" if score is None else str(score)[: spread.LONGEST_LABEL]


def choices(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return the ways to say which rows fail that mean something for this evaluation."""
    found = [(LOW, "With a score below a number, or without one"), (ERROR, "Without an answer")]
    if len(numeric := low_scores.numeric(evaluation)) > 1:
        found[0] = (LOW, f"Failing {low_scores.words(evaluation)}, or without a score")
        found[1:1] = [(LOW_BY + name, f"{name} below a number, or without its score") for name in numeric]
    if evaluation.human_scores.exists():
        found.append((HUMAN, "With a human score of at most a number"))
    for name in evaluation.scoring:
        distribution = evaluation.distribution(name)
        if not distribution.get("is_number"):
            found += [(f"{name}={label}", f"{name} said {label}") for label, _ in distribution.get("bars", [])]
    return found


def asks_below(evaluation: Evaluation, which: str) -> bool:
    """Return whether a number to be below belongs to it: scores of several functions have no number in common."""
    return bool(Failing(which).function) or (which == LOW and len(low_scores.numeric(evaluation)) < 2)


def usual_below(evaluation: Evaluation, which: str) -> float:
    """Return the number under which a score is low if nobody says, for the rows that are meant."""
    function = Failing(which).function or next(iter(low_scores.numeric(evaluation)), "")
    return low_scores.below(evaluation, function)
