"""When a score of an evaluation fails, and so a row, by one function or by any; said to the database too."""

from functools import reduce
from operator import add
from typing import Any

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.db.models.lookups import LessThan

from apps.evals import spread
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.runs import row_json


def numeric(evaluation: Evaluation) -> list[str]:
    """Return the functions of an evaluation whose scores are numbers, so far."""
    return [name for name in _all(evaluation) if evaluation.distribution(name).get("is_number")]


def below(evaluation: Evaluation, function: str) -> float:
    """Return the number under which a function's score is low: its pass mark of then, else what is usual."""
    mark: float | None = (evaluation.scoring.get(function) or {}).get("fails_below")
    return spread.usual_below(evaluation.distribution(function)) if mark is None else mark


def deciding(evaluation: Evaluation, function: str) -> str:
    """Return the function whose number alone decides which rows fail, empty where several do."""
    names = numeric(evaluation)
    return function if function in names else names[0] if len(names) == 1 and not function else ""


def words(evaluation: Evaluation, function: str = "", limit: float | None = None) -> str:
    """Return by which functions rows fail, and below which numbers, in words."""
    usual = {name: below(evaluation, name) if limit is None else limit for name in numeric(evaluation)}
    if function:
        return f"{function} below {usual[function]:g}" if function in usual else function
    if len(evaluation.scoring) == 1:
        return "".join(f"below {number:g}" for number in usual.values()) or "any scorer"
    told = ", ".join(f"{name.rpartition('::')[2]} below {number:g}" for name, number in usual.items())
    return f"any scorer: {told}" if told else "any scorer"


def is_low(score: Any, limit: float) -> bool:
    """Return whether a score that is there fails, as ``only`` says it."""
    found = spread.number(score)
    return found is not None and found < limit


def only(
    rows: QuerySet[EvaluatedRow], evaluation: Evaluation, function: str = "", limit: float | None = None
) -> QuerySet[EvaluatedRow]:
    """Return the rows that fail the function, or any for a name that is none: those it did not score are among them.

    A score fails below the limit, or below what is usual for its function.
    """
    names = _all(evaluation)
    if function in names:
        low = below(evaluation, function) if limit is None else limit
        return rows.alias(score=row_json.score(function)).filter(score__lt=low)
    fails = Q(worst=spread.UNSCORED)
    for at, name in enumerate(names):
        rows = rows.alias(**{f"score_{at}": row_json.score(name)})
        fails |= Q(**{f"score_{at}__lt": below(evaluation, name) if limit is None else limit})
    return rows.filter(fails)


def count(evaluation: Evaluation) -> Any:
    """Return the expression for how many functions a row fails, as a number below 0; None where one is all there is."""
    names = _all(evaluation)
    if len(names) < 2:
        return None
    return reduce(add, (_fails(row_json.score(name), below(evaluation, name)) for name in names))


def _all(evaluation: Evaluation) -> list[str]:
    return [name for name in evaluation.scoring if row_json.is_name(name)]


def _fails(score: Any, limit: float) -> Any:
    return Case(When(LessThan(score, Value(limit)), then=Value(-1)), default=Value(0), output_field=IntegerField())
