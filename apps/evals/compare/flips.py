"""The rows of two runs that flipped, a page at a time, with what differs between the answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from apps.core.fields import json_value
from apps.evals.compare import comparing, side_by_side
from apps.evals.compare.comparing import Comparison, Outcome
from apps.evals.compare.side_by_side import Answer
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.running import asked
from apps.evals.runs import grid

Json = dict[str, Any]
SIZE = 25
CELL = 600  # characters of a question; the row's own page has all of it
WORDS = 1_000  # characters of what a function said of its score
SHOWS = {
    "": "All",
    comparing.BETTER: "Better",
    comparing.WORSE: "Worse",
    comparing.CHANGED: "Changed",
    comparing.UNSCORED: "Without a score",
}


@dataclass(frozen=True)
class Flip:
    """A row that is not what it was: what was asked, both answers, both scores with the function's words for them."""

    kind: str
    base: EvaluatedRow
    other: EvaluatedRow
    question: str
    expected: str
    before: Answer
    after: Answer
    unmarked: str
    scores: tuple[Any, Any]
    words: tuple[str, str]

    @property
    def number(self) -> int:
        """The row's number in the base, as people count."""
        return self.base.position + 1

    @property
    def other_number(self) -> int:
        """Its number in the other run."""
        return self.other.position + 1


@dataclass(frozen=True)
class FlipPage:
    """Flipped rows of one page, and the places of its neighbours; None where there is none."""

    rows: list[Flip]
    count: int
    first: int
    earlier: int | None
    later: int | None


def page_of(comparison: Comparison, outcome: Outcome, show: str, start: int) -> FlipPage:
    """Return a page of the rows that flipped the way ``show`` says (empty: any way), from this many on."""
    found = flipped(comparison, outcome, show)
    start = min(max(0, start), max(0, (len(found) - 1) // SIZE * SIZE))
    some = found[start : start + SIZE]
    earlier = max(0, start - SIZE) if start else None
    later = start + SIZE if start + SIZE < len(found) else None
    return FlipPage(_with_texts(comparison, outcome, some), len(found), start + 1, earlier, later)


def flipped(comparison: Comparison, outcome: Outcome, show: str = "") -> list[tuple[int, int]]:
    """Return the places of the rows that flipped this way."""
    wanted = (show,) if show else comparing.FLIPPED
    return [pair for pair, kind in zip(comparison.pairs, outcome.kinds, strict=True) if kind in wanted]


def _with_texts(comparison: Comparison, outcome: Outcome, pairs: Sequence[tuple[int, int]]) -> list[Flip]:
    """Return the rows at these places with what they say; two queries."""
    before = rows_at(comparison.base, [one for one, _ in pairs])
    after = rows_at(comparison.other, [two for _, two in pairs])
    return [_flip(before[one], after[two], outcome.name) for one, two in pairs if one in before and two in after]


def rows_at(run: Evaluation, positions: Sequence[int]) -> dict[int, EvaluatedRow]:
    """Return the rows of a run at these places."""
    rows = EvaluatedRow.objects.filter(evaluation=run.pk, position__in=positions)
    return {row.position: row for row in rows}


def _flip(base: EvaluatedRow, other: EvaluatedRow, name: str) -> Flip:
    value = json_value(base.row)
    told = [from_json(row.scores).get(name) or {} for row in (base, other)]
    expected = grid.words_of(asked.expected_of(value))
    before, after, unmarked = side_by_side.of(answer(base), answer(other), expected)
    scores = (told[0].get("score"), told[1].get("score"))
    return Flip(
        comparing.kind(*scores),
        base,
        other,
        _cut(asked.question_of(value)),
        _cut(expected),
        before,
        after,
        unmarked,
        scores,
        (_said(told[0]), _said(told[1])),
    )


def answer(row: EvaluatedRow) -> str:
    """Return what was generated for a row, as text."""
    return grid.words_of(from_json(row.generation).get("generated_answer"))


def _said(score_row: Json) -> str:
    """Return what a function said of its score: why there is none, else the judge's words."""
    return str(score_row.get("error") or score_row.get("judge_feedback") or "")[:WORDS]


def _cut(text: str) -> str:
    return text if len(text) <= CELL else f"{text[:CELL].rstrip()} …"
