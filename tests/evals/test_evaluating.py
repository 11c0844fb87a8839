"""Many rows at once: each is asked and scored once, in bounded number, and a failure stays with its row."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from opentelemetry import trace

from apps.core.errors import BadRequest, ProviderError
from apps.evals.running import evaluating, patience
from apps.evals.running.candidates import Answer
from apps.evals.running.evaluating import Result, Row, Run
from stack_console import tracing

Json = dict[str, Any]


class Model:
    """A candidate that answers a row's question after a moment, or fails as the row says."""

    def __init__(self, *, fails: int = 0) -> None:
        self.calls: list[str] = []
        self.now = self.most = 0
        self.fails = fails

    async def ask(self, row: Json) -> Answer:
        self.calls.append(row["question"])
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.002)
            if row.get("refused"):
                raise BadRequest("no such thing")
            if self.fails > 0:
                self.fails -= 1
                raise ProviderError("away", status=502)
        finally:
            self.now -= 1
        return Answer({"generated_answer": row["question"].upper()}, 3, 2)


@pytest.fixture(autouse=True)
def traced() -> None:
    """Let spans have ids, as in a running console."""
    tracing.start()


async def score(row: Json) -> dict[str, Json]:
    """Score by equality."""
    return {"f": {"score": float(row["generated_answer"] == row["expected_answer"])}}


async def rows(*given: Json) -> AsyncIterator[Row]:
    """Give rows as a dataset does."""
    for position, row in enumerate(given):
        yield Row(position, json.dumps(row))


async def results_of(model: Model, *given: Json, at_once: int = 4) -> dict[int, Result]:
    """Return the results by their position."""
    run = Run(model.ask, score, ["f"], at_once, {"benchmark_id": "b"})
    found: dict[int, Result] = {}
    async with aclosing(run.results(rows(*given))) as results:
        async for result in results:
            assert result.position not in found
            found[result.position] = result
    return found


def questions(count: int) -> list[Json]:
    """Return rows; every third expects something else."""
    return [{"question": f"q{n}", "answer": f"Q{n}" if n % 3 else "no"} for n in range(count)]


async def test_every_row_is_asked_once_and_several_at_a_time() -> None:
    model = Model()

    found = await results_of(model, *questions(50), at_once=8)

    assert sorted(found) == list(range(50)) and len(model.calls) == 50
    assert 2 < model.most <= 8
    assert found[1].generation == {"generated_answer": "Q1"} and found[1].scores == {"f": {"score": 1.0}}
    assert found[0].scores == {"f": {"score": 0.0}}
    assert (found[7].input_tokens, found[7].output_tokens, found[7].error) == (3, 2, "")
    assert len({result.trace_id for result in found.values()}) == 50


async def test_rows_of_a_request_stand_in_its_trace() -> None:
    with trace.get_tracer("tests").start_as_current_span("evaluate_rows") as request:
        found = await results_of(Model(), *questions(5))

    traces = {result.trace_id for result in found.values()}
    assert traces == {format(request.get_span_context().trace_id, "032x")}


async def test_a_row_that_cannot_be_asked_fails_alone() -> None:
    model = Model()

    found = await results_of(model, {"question": "a", "refused": True}, {"question": "b", "answer": "B"})

    assert found[0].generation == {"generated_answer": None, "error": "no such thing"}
    assert found[0].scores == {"f": {"score": None}} and found[0].error == "no such thing"
    assert found[1].scores == {"f": {"score": 1.0}}
    assert model.calls.count("a") == 1


async def test_a_backend_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "TRIES_S", (0.001, 0.001))
    model = Model(fails=2)

    found = await results_of(model, {"question": "a", "answer": "A"})

    assert model.calls == ["a", "a", "a"] and found[0].scores == {"f": {"score": 1.0}}


async def test_only_the_candidates_own_time_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 0.0
    monkeypatch.setattr(evaluating.time, "perf_counter", lambda: seconds)
    monkeypatch.setattr(patience, "TRIES_S", (0.001,))
    model = Model(fails=1)

    async def ask(row: Json) -> Answer:
        nonlocal seconds
        seconds += 2.0
        return await model.ask(row)

    async def slow_judge(row: Json) -> dict[str, Json]:
        nonlocal seconds
        seconds += 30.0
        return await score(row)

    run = Run(ask, slow_judge, ["f"], 1)
    async with aclosing(run.results(rows({"question": "a", "answer": "A"}))) as results:
        [result] = [one async for one in results]

    assert len(model.calls) == 2 and result.duration_ms == 2000


async def test_a_row_that_brings_its_answer_is_scored_and_not_asked() -> None:
    model, answer = Model(), Answer({"generated_answer": "A"}, 5, None, 70)

    async def both() -> AsyncIterator[Row]:
        yield Row(0, '{"question": "a", "answer": "A"}', answer, answered_in=3)
        yield Row(1, '{"question": "b", "answer": "B"}')

    async with aclosing(Run(model.ask, score, ["f"], 4).results(both())) as results:
        found = {result.position: result async for result in results}

    assert model.calls == ["b"] and found[0].scores == found[1].scores == {"f": {"score": 1.0}}
    brought = found[0]
    assert (brought.generation, brought.input_tokens, brought.output_tokens) == ({"generated_answer": "A"}, 5, None)
    assert (brought.duration_ms, brought.answered_in, found[1].answered_in) == (70, 3, None)


async def test_closing_stops_what_runs_and_reads_no_further() -> None:
    model = Model()
    run = Run(model.ask, score, ["f"], 4)

    async with aclosing(run.results(rows(*questions(500)))) as results:
        async for _ in results:
            break
    asked = len(model.calls)
    await asyncio.sleep(0.02)

    assert len(model.calls) == asked < 60


async def test_closing_does_not_wait_for_room_when_the_reader_was_slow() -> None:
    run = Run(Model().ask, score, ["f"], 4)

    async with asyncio.timeout(5):
        async with aclosing(run.results(rows(*questions(500)))) as results:
            async for _ in results:
                await asyncio.sleep(0.2)  # meanwhile more are answered than wait for a reader
                break


async def test_a_row_whose_asking_trips_over_it_fails_alone() -> None:
    model = Model()

    found = await results_of(model, {"no_question": 1}, {"question": "b", "answer": "B"})

    assert "KeyError" in found[0].error and found[0].generation["generated_answer"] is None
    assert found[1].scores == {"f": {"score": 1.0}}


async def test_a_bug_in_a_scorer_ends_the_run_with_it() -> None:
    async def broken(row: Json) -> dict[str, Json]:
        raise TypeError("a bug")

    run = Run(Model().ask, broken, ["f"], 4)

    with pytest.raises(TypeError, match="a bug"):
        async for _ in run.results(rows(*questions(20))):
            pass
