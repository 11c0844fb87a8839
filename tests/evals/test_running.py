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
from apps.evals.models import EvaluatedRow, Evaluation, HumanScore
from apps.evals.running import retried, storing
from apps.evals.running.evaluating import Result
from apps.evals.spread import UNSCORED
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


async def test_an_answer_that_was_cut_off_is_stored_as_that_and_the_result_says_nothing_of_it(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    short = {"type": "model", "model": model, "sampling_params": {"strategy": {"type": "greedy"}, "max_tokens": 1}}
    job = await started(api, benchmark, model, candidate=short, num_examples=1)

    async with working():
        await ended(job)

    assert await db.read(lambda: list(EvaluatedRow.objects.values_list("is_cut", flat=True))) == [True]
    assert (await api.get(f"{JOBS}/{job.job_id}/result")).json()["generations"] == [{"generated_answer": "Say "}]


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

    async def write(unit: Any, pk: int, some: list[Result], *others: Any) -> None:
        stored.append(len(some))

    async def steady() -> AsyncIterator[Result]:
        for position in range(30):
            await asyncio.sleep(0.02)
            yield Result(position, "{}", {}, {})

    monkeypatch.setattr(storing, "FLUSH_S", 0.1)
    monkeypatch.setattr(storing.db, "write", write)
    monkeypatch.setattr(storing.live, "tell", lambda *_: None)
    handle = Handle(Job(job_id="j", lease_owner="l"))
    monkeypatch.setattr(handle, "progress", lambda *_: None)
    keeper = storing.Keeper(Evaluation(row_total=30), handle, 0)
    keeper._add_up_at = float("inf")

    async for result in storing.in_time(steady(), keeper):  # type: ignore[arg-type]
        keeper.take(result)

    assert len(stored) >= 4


async def test_the_scores_so_far_speak_of_all_rows_before_a_pause_also_on_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored, happened = 0, []
    is_whole = asyncio.Event()

    async def write(unit: Any, pk: int, what: Any, *others: Any) -> None:
        nonlocal stored
        if unit is not storing.keep_sums:
            stored += len(what)
            return
        happened.append(what["row_count"])
        if stored == what["row_count"] == 3:
            is_whole.set()

    def waiting_sums(pk: int) -> dict[str, Any]:
        time.sleep(0.2)  # for its turn, not for its own work
        return {"row_count": stored}

    async def pausing() -> AsyncIterator[Result]:
        for position in range(3):
            yield Result(position, "{}", {}, {})
            await asyncio.sleep(0.1)
        await asyncio.wait_for(is_whole.wait(), 3)
        await asyncio.sleep(0.4)

    monkeypatch.setattr(storing, "FLUSH_S", 0.05)
    monkeypatch.setattr(storing, "TELL_S", 0.1)
    monkeypatch.setattr(storing.db, "write", write)
    monkeypatch.setattr(storing.results, "sums", waiting_sums)
    monkeypatch.setattr(storing.live, "tell", lambda topic, event: happened.append(event["event_type"]))
    handle = Handle(Job(job_id="j", lease_owner="l"))
    monkeypatch.setattr(handle, "progress", lambda *_: None)
    keeper = storing.Keeper(Evaluation(row_total=3), handle, 0)

    async for result in storing.in_time(pausing(), keeper):  # type: ignore[arg-type]
        keeper.take(result)

    assert happened[-2:] == [3, "rows_evaluated"] and happened.count(3) == 1


async def test_who_is_waited_for_is_told_at_once_and_then_no_pace(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await started(api, benchmark, model)
    claimed = await db.write(Job.objects.claim_next, ["eval"], "somewhere:1:1")
    keeper = storing.Keeper(await db.read(Evaluation.objects.get), Handle(claimed), 3)
    keeper._progress()  # a moment ago
    monkeypatch.setattr(keeper._handle._speed, "told", lambda *_: {"rate": 1.0, "eta_s": 5.0})

    told, server, judge = [], "The model server", "Judge 'far/judge'"
    for name, is_away in ((server, True), (judge, True), (judge, False), (server, False)):
        keeper.tell(name, "It comes and goes.", is_away)
        told.append((await db.write(Job.objects.get, pk=job.pk)).progress)

    one = "Waits for the model server to answer"
    both = "Waits for judge 'far/judge' and the model server to answer"
    assert [one["note"] for one in told] == [one, both, one, ""] and told[0]["done"] == 3
    assert ["eta_s" in one for one in told] == [False, False, False, True]
    assert await db.read(job.lines.filter(text="It comes and goes.").count) == 4


def test_a_failure_of_many_rows_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    handle = Handle(Job(job_id="j", lease_owner="l"))
    monkeypatch.setattr(handle, "log", lambda text, level: lines.append(text))
    keeper = storing.Keeper(Evaluation(row_total=30), handle, 0)

    for position, error in enumerate(["dead", "dead", "dead", "too long", "dead"]):
        keeper.take(Result(position, "{}", {}, {}, error))

    assert lines == ["Row 1: dead", "Row 4: too long", "Row 5: dead"]


def test_failures_that_all_differ_do_not_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    handle = Handle(Job(job_id="j", lease_owner="l"))
    monkeypatch.setattr(handle, "log", lambda text, level: lines.append(text))
    keeper = storing.Keeper(Evaluation(row_total=200), handle, 0)

    for position in range(200):
        keeper.take(Result(position, "{}", {}, {}, f"too long by {position}"))

    assert len(lines) == storing.ERRORS_TOLD + 1 and "on the evaluation's page" in lines[-1]


async def test_a_worker_that_lost_its_job_changes_no_sums(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    job = await started(api, benchmark, model)
    one = await db.read(Evaluation.objects.get)
    job.lease_owner = "a worker that was believed dead"

    with pytest.raises(Cancelled):
        await db.write(storing.keep_sums, one.pk, {"row_count": 5, "failed_count": 1}, Handle(job))

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


async def test_tried_again_it_takes_rows_over_in_parts_also_from_a_run_that_was_stopped_meanwhile(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retried, "PART", 2)
    job = await started(api, benchmark, model)
    async with working():
        first = await ended(job)
    one = await db.read(Evaluation.objects.get)
    gives = {"evaluation": one, "score": 4, "given_by": None}
    await db.write(HumanScore.objects.bulk_create, [HumanScore(position=at, **gives) for at in (0, 3, 7, 7)])
    await db.write(EvaluatedRow.objects.filter(position=5).update, error="It was away.", worst=UNSCORED)
    await db.write(Evaluation.objects.update, failed_count=1)

    stopped = await tried_again(first)
    await db.write(retried.begin, stopped)  # it has two rows of eight when it is stopped
    await db.write(runner.cancel, Job.objects.filter(pk=stopped.pk), build.actor())
    async with working():
        last = await ended(await tried_again(stopped))

    assert last.status == "completed", last.error
    run = await db.read(Evaluation.objects.get, job=last)
    kept = await db.read(lambda: dict(run.rows.values_list("position", "trace_id")))
    before = await db.read(lambda: dict(one.rows.values_list("position", "trace_id")))
    assert (run.row_count, run.failed_count, len(kept)) == (8, 0, 8)
    assert [at for at in kept if kept[at] != before[at]] == [5]
    given = await db.read(lambda: list(run.human_scores.values_list("position", flat=True)))
    assert given == [0, 3, 7, 7]


async def tried_again(job: Job) -> Job:
    """Return the job that goes on from an ended one."""
    await db.write(Job.objects.filter(pk=job.pk).update, status="cancelled")
    [again] = await db.write(runner.retry, Job.objects.filter(pk=job.pk), build.actor())
    return again
