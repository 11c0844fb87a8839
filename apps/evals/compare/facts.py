"""What two runs took, and what people said of both: facts beside the scores, each only where both runs have it."""

from dataclasses import dataclass
from typing import Any

from apps.evals import costs
from apps.evals.compare.comparing import Comparison
from apps.evals.models import Evaluation
from apps.inference.prices import Cost


@dataclass(frozen=True, slots=True)
class Fact:
    """Something of both runs; ``kind`` says what it is counted in: seconds, count, score or cost.

    How far they are apart is told without its sign; None where the runs are not of as many rows.
    """

    name: str
    kind: str
    base: Any
    other: Any
    apart: Any
    sign: str
    about: str = ""


def of(told: Comparison) -> list[Fact]:
    """Return the facts known of both runs; asks nothing of the database."""
    found = [_cost(told), _tokens(told)]
    if told.times:
        seconds = [value / 1_000 for value in (told.times.base, told.times.other)]
        found.append(_fact("Time per row", "seconds", seconds[0], seconds[1], _rows(told.times.rows)))
    if told.human:
        found.append(_fact("Human", "score", told.human.base, told.human.other, _rows(told.human.rows)))
    return [fact for fact in found if fact]


def _rows(count: int) -> str:
    return f"of {count:,} row{'' if count == 1 else 's'}"


def _fact(name: str, kind: str, base: float, other: float, about: str = "", *, is_apart: bool = True) -> Fact:
    return Fact(name, kind, base, other, abs(other - base) if is_apart else None, _sign(other - base), about)


def _sign(difference: Any) -> str:
    return "+" if difference > 0 else "−" if difference < 0 else "±"


def _tokens(told: Comparison) -> Fact | None:
    both = [_count(run) for run in (told.base, told.other)]
    if both[0] is None or both[1] is None:
        return None
    return _fact("Tokens", "count", both[0], both[1], is_apart=told.base.row_count == told.other.row_count)


def _count(run: Evaluation) -> int | None:
    """Return the tokens of the candidate's answers; None when they were not counted."""
    known = [count for count in (run.input_tokens, run.output_tokens) if count is not None]
    return sum(known) if known else None


def _cost(told: Comparison) -> Fact | None:
    spent = [costs.of(run) for run in (told.base, told.other)]
    one, two = (one.cost for one in spent)
    if one is None or two is None:
        return None
    is_apart = one.currency == two.currency and told.base.row_count == told.other.row_count
    apart = Cost(abs(two.amount - one.amount), one.currency) if is_apart else None
    return Fact("Cost", "cost", spent[0], spent[1], apart, _sign(two.amount - one.amount))
