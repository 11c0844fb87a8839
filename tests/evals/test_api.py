"""The nine operations of benchmarks and evaluations, under both prefixes, held against the contract."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from apps.core import db
from apps.evals.models import EvaluatedRow, Evaluation
from apps.jobs.models import Job
from tests import build
from tests.evals.conftest import ROWS, config
from tests.spec.calls import Checked
from tests.spec.conftest import calls as calls

BENCHMARKS = "/eval/benchmarks"
MANY = {"benchmark_id": "suite::a", "dataset_id": "d", "scoring_functions": ["basic::equality"]}


async def finished(calls: Checked, name: str, job_id: str, seconds: float = 20) -> str:
    """Return the status a job ends with."""
    for _ in range(int(seconds / 0.05)):
        job = await calls.get(f"{BENCHMARKS}/{name}/jobs/{job_id}")
        if job["status"] in ("completed", "failed", "cancelled"):
            return str(job["status"])
        await asyncio.sleep(0.05)
    raise AssertionError(f"the job is {job}")


async def test_a_benchmark_is_registered_read_listed_and_deleted(calls: Checked) -> None:
    assert await calls.post(BENCHMARKS, MANY) is None
    assert await calls.post(BENCHMARKS, {**MANY, "metadata": {}}) is None  # the same again

    read = await calls.get(f"{BENCHMARKS}/suite::a")

    assert read["identifier"] == read["provider_resource_id"] == "suite::a"
    assert (await calls.get(BENCHMARKS))["data"] == [read]
    assert await calls.delete(f"{BENCHMARKS}/suite::a") is None
    await calls.get(f"{BENCHMARKS}/suite::a", status=404)


async def test_an_id_that_means_something_else_is_a_conflict(calls: Checked) -> None:
    await calls.post(BENCHMARKS, MANY)

    await calls.post(BENCHMARKS, {**MANY, "dataset_id": "other"}, status=409)

    assert (await calls.get(f"{BENCHMARKS}/suite::a"))["dataset_id"] == "d"


@pytest.mark.parametrize(
    "wrong",
    [
        {"benchmark_id": ""}, {"benchmark_id": "x" * 300}, {"benchmark_id": "a/jobs/b"},
        {"benchmark_id": "a/evaluations"}, {"benchmark_id": "x?y"}, {"benchmark_id": ".."}, {"benchmark_id": "jobs/.."},
        {"scoring_functions": [""]}, {"scoring_functions": ["basic::equality", "\0"]}, {"dataset_id": "a#b"},
        {"provider_benchmark_id": " "}, {"provider_id": "nobody"}, {"scoring_functions": "one"},
        {"scoring_function": []}, {"dataset_id": None}, {"metadata": 5},
    ],
)  # fmt: skip
async def test_a_benchmark_with_bad_values_is_refused(calls: Checked, wrong: dict[str, Any]) -> None:
    await calls.post(BENCHMARKS, {**MANY, **wrong}, status=400)

    assert (await calls.get(BENCHMARKS))["data"] == []


async def test_an_evaluation_runs_and_tells_its_result(
    calls: Checked, benchmark: Callable[..., Any], model: str, worker: Any
) -> None:
    name = await benchmark("bench", None, "basic::equality", "basic::subset_of")

    job = await calls.post(f"{BENCHMARKS}/{name}/jobs", config(model))
    assert job["status"] in ("scheduled", "in_progress")
    status = await finished(calls, name, job["job_id"])
    result = await calls.get(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}/result")

    assert status == "completed"
    assert [one["generated_answer"] for one in result["generations"]] == [row["question"] for row in ROWS]
    equality = result["scores"]["basic::equality"]
    assert [row["score"] for row in equality["score_rows"]] == [0.0, 1.0] * 4
    assert equality["aggregated_results"]["accuracy"] == {"accuracy": 0.5, "num_correct": 4.0, "num_total": 8}
    evaluation = await db.read(Evaluation.objects.get)
    assert (evaluation.row_count, evaluation.failed_count) == (8, 0)
    await calls.delete(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}", status=409)


async def test_only_the_first_rows_are_evaluated_if_so_asked(
    calls: Checked, benchmark: Callable[..., Any], model: str, worker: Any
) -> None:
    name = await benchmark()

    job = await calls.post(f"{BENCHMARKS}/{name}/jobs", config(model, num_examples=3))
    await finished(calls, name, job["job_id"])
    result = await calls.get(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}/result")

    assert [one["generated_answer"] for one in result["generations"]] == ["Say 0", "Say 1", "Say 2"]
    await calls.post(f"{BENCHMARKS}/{name}/jobs", config(model, num_examples=0), status=400)


@pytest.mark.parametrize("preference", ["wait=15", 'respond-async, wait="15"'])
async def test_waiting_a_little_gives_the_ended_job(
    calls: Checked, benchmark: Callable[..., Any], model: str, worker: Any, preference: str
) -> None:
    name = await benchmark()

    job = await calls.post(f"{BENCHMARKS}/{name}/jobs", config(model), headers={"Prefer": preference})

    assert job["status"] == "completed"


async def test_an_agent_is_evaluated_without_leaving_traces_of_itself(
    calls: Checked, benchmark: Callable[..., Any], model: str, worker: Any
) -> None:
    name = await benchmark()
    candidate = {"type": "agent", "config": build.config(model=model, name="Ana", instructions="Echo.")}

    job = await calls.post(
        f"{BENCHMARKS}/{name}/jobs", config(model, candidate=candidate), headers={"Prefer": "wait=15"}
    )
    result = await calls.get(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}/result")

    assert job["status"] == "completed"
    assert [one["generated_answer"] for one in result["generations"]] == [row["question"] for row in ROWS]
    assert (await calls.get("/agents"))["data"] == []


async def test_an_agent_that_waits_for_its_caller_fails_its_row(
    calls: Checked, benchmark: Callable[..., Any], transactional_db: None, worker: Any
) -> None:
    call = {"name": "get_weather", "arguments": {"city": "Porto"}}
    model = await db.write(build.scripted_model, [{"tool_calls": [call]}])
    name = await benchmark()
    candidate = {"type": "agent", "config": build.config(model=model, client_tools=[build.tool()])}

    job = await calls.post(
        f"{BENCHMARKS}/{name}/jobs", config(model, candidate=candidate), headers={"Prefer": "wait=15"}
    )
    problem = await calls.get(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}/result", status=400)

    assert job["status"] == "failed"
    assert "get_weather" in problem["detail"]


async def test_a_row_that_asks_nothing_fails_alone(
    calls: Checked, benchmark: Callable[..., Any], model: str, worker: Any
) -> None:
    rows = [{"question": "a", "answer": "a"}, {"other": 1}, {"question": "b", "answer": "b"}]
    name = await benchmark("bench", rows)

    job = await calls.post(f"{BENCHMARKS}/{name}/jobs", config(model), headers={"Prefer": "wait=15"})
    result = await calls.get(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}/result")

    assert result["generations"][1]["generated_answer"] is None and "asks nothing" in result["generations"][1]["error"]
    scores = result["scores"]["basic::equality"]
    assert [row["score"] for row in scores["score_rows"]] == [1.0, None, 1.0]
    assert scores["aggregated_results"]["accuracy"]["num_total"] == 3


async def test_what_is_not_there_is_told(calls: Checked, benchmark: Callable[..., Any], model: str) -> None:
    name = await benchmark()
    await calls.post(BENCHMARKS, MANY)
    greedy = {"strategy": {"type": "greedy"}}
    nobody = {"type": "model", "model": "nobody", "sampling_params": greedy}

    await calls.post(f"{BENCHMARKS}/none/jobs", config(model), status=404)
    await calls.post(f"{BENCHMARKS}/suite::a/jobs", config(model), status=404)  # its dataset
    await calls.post(f"{BENCHMARKS}/{name}/jobs", config(model, candidate=nobody), status=404)
    await calls.get(f"{BENCHMARKS}/{name}/jobs/none", status=404)
    await calls.get(f"{BENCHMARKS}/{name}/jobs/none/result", status=404)
    await calls.delete(f"{BENCHMARKS}/{name}/jobs/none", status=404)
    await calls.delete(f"{BENCHMARKS}/none", status=404)
    await calls.post(f"{BENCHMARKS}/{name}/jobs", {"benchmark_config": {}}, status=400)
    wrong = config(model, scoring_params={"basic::equality": {"type": "llm_as_judge", "judge_model": "x"}})
    await calls.post(f"{BENCHMARKS}/{name}/jobs", wrong, status=400)
    assert await db.read(Job.objects.filter(kind="evaluation").count) == 0


@pytest.mark.parametrize("patterns", [["("], ["(a)", "a"], ["(a)"] * 201, ["(a)" * 3_000]])
async def test_expressions_that_cannot_be_used_start_nothing(
    calls: Checked, benchmark: Callable[..., Any], model: str, patterns: list[str]
) -> None:
    function = "basic::regex_parser_multiple_choice_answer"
    name = await benchmark("bench", None, function)
    wrong = config(model, scoring_params={function: {"type": "regex_parser", "parsing_regexes": patterns}})

    started = await calls.post(f"{BENCHMARKS}/{name}/jobs", wrong, status=400)
    rows = {"input_rows": ROWS, "scoring_functions": [function], **wrong}
    scored = await calls.post(f"{BENCHMARKS}/{name}/evaluations", rows, status=400)

    for refused in (started, scored):
        assert f"scoring_params.{function}.parsing_regexes" in refused["detail"]
    assert not await db.read(Job.objects.filter(kind="evaluation").exists)


@pytest.mark.parametrize("wrong", [True, "3", 3.5, "all", [3]])
async def test_a_number_of_rows_that_is_none_is_refused(
    calls: Checked, benchmark: Callable[..., Any], model: str, wrong: Any
) -> None:
    name = await benchmark()

    refused = await calls.post(f"{BENCHMARKS}/{name}/jobs", config(model, num_examples=wrong), status=400)

    assert "benchmark_config.num_examples: " in refused["detail"]
    assert not await db.read(Job.objects.filter(kind="evaluation").exists)


async def test_a_job_without_a_worker_waits_and_can_be_cancelled(
    calls: Checked, benchmark: Callable[..., Any], model: str
) -> None:
    name = await benchmark()
    job = await calls.post(f"{BENCHMARKS}/{name}/jobs", config(model))
    await calls.post(BENCHMARKS, MANY)

    await calls.get(f"{BENCHMARKS}/suite::a/jobs/{job['job_id']}", status=404)
    problem = await calls.get(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}/result", status=400)
    assert "scheduled" in problem["detail"]

    assert await calls.delete(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}") is None
    assert await calls.delete(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}") is None  # asking again is no fault
    assert (await calls.get(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}"))["status"] == "cancelled"


async def test_results_outlive_their_benchmark(
    calls: Checked, benchmark: Callable[..., Any], model: str, worker: Any
) -> None:
    name = await benchmark()
    job = await calls.post(f"{BENCHMARKS}/{name}/jobs", config(model), headers={"Prefer": "wait=15"})

    await calls.delete(f"{BENCHMARKS}/{name}")

    result = await calls.get(f"{BENCHMARKS}/{name}/jobs/{job['job_id']}/result")
    assert len(result["generations"]) == 8


async def test_rows_of_a_request_are_evaluated_at_once(
    calls: Checked, benchmark: Callable[..., Any], model: str
) -> None:
    name = await benchmark()
    body = {"input_rows": ROWS[:3], "scoring_functions": ["basic::subset_of"], **config(model)}

    result = await calls.post(f"{BENCHMARKS}/{name}/evaluations", body)
    empty = await calls.post(f"{BENCHMARKS}/{name}/evaluations", {**body, "input_rows": []})
    await calls.post(f"{BENCHMARKS}/none/evaluations", body, status=404)
    await calls.post(f"{BENCHMARKS}/{name}/evaluations", {**body, "scoring_functions": ["nope"]}, status=404)
    await calls.post(f"{BENCHMARKS}/{name}/evaluations", {**body, "input_rows": [{"x": 1}]}, status=400)

    assert [one["generated_answer"] for one in result["generations"]] == ["Say 0", "Say 1", "Say 2"]
    assert [row["score"] for row in result["scores"]["basic::subset_of"]["score_rows"]] == [0.0, 1.0, 0.0]
    assert empty["generations"] == [] and empty["scores"]["basic::subset_of"]["score_rows"] == []
    assert await db.read(Evaluation.objects.count) == 0


async def test_more_rows_than_a_request_may_bring_are_refused(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, settings: Any
) -> None:
    settings.EVAL_DIRECT_ROWS = 2
    name = await benchmark()
    body = {"input_rows": ROWS[:3], "scoring_functions": ["basic::equality"], **config(model)}

    answer = await api.post(f"/v1alpha{BENCHMARKS}/{name}/evaluations", json=body)

    assert answer.status_code == 413 and "benchmark" in answer.json()["detail"]


async def test_a_retried_job_keeps_what_was_answered(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, worker: Any
) -> None:
    from apps.jobs import runner
    from tests.jobs.conftest import ended

    name = await benchmark("bench", [{"question": "a", "answer": "a"}, {"other": 1}])
    wait = {"Prefer": "wait=15"}
    job_id = (await api.post(f"/v1alpha{BENCHMARKS}/{name}/jobs", json=config(model), headers=wait)).json()["job_id"]
    kept = await db.read(lambda: EvaluatedRow.objects.get(error="").trace_id)

    await db.write(lambda: Job.objects.filter(job_id=job_id).update(status="cancelled"))
    [again] = await db.write(runner.retry, Job.objects.filter(job_id=job_id), build.actor())
    row = await ended(again)

    assert row.status == "completed", row.error
    runs = await db.read(lambda: list(Evaluation.objects.order_by("pk").values_list("row_count", "failed_count")))
    assert runs == [(2, 1), (2, 1)]
    answered = EvaluatedRow.objects.filter(evaluation__job=row, error="")
    assert await db.read(lambda: answered.get().trace_id) == kept


async def test_ids_of_benchmarks_may_hold_slashes(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    name = await benchmark("suite/one::a")

    read = await api.get(f"/v1alpha{BENCHMARKS}/suite/one::a")
    job = (await api.post(f"/v1alpha{BENCHMARKS}/{name}/jobs", json=config(model))).json()
    status = await api.get(f"/v1/eval/benchmarks/{name}/jobs/{job['job_id']}")

    assert read.json()["identifier"] == name and status.json()["job_id"] == job["job_id"]
