"""What is told of scoring: in the trace of each row, and in the calls of each function, whichever door rows come by."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from opentelemetry import trace

from apps.core import db
from apps.evals import calls
from apps.evals.models import EvaluatedRow
from apps.jobs.models import Job
from apps.telemetry.models import Kind, Span
from apps.telemetry.sink import StoreSpans
from stack_console import tracing
from tests.evals.conftest import config
from tests.jobs.conftest import ended, working

JUDGE, EQUAL, IFEVAL = "llm-as-judge::base", "basic::equality", "basic::ifeval"
RUBRIC = "braintrust::factuality"
ROW = {"question": "Say yes", "answer": "Well. Score: 7"}
ANSWER = "Well. Score: 7"


@pytest.fixture
def kept(transactional_db: None) -> Iterator[StoreSpans]:
    """The processor of a console: spans of this process are stored while the test runs."""
    tracing.start()
    provider: Any = trace.get_tracer_provider()
    processor = StoreSpans()
    before = provider._active_span_processor._span_processors
    provider.add_span_processor(processor)
    yield processor
    provider._active_span_processor._span_processors = before
    processor.shutdown()


def judged(model: str) -> dict[str, Any]:
    """Return the parameters of the judge."""
    asked = {"judge_model": model, "prompt_template": "Good? {generated_answer}", "judge_score_regexes": [r"(\d)"]}
    return {JUDGE: {"type": "llm_as_judge", "aggregation_functions": [], **asked}}


async def evaluated(api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, kept: StoreSpans) -> list[Span]:
    """Evaluate a row by four functions, two of which give no score; return the spans of its trace."""
    await benchmark("bench", [ROW], EQUAL, JUDGE, IFEVAL, RUBRIC)
    asked = config(model, scoring_params=judged(model))
    answer = await api.post("/v1alpha/eval/benchmarks/bench/jobs", json=asked)
    assert answer.status_code == 200, answer.text
    async with working():
        done = await ended(await db.read(Job.objects.get, job_id=answer.json()["job_id"]))
    assert done.status == "completed", done.error
    assert await asyncio.to_thread(kept.force_flush)
    row = await db.read(EvaluatedRow.objects.get)
    return await db.read(lambda: list(Span.objects.filter(trace__trace_id=row.trace_id)))


async def test_the_trace_of_a_row_shows_how_it_was_scored(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], scripted: Any, kept: StoreSpans
) -> None:
    spans = await evaluated(api, benchmark, await db.write(scripted, ANSWER), kept)

    [row] = [span for span in spans if span.name == "evaluate_row"]
    [judge] = [span for span in spans if span.name == f"score {JUDGE}"]
    chats = sorted(span.parent_span_id for span in spans if span.name.startswith("chat "))
    [rubric] = [span for span in spans if span.name == f"score {RUBRIC}"]
    assert len(spans) == 6 and chats == sorted([row.span_id, judge.span_id, rubric.span_id])
    assert judge.parent_span_id == row.span_id
    assert (judge.attributes["scoring_fn_id"], judge.attributes["score"]) == (JUDGE, "7")
    assert (row.attributes[f"score.{EQUAL}"], row.attributes[f"score.{JUDGE}"]) == (1.0, "7")
    assert "'instruction_id_list'" in row.attributes[f"score_error.{IFEVAL}"]
    assert {row.kind, judge.kind} == {Kind.EVALUATION}


async def test_a_judge_whose_words_are_no_verdict_has_a_failed_span(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], scripted: Any, kept: StoreSpans
) -> None:
    spans = await evaluated(api, benchmark, await db.write(scripted, ANSWER), kept)

    [rubric] = [span for span in spans if span.name == f"score {RUBRIC}"]
    assert rubric.status == "error" and "did not reply with the JSON" in rubric.message
    assert [span.status for span in spans if span.name == "evaluate_row"] == ["ok"]


async def test_with_content_off_spans_hold_no_words_of_a_judge(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], scripted: Any, kept: StoreSpans, settings: Any
) -> None:
    settings.TELEMETRY_CONTENT = False

    spans = await evaluated(api, benchmark, await db.write(scripted, ANSWER), kept)

    [row] = [span for span in spans if span.name == "evaluate_row"]
    [judge] = [span for span in spans if span.name == f"score {JUDGE}"]
    assert "score" not in judge.attributes and row.attributes[f"score_error.{IFEVAL}"] == "It has no score."
    assert row.attributes[f"score.{EQUAL}"] == 1.0


async def test_calls_are_counted_by_every_door(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], scripted: Any, kept: StoreSpans
) -> None:
    model = await db.write(scripted, ANSWER)
    await evaluated(api, benchmark, model, kept)
    body = {"input_rows": [ROW | {"generated_answer": "no"}] * 3, "scoring_functions": {EQUAL: None, IFEVAL: None}}
    assert (await api.post("/v1/scoring/score", json=body)).status_code == 200
    asked = config(model) | {"input_rows": [ROW], "scoring_functions": [EQUAL]}
    assert (await api.post("/v1alpha/eval/benchmarks/bench/evaluations", json=asked)).status_code == 200
    batch = {"dataset_id": "bench-rows", "scoring_functions": {EQUAL: None}, "save_results_dataset": False}
    assert (await api.post("/v1/scoring/score-batch", json=batch)).status_code == 200

    told = await db.read(calls.lately, [EQUAL, JUDGE, RUBRIC, IFEVAL])

    # Rows without the columns a function needs are no calls of it, and no fault of its own.
    counted = [(told[name].calls, told[name].failed) for name in (EQUAL, JUDGE, RUBRIC, IFEVAL)]
    assert counted == [(5, 0), (1, 0), (1, 1), (0, 0)]
    assert "Well. Score: 7" in told[RUBRIC].error and not told[IFEVAL].error and not told[EQUAL].error
    assert told[JUDGE].p95_s is not None and 0 < told[JUDGE].p95_s < 30
