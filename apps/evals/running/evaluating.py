"""Rows in, results out, several at once. Knows candidates and scorers as functions; knows no database."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode

from apps.core.errors import ConsoleError
from apps.core.fields import json_value
from apps.evals.running import asked, spending
from apps.evals.running.candidates import Answer, Ask
from apps.evals.running.patience import Patience
from apps.evals.scoring.running import note_scores
from apps.inference import spans

log = logging.getLogger(__name__)
tracer = trace.get_tracer("apps.evals")
Json = dict[str, Any]
Score = Callable[[Json], Awaitable[dict[str, Json]]]  # a row as scorers read it → a score row for each function
ROOT: dict[str, bool | str] = {
    "__root__": True,
    "__root_span__": True,
    "__local_root_span__": True,
    "__location__": "worker",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row to evaluate; one that was answered in an earlier run brings its answer and is only scored."""

    position: int
    text: str
    answer: Answer | None = None
    answered_in: int | None = None  # the key of that run


Rows = AsyncIterator[Row]


@dataclass(slots=True)
class Result:
    """What came of one row."""

    position: int
    row: str
    generation: Json
    scores: dict[str, Json]
    error: str = ""
    duration_ms: int = 0  # of the candidate's answer, not of its scoring
    input_tokens: int | None = None
    output_tokens: int | None = None
    is_cut: bool = False  # as its Answer has it
    trace_id: str = ""
    judged: spending.Tally = field(default_factory=dict)
    answered_in: int | None = None  # as its Row has it


@dataclass
class Run:
    """How rows are asked and scored; ``about`` stands in the span of each row."""

    ask: Ask
    score: Score
    functions: list[str]
    at_once: int
    about: dict[str, str] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)

    async def results(self, rows: Rows) -> AsyncGenerator[Result]:
        """Yield each row's result as it is there, in any order; closing the iterator stops what runs."""
        turn = asyncio.Lock()
        done: asyncio.Queue[Result | None] = asyncio.Queue(self.at_once * 2)

        async def work() -> None:
            while True:
                async with turn:  # one reads on while the others ask
                    row = await anext(rows, None)
                if row is None:
                    return
                await done.put(await self._one(row))

        async def all_work() -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self.at_once):
                        group.create_task(work())
            except Exception:
                await done.put(None)
                raise
            await done.put(None)  # not when it is cancelled: nobody reads any more, and there may be no room

        working = asyncio.create_task(all_work())
        try:
            while (result := await done.get()) is not None:
                yield result
            await working
        except ExceptionGroup as group:  # why it failed, not that one of several did
            raise group.exceptions[0] from group
        finally:
            working.cancel()
            await asyncio.wait({working})

    async def _one(self, row: Row) -> Result:
        # In a job each row is a trace of its own; in a request it stands in the request's trace.
        is_root = not trace.get_current_span().get_span_context().is_valid
        about = {**(ROOT if is_root else {}), **self.about, "row": row.position + 1}
        with tracer.start_as_current_span("evaluate_row", attributes=about) as span:
            if row.answered_in is not None:
                span.set_attribute("answered_in_run", row.answered_in)
            result = await self._result(row, span)
            context = span.get_span_context()
            result.trace_id = format(context.trace_id, "032x") if context.is_valid else ""
            return result

    async def _result(self, row: Row, span: Span) -> Result:
        clock = _Clock()
        try:
            value: Json = json_value(row.text)
            spans.note(span, "input", asked.question_of(value))
            answer = row.answer if row.answer else await self.patience(lambda: clock.timed(self.ask(value)))
        except ConsoleError as error:
            return self._failed(row, span, error.detail, clock.ms)
        except Exception as error:  # rows come from anywhere: what asking one trips over is its own failure
            log.exception("a row could not be asked")
            why = f"The row could not be asked: {type(error).__name__}: {error}"
            return self._failed(row, span, why, clock.ms)
        with spending.gathered() as judged:
            scores = await self.score(asked.shown(value, answer.generation))
        note_scores(span, scores)
        return Result(
            row.position,
            row.text,
            answer.generation,
            scores,
            duration_ms=answer.duration_ms,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            is_cut=answer.is_cut,
            judged=judged,
            answered_in=row.answered_in,
        )

    def _failed(self, row: Row, span: Span, why: str, duration_ms: int) -> Result:
        span.set_status(Status(StatusCode.ERROR, why))
        nothing: Json = {"generated_answer": None, "error": why}
        scores: dict[str, Json] = {name: {"score": None} for name in self.functions}
        return Result(row.position, row.text, nothing, scores, why, duration_ms)


class _Clock:
    """How long the candidate took over its last call; what a row waits for besides is not its doing."""

    ms = 0

    async def timed(self, call: Awaitable[Answer]) -> Answer:
        began = time.perf_counter()
        try:
            answer = await call
        finally:
            self.ms = round((time.perf_counter() - began) * 1000)
        return replace(answer, duration_ms=self.ms)
