"""The rows of two runs that flipped, a page at a time, with what differs between the answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from apps.evals import asked, comparing, diffs, run_grid
from apps.evals.comparing import Comparison, Outcome
from apps.evals.models import EvaluatedRow, Evaluation

SIZE = 25
CELL = 600  # characters of a text; the row's own page has all of it
SHOWS = {
    "": "All",
    comparing.BETTER: "Better",
    comparing.WORSE: "Worse",
    comparing.CHANGED: "Changed",
    comparing.UNSCORED: "Without a score",
}


@dataclass(frozen=True)
class Flip:
    """A row that is not what it was: what was asked, both answers, both scores, and the way to either trace."""

    kind: str
    base: EvaluatedRow
    other: EvaluatedRow
    question: str
    expected: str
    before: str
    after: str
    parts: list[diffs.Part] | None
    scores: tuple[Any, Any]

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
    """Return a page of the rows that flipped the way ``show`` says (empty: any way), from the so-manieth of them."""
    found = flipped(comparison, outcome, show)
    start = min(max(0, start), max(0, (len(found) - 1) // SIZE * SIZE))
    some = found[start : start + SIZE]
    earlier = max(0, start - SIZE) if start else None
    later = start + SIZE if start + SIZE < len(found) else None
    return FlipPage(told(comparison, outcome, some), len(found), start + 1, earlier, later)


def flipped(comparison: Comparison, outcome: Outcome, show: str = "") -> list[tuple[int, int]]:
    """Return the places of the rows that flipped this way."""
    wanted = (show,) if show else comparing.FLIPPED
    return [pair for pair, kind in zip(comparison.pairs, outcome.kinds, strict=True) if kind in wanted]


def told(comparison: Comparison, outcome: Outcome, pairs: Sequence[tuple[int, int]]) -> list[Flip]:
    """Return rows with their texts; two queries."""
    before = rows_at(comparison.base, [one for one, _ in pairs])
    after = rows_at(comparison.other, [two for _, two in pairs])
    return [_flip(before[one], after[two], outcome.name) for one, two in pairs if one in before and two in after]


def rows_at(run: Evaluation, positions: Sequence[int]) -> dict[int, EvaluatedRow]:
    """Return the rows of a run at these places."""
    rows = EvaluatedRow.objects.filter(evaluation=run.pk, position__in=positions)
    return {row.position: row for row in rows}


def _flip(base: EvaluatedRow, other: EvaluatedRow, name: str) -> Flip:
    value = from_json(base.row)
    before, after = answer(base), answer(other)
    scores = tuple((from_json(row.scores).get(name) or {}).get("score") for row in (base, other))
    return Flip(
        comparing.kind(*scores),
        base,
        other,
        _cut(asked.question_of(value)),
        _cut(run_grid.words_of(asked.expected_of(value))),
        _cut(before),
        _cut(after),
        _parts(_cut(before), _cut(after)),
        (scores[0], scores[1]),
    )


def answer(row: EvaluatedRow) -> str:
    """Return what was generated for a row, as text."""
    return run_grid.words_of(from_json(row.generation).get("generated_answer"))


def _parts(before: str, after: str) -> list[diffs.Part] | None:
    """Return what differs from the answer before; None when no word is in both: marks would say nothing."""
    found = diffs.parts(before, after) or []
    has_common = any(part.kind == "same" and part.text.strip(" .,;:!?") for part in found)
    return found if has_common else None


def _cut(text: str) -> str:
    return text if len(text) <= CELL else f"{text[:CELL].rstrip()} …"
