"""Rows scored by several functions at once."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from django.conf import settings
from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode

from apps.evals import schemas, spread
from apps.evals.scoring.base import Embed, Json, Judge, Scorer, score
from apps.evals.scoring.counting import Counting

tracer = trace.get_tracer("apps.evals")


@dataclass(frozen=True, slots=True)
class Scorers:
    """Functions made ready for a run, by the name they were asked for, and whom they may ask."""

    functions: Mapping[str, tuple[Scorer, schemas.ScoringFnParams]]
    judge: Judge
    embed: Embed | None = None
    counting: Counting = field(default_factory=Counting)

    @property
    def ask_a_model(self) -> bool:
        """Whether scoring a row costs a call of a model."""
        return any(scorer.asks_a_model for scorer, _ in self.functions.values())

    async def score(self, row: Json) -> dict[str, Json]:
        """Return each function's score row of a row; never raises for what is in it."""
        rows = await asyncio.gather(*(self._counted(name, row) for name in self.functions))
        return dict(zip(self.functions, rows, strict=True))

    async def _counted(self, name: str, row: Json) -> Json:
        """Score and count the call; a row that lacks a column is none: it says nothing of how the function does."""
        began, (scorer, params) = time.perf_counter(), self.functions[name]
        # A span of its own would make a quick function cost three times as much: its score stands in the row's span.
        told = await (self._traced(name, row) if scorer.asks_a_model else self._scored(name, row))
        if not scorer.missing(row, params):
            self.counting.count(name, began, spread.why_not(told))
        return told

    async def _traced(self, name: str, row: Json) -> Json:
        """Score in a span of its own, below which the calls of the model that judges stand."""
        with tracer.start_as_current_span(f"score {name}", attributes={"scoring_fn_id": name}) as span:
            told = await self._scored(name, row)
            score, error = _recorded(told)
            if score is not None:
                span.set_attribute("score", score)
            if error:
                span.set_status(Status(StatusCode.ERROR, error))
            return told

    async def _scored(self, name: str, row: Json) -> Json:
        scorer, params = self.functions[name]
        return await score(scorer, row, params, self.judge, self.embed)

    async def score_rows(self, rows: Iterable[Json], at_once: int) -> list[dict[str, Json]]:
        """Return the scores of rows in their order; a few rows are scored at the same time."""
        coming: Iterator[tuple[int, Json]] = enumerate(rows)
        found: dict[int, dict[str, Json]] = {}

        async def work() -> None:
            for number, row in coming:
                found[number] = await self.score(row)
                await asyncio.sleep(0)  # what is scored without waiting must not keep others waiting

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
        return [found[number] for number in range(len(found))]


def note_scores(span: Span, scores: Mapping[str, Json]) -> None:
    """Record the scores of a row on its span, and why there is none where there is none."""
    for name, told in scores.items():
        score, error = _recorded(told)
        if score is not None:
            span.set_attribute(f"score.{name}", score)
        if error:
            span.set_attribute(f"score_error.{name}", error)


def _recorded(told: Json) -> tuple[float | str | None, str]:
    """Return score and error of a score row as a span may hold them: words only where content may be recorded."""
    score, error = told.get("score"), str(told.get("error") or "")
    if isinstance(score, int | float):
        return score, error
    if not settings.TELEMETRY_CONTENT:
        return None, error and "It has no score."
    return (score if isinstance(score, str) else None), error
