"""Rows in, results out, several at once. Knows candidates and scorers as functions; knows no database."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode
from pydantic_core import from_json

from apps.core.errors import ConsoleError
from apps.evals import asked
from apps.evals.candidates import Answer, Ask
from apps.inference import spans

tracer = trace.get_tracer("apps.evals")
Json = dict[str, Any]
Score = Callable[[Json], Awaitable[dict[str, Json]]]  # a row as scorers read it → a score row for each function
Rows = AsyncIterator[tuple[int, str]]
TRIES_S = (0.5, 2.0)  # waits before a row whose backend failed is asked again
TRANSIENT = {429, 502, 503, 504}
GIVEN_UP = 20  # rows that failed one after the other: then nobody waits and asks again, until one is answered
ROOT: dict[str, bool | str] = {
    "__root__": True,
    "__root_span__": True,
    "__local_root_span__": True,
    "__location__": "worker",
}


@dataclass(slots=True)
class Result:
    """What came of one row."""

    position: int
    row: str
    generation: Json
    scores: dict[str, Json]
    error: str = ""
    duration_ms: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    trace_id: str = ""


@dataclass
class Run:
    """How rows are asked and scored; ``about`` stands in the span of each row."""

    ask: Ask
    score: Score
    functions: list[str]
    at_once: int
    about: dict[str, str] = field(default_factory=dict)
    failed_in_a_row: int = 0

    async def results(self, rows: Rows) -> AsyncGenerator[Result]:
        """Yield each row's result as it is there, in any order; closing the iterator stops what runs."""
        turn = asyncio.Lock()
        done: asyncio.Queue[Result | None] = asyncio.Queue(self.at_once * 2)

        async def work() -> None:
            while True:
                async with turn:  # one reads on while the others ask
                    item = await anext(rows, None)
                if item is None:
                    return
                await done.put(await self._one(*item))

        async def all_work() -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self.at_once):
                        group.create_task(work())
            finally:
                await done.put(None)

        working = asyncio.create_task(all_work())
        try:
            while (result := await done.get()) is not None:
                yield result
            await working
        finally:
            working.cancel()
            await asyncio.wait({working})

    async def _one(self, position: int, text: str) -> Result:
        with tracer.start_as_current_span(
            "evaluate_row", context=Context(), attributes={**ROOT, **self.about, "row": position + 1}
        ) as span:
            began = time.perf_counter()
            result = await self._result(position, text, span)
            result.duration_ms = round((time.perf_counter() - began) * 1000)
            context = span.get_span_context()
            result.trace_id = format(context.trace_id, "032x") if context.is_valid else ""
            return result

    async def _result(self, position: int, text: str, span: Span) -> Result:
        row: Json = from_json(text)
        spans.note(span, "input", asked.question_of(row))
        try:
            answer = await self._answer(row)
        except ConsoleError as error:
            self.failed_in_a_row += 1
            span.set_status(Status(StatusCode.ERROR, error.detail))
            nothing: Json = {"generated_answer": None, "error": error.detail}
            return Result(position, text, nothing, {name: {"score": None} for name in self.functions}, error.detail)
        self.failed_in_a_row = 0
        scores = await self.score(asked.shown(row, answer.generation))
        for name, one in scores.items():
            if isinstance(one.get("score"), int | float):
                span.set_attribute(f"score.{name}", one["score"])
        return Result(
            position,
            text,
            answer.generation,
            scores,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
        )

    async def _answer(self, row: Json) -> Answer:
        for wait_s in TRIES_S:
            try:
                return await self.ask(row)
            except ConsoleError as error:
                if error.status not in TRANSIENT or self.failed_in_a_row >= GIVEN_UP:
                    raise
                await asyncio.sleep(wait_s)
        return await self.ask(row)
