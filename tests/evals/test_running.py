"""An evaluation while its dataset changes, its worker is replaced, and its results come one by one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from apps.core import db
from apps.datasets import rows as dataset_rows
from apps.evals import evaluation
from apps.evals.evaluating import Result
from apps.evals.models import EvaluatedRow, Evaluation
from apps.jobs import runner
from apps.jobs.handle import Cancelled, Handle
from apps.jobs.models import Job
from stack_console import tracing
from tests import build
from tests.evals.conftest import ROWS, config
from tests.jobs.conftest import ended, until, working

JOBS = "/v1alpha/eval/benchmarks/bench/jobs"


async def started(api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, **fields: Any) -> Job:
    """Return the job of an evaluation that no worker has begun."""
    await benchmark()
    answer = await api.post(JOBS, json=config(model, **fields))
    assert answer.status_code == 200, answer.text
    return await db.read(Job.objects.get, job_id=answer.json()["job_id"])


async def asked_rows() -> dict[int, str]:
    """Return the question of each evaluated row by its place."""
    rows = await db.read(lambda: list(EvaluatedRow.objects.values_list("position", "row")))
    return {position: json.loads(row)["question"] for position, row in rows}


async def test_a_dataset_is_kept_while_an_evaluation_reads_it(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    job = await started(api, benchmark, model)

    refused = await api.delete("/v1beta/datasets/bench-rows")
    await api.delete(f"{JOBS}/{job.job_id}")
    deleted = await api.delete("/v1beta/datasets/bench-rows")

    assert refused.status_code == 409 and job.job_id in refused.json()["detail"]
    assert deleted.status_code == 200


async def test_rows_deleted_before_it_is_their_turn_are_left_out_and_others_keep_their_place(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    job = await started(api, benchmark, model, num_examples=5)
    await db.write(dataset_rows.delete_rows, "bench-rows", [0, 3], build.actor())

    async with working():
        done = await ended(job)

    assert done.status == "completed"
    assert await asked_rows() == {1: "Say 1", 2: "Say 2", 4: "Say 4"}
    assert await db.read(done.lines.filter(text__startswith="2 of 5 rows were deleted").exists)


async def test_taken_up_again_it_mixes_no_rows_after_some_were_deleted(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    await benchmark()
    await db.write(dataset_rows.delete_rows, "bench-rows", [1], build.actor())
    job_id = (await api.post(JOBS, json=config(model))).json()["job_id"]
    job = await db.read(Job.objects.get, job_id=job_id)
    texts = [json.dumps(row) for row in ROWS if row["question"] != "Say 1"]
    one = await db.read(Evaluation.objects.get)
    done = [EvaluatedRow(evaluation=one, position=at, row=texts[at], generation="{}", scores="{}") for at in (0, 1, 4)]
    await db.write(EvaluatedRow.objects.bulk_create, done)
    await db.write(dataset_rows.delete_rows, "bench-rows", [0, 2], build.actor())

    async with working():
        await ended(job)

    assert await asked_rows() == {at: json.loads(text)["question"] for at, text in enumerate(texts)}


async def test_rows_added_meanwhile_are_not_asked(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    job = await started(api, benchmark, model)
    await db.write(dataset_rows.append_rows, "bench-rows", ['{"question": "late", "answer": "x"}'], build.actor())
    await db.write(dataset_rows.delete_rows, "bench-rows", [7], build.actor())

    async with working():
        await ended(job)

    assert await asked_rows() == {at: f"Say {at}" for at in range(7)}


async def test_tried_again_on_another_dataset_of_the_same_name_it_fails(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    job = await started(api, benchmark, model)
    await api.delete(f"{JOBS}/{job.job_id}")
    await api.delete("/v1beta/datasets/bench-rows")
    source = {"type": "rows", "rows": ROWS[:2]}
    body = {"purpose": "eval/question-answer", "dataset_id": "bench-rows", "source": source}

    [gone] = await db.write(runner.retry, Job.objects.filter(pk=job.pk), build.actor())
    async with working():
        gone = await ended(gone)
        await api.post("/v1beta/datasets", json=body)
        [other] = await db.write(runner.retry, Job.objects.filter(pk=gone.pk), build.actor())
        other = await ended(other)

    assert (gone.status, gone.attempt) == ("failed", 1) and "'bench-rows' not found" in gone.error
    assert (other.status, other.attempt) == ("failed", 1) and "made anew" in other.error


async def test_tried_again_after_its_evaluation_was_deleted_it_says_so(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    job = await started(api, benchmark, model)
    await api.delete(f"{JOBS}/{job.job_id}")
    [again] = await db.write(runner.retry, Job.objects.filter(pk=job.pk), build.actor())
    await db.write(Job.objects.filter(pk=job.pk).delete)

    async with working():
        again = await ended(again)

    assert (again.status, again.attempt) == ("failed", 1) and "was deleted" in again.error


async def test_results_that_come_steadily_are_stored_a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[int] = []

    async def write(unit: Any, pk: int, some: list[Result], handle: Any) -> None:
        stored.append(len(some))

    async def steady() -> AsyncIterator[Result]:
        for position in range(30):
            await asyncio.sleep(0.02)
            yield Result(position, "{}", {}, {})

    monkeypatch.setattr(evaluation, "FLUSH_S", 0.1)
    monkeypatch.setattr(evaluation.db, "write", write)
    monkeypatch.setattr(evaluation.live, "tell", lambda *_: None)
    handle = Handle(Job(job_id="j", lease_owner="l"))
    monkeypatch.setattr(handle, "progress", lambda *_: None)
    keeper = evaluation._Keeper(Evaluation(row_total=30), handle, 0)
    keeper._add_up_at = float("inf")

    async for result in evaluation._in_time(steady(), keeper):  # type: ignore[arg-type]
        keeper.take(result)

    assert len(stored) >= 4


async def test_a_worker_that_lost_its_job_changes_no_sums(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    job = await started(api, benchmark, model)
    one = await db.read(Evaluation.objects.get)
    job.lease_owner = "a worker that was believed dead"

    with pytest.raises(Cancelled):
        await db.write(evaluation._keep_sums, one.pk, {"row_count": 5, "failed_count": 1}, Handle(job))

    assert (await db.read(Evaluation.objects.get)).row_count == 0


async def test_a_row_of_a_request_that_asks_nothing_is_named(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    await benchmark()
    body = {"input_rows": [*ROWS[:2], {"x": 1}], "scoring_functions": ["basic::equality"], **config(model)}

    answer = await api.post("/v1alpha/eval/benchmarks/bench/evaluations", json=body)

    assert answer.status_code == 400 and "input_rows.2:" in answer.json()["detail"]


TEMPLATE = {"type": "llm_as_judge", "judge_model": "slow/scripted", "prompt_template": "Rate {generated_answer}"}


def slow_model() -> None:
    """Add a model that is silent for a minute."""
    build.model(build.provider("slow", config={"script": [{"text": "1", "delay_s": 60}]}))
    build.forget()


HANGING: list[tuple[str, dict[str, Any]]] = [
    ("llm-as-judge::base", {**TEMPLATE, "judge_score_regexes": [r"(\d)"]}),
    (
        "basic::regex_parser_multiple_choice_answer",
        {"type": "regex_parser", "parsing_regexes": [r"((y+y+)+)z"], "aggregation_functions": []},
    ),
]


@pytest.mark.parametrize(("function", "params"), HANGING, ids=["judge", "expression"])
async def test_cancelling_does_not_wait_for_what_hangs_while_it_scores(
    api: httpx2.AsyncClient,
    benchmark: Callable[..., Any],
    model: str,
    settings: Any,
    function: str,
    params: dict[str, Any],
) -> None:
    settings.REGEX_TIMEOUT_S = 4
    await db.write(slow_model)
    await benchmark("bench", [{"question": "y" * 60, "answer": "y"}] * 4, function)

    async with working() as worker:
        answer = await api.post(JOBS, json=config(model, scoring_params={function: params}))
        job = await db.read(Job.objects.get, job_id=answer.json()["job_id"])
        await until(lambda: Job.objects.filter(pk=job.pk, status="in_progress").exists())
        await asyncio.sleep(1)
        began = time.monotonic()
        await api.delete(f"{JOBS}/{job.job_id}")
        status = (await ended(job)).status
        while worker.is_busy:
            await asyncio.sleep(0.05)

    assert status == "cancelled" and time.monotonic() - began < 2


async def test_only_operators_evaluate(
    client_for: Callable[[str], httpx2.AsyncClient], benchmark: Callable[..., Any], model: str
) -> None:
    await benchmark()
    viewer = client_for("viewer")
    rows = {"input_rows": ROWS, "scoring_functions": ["basic::equality"], **config(model)}

    assert (await viewer.get("/v1alpha/eval/benchmarks/bench")).status_code == 200
    assert (await viewer.post(JOBS, json=config(model))).status_code == 403
    assert (await viewer.post("/v1alpha/eval/benchmarks/bench/evaluations", json=rows)).status_code == 403
    assert (await viewer.delete("/v1alpha/eval/benchmarks/bench")).status_code == 403
    assert not await db.read(Evaluation.objects.exists)


async def test_each_row_of_a_job_is_a_trace_of_its_own(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    tracing.start()
    job = await started(api, benchmark, model)

    async with working():
        await ended(job)

    traces = await db.read(lambda: set(EvaluatedRow.objects.values_list("trace_id", flat=True)))
    assert len(traces) == len(ROWS) and all(len(trace) == 32 for trace in traces)


@pytest.mark.parametrize(("number", "total"), [(None, 8), (-1, 8), (1, 1), (8, 8), (9, 8), (0, None), (-2, None)])
async def test_how_many_rows_are_asked_for(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, number: int | None, total: int | None
) -> None:
    await benchmark()

    answer = await api.post(JOBS, json=config(model, num_examples=number))

    assert answer.status_code == (200 if total else 400), answer.text
    assert await db.read(lambda: list(Evaluation.objects.values_list("row_total", flat=True))) == [total][: bool(total)]
    assert await db.read(Job.objects.count) == bool(total)


async def test_deleting_a_benchmark_cancels_what_runs_of_it(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    job = await started(api, benchmark, model)

    deleted = await api.delete("/v1alpha/eval/benchmarks/bench")

    assert deleted.status_code == 200
    assert (await api.get(f"{JOBS}/{job.job_id}")).json()["status"] == "cancelled"
    assert (await api.post(JOBS, json=config(model))).status_code == 404
