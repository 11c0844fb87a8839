"""Evaluations at their edges: nothing to ask, what is not there any more, rows and answers of odd content."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from apps.core import db
from apps.datasets import rows as dataset_rows
from apps.evals.models import EvaluatedRow
from apps.inference import registry as models
from apps.jobs.models import Job
from tests import build
from tests.evals.conftest import config
from tests.jobs.conftest import ended, until, working

JOBS = "/v1alpha/eval/benchmarks/bench/jobs"
WAIT = {"Prefer": "wait=15"}
NONE_RIGHT = {"accuracy": {"accuracy": None, "num_correct": 0.0, "num_total": 0}}
HALF = chr(0xD83D)


async def begin(api: httpx2.AsyncClient, model: str, **fields: Any) -> Job:
    """Start an evaluation and return its job, as it stands when the start is answered."""
    answer = await api.post(JOBS, json=config(model, **fields), headers=fields.pop("headers", None))
    assert answer.status_code == 200, answer.text
    return await db.read(Job.objects.get, job_id=answer.json()["job_id"])


async def result(api: httpx2.AsyncClient, job: Job, status: int = 200) -> Any:
    answer = await api.get(f"{JOBS}/{job.job_id}/result")
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize("number", [None, -1, 5])
async def test_a_dataset_without_rows_is_evaluated_to_nothing(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, worker: Any, number: int | None
) -> None:
    await benchmark("bench", [])

    job = await ended(await begin(api, model, num_examples=number))

    assert job.status == "completed", job.error
    told = {"score_rows": [], "aggregated_results": NONE_RIGHT}
    assert await result(api, job) == {"generations": [], "scores": {"basic::equality": told}}


async def test_a_benchmark_without_functions_keeps_the_answers(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, worker: Any
) -> None:
    await benchmark()
    bare = {"benchmark_id": "bare", "dataset_id": "bench-rows", "scoring_functions": []}
    await api.post("/v1alpha/eval/benchmarks", json=bare)

    started = await api.post(JOBS.replace("bench/", "bare/"), json=config(model, num_examples=1), headers=WAIT)

    told = (await api.get(f"{JOBS.replace('bench/', 'bare/')}/{started.json()['job_id']}/result")).json()
    assert told == {"generations": [{"generated_answer": "Say 0"}], "scores": {}}


async def test_rows_without_an_expected_answer_are_answered_and_have_no_score(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, worker: Any
) -> None:
    await benchmark("bench", [{"question": "a"}, {"question": "b", "answer": None}, {"question": "c", "answer": "c"}])

    job = await ended(await begin(api, model))

    equality = (await result(api, job))["scores"]["basic::equality"]
    assert [row["score"] for row in equality["score_rows"]] == [None, None, 1.0]
    assert "needs 'expected_answer'" in equality["score_rows"][0]["error"]
    assert equality["aggregated_results"]["accuracy"]["num_total"] == 3


async def test_a_dataset_no_row_of_which_asks_anything_fails_with_the_first_reason(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, worker: Any
) -> None:
    await benchmark("bench", [{"other": n} for n in range(3)])

    job = await ended(await begin(api, model))

    assert (job.status, job.attempt) == ("failed", 1)
    detail = (await result(api, job, 400))["detail"]
    assert "None of the 3 rows was answered" in detail and "asks nothing" in detail and "'other'" in detail


@pytest.mark.parametrize("status", ["scheduled", "in_progress", "cancelled"])
async def test_a_run_that_has_no_whole_result_says_where_it_is(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, status: str
) -> None:
    await benchmark()
    job = await begin(api, model)
    await db.write(Job.objects.filter(pk=job.pk).update, status=status)

    detail = (await result(api, job, 400))["detail"]

    assert f"is {status.replace('_', ' ')}" in detail


async def test_a_run_that_failed_says_why_where_its_result_is_asked(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    await benchmark()
    job = await begin(api, model)
    await db.write(Job.objects.filter(pk=job.pk).update, status="failed", error="The disk is full.")

    assert "failed: The disk is full." in (await result(api, job, 400))["detail"]


@pytest.mark.parametrize(
    ("functions", "params", "status", "words"),
    [
        (["basic::equalty"], {}, 404, "did you mean 'basic::equality'"),
        (["basic::equality"], {"basic::subset_of": {"type": "basic"}}, 400, "none of the functions of this run"),
        (["basic::equality"], {"basic::equality": {"type": "regex_parser"}}, 400, "takes parameters of type 'basic'"),
        (["llm-as-judge::base"], {}, 400, "needs a judge_model"),
    ],
)
async def test_functions_and_parameters_that_do_not_fit_start_nothing(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str,
    functions: list[str], params: dict[str, Any], status: int, words: str,
) -> None:  # fmt: skip
    await benchmark("bench", None, *functions)

    answer = await api.post(JOBS, json=config(model, scoring_params=params))

    assert answer.status_code == status and words in answer.json()["detail"]
    assert not await db.read(Job.objects.exists)


@pytest.mark.parametrize(
    "sampling",
    [
        '{"strategy": {"type": "top_p", "temperature": 1e999, "top_p": 0.5}}',
        '{"strategy": {"type": "greedy"}, "repetition_penalty": 1e999}',
        '{"strategy": {"type": "greedy"}, "max_tokens": 1e999}',
        '{"strategy": {"type": "top_k", "top_k": NaN}}',
    ],
)
async def test_a_number_beyond_all_numbers_is_refused(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, sampling: str
) -> None:
    await benchmark()
    body = json.dumps(config(model)).replace('{"strategy": {"type": "greedy"}}', sampling)
    assert sampling in body

    answer = await api.post(JOBS, content=body.encode(), headers={"Content-Type": "application/json"})

    assert answer.status_code == 400, answer.text
    assert not await db.read(Job.objects.exists)


@pytest.mark.parametrize("prefer", ["wait=0", "respond-async, wait=1", "wait"])
async def test_who_waits_too_short_is_told_how_it_stands(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, prefer: str
) -> None:
    await benchmark()

    answer = await asyncio.wait_for(api.post(JOBS, json=config(model), headers={"Prefer": prefer}), 5)

    assert answer.json()["status"] == "scheduled"


async def test_a_start_waits_as_long_as_the_console_is_set_to(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, worker: Any, settings: Any
) -> None:
    settings.EVAL_SYNC_GRACE_SECONDS = 15
    await benchmark()

    assert (await api.post(JOBS, json=config(model))).json()["status"] == "completed"


@pytest.fixture
def slow(transactional_db: None) -> str:
    """A model that takes a while over each row."""
    name = str(build.model(build.provider("slow", config={"script": [{"text": "1", "delay_s": 0.4}]})).identifier)
    build.forget()
    return name


async def test_deleting_a_benchmark_stops_what_is_in_the_middle_and_its_run_stays(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], slow: str, settings: Any
) -> None:
    settings.EVAL_AT_ONCE = 1
    await benchmark()
    async with working():
        job = await begin(api, slow)
        await until(EvaluatedRow.objects.exists)
        assert (await api.delete("/v1alpha/eval/benchmarks/bench")).status_code == 200
        job = await ended(job, 5)

    assert job.status == "cancelled" and 0 < await db.read(EvaluatedRow.objects.count) < 8
    assert (await api.get(f"{JOBS}/{job.job_id}")).json() == {"job_id": job.job_id, "status": "cancelled"}


async def test_a_model_that_is_deleted_before_it_is_asked_fails_the_run_at_once(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    await benchmark()
    job = await begin(api, model)
    await db.write(models.unregister, model, build.actor())
    build.forget()

    async with working():
        job = await ended(job)

    assert (job.status, job.attempt) == ("failed", 1) and f"Model '{model}' not found" in job.error


async def test_a_model_that_is_deleted_meanwhile_is_asked_to_the_end(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], slow: str, settings: Any
) -> None:
    settings.EVAL_AT_ONCE = 2
    await benchmark()
    async with working():
        job = await begin(api, slow)
        await until(EvaluatedRow.objects.exists)
        await db.write(models.unregister, slow, build.actor())
        job = await ended(job)

    assert job.status == "completed" and job.result["failed"] == 0


async def test_a_function_that_is_deleted_meanwhile_scores_to_the_end(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    own = {"scoring_fn_id": "mine/equal", "description": "", "return_type": {"type": "number"}}
    await api.post("/v1/scoring-functions", json=own | {"provider_scoring_fn_id": "basic::equality"})
    await benchmark("bench", None, "mine/equal")
    job = await begin(api, model)
    await api.delete("/v1/scoring-functions/mine/equal")

    async with working():
        job = await ended(job)

    assert (await result(api, job))["scores"]["mine/equal"]["aggregated_results"]["accuracy"]["num_correct"] == 4
    assert (await api.post(JOBS, json=config(model))).status_code == 404


async def test_rows_and_answers_of_odd_content_are_asked_and_told(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, worker: Any
) -> None:
    odd = [f"half {HALF}", "\u202eright to left", "a" * 100_000, "{}}{", "\x1b[31m", "  "]
    await benchmark("bench", [{"question": "x", "answer": "x"}])
    texts = [json.dumps({"question": text, "answer": text, "n": 10**400}) for text in odd]
    await db.write(dataset_rows.append_rows, "bench-rows", texts, build.actor())

    job = await ended(await begin(api, model))

    told = await result(api, job)
    assert job.status == "completed" and job.result["failed"] == 0
    answers = [one["generated_answer"] for one in told["generations"]]
    assert answers == ["x", "half ?", *odd[1:]]
    assert [one["score"] for one in told["scores"]["basic::equality"]["score_rows"]] == [1.0] * 7


async def test_an_answer_that_holds_a_character_no_database_takes_is_kept_without_it(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], scripted: Callable[..., str], worker: Any
) -> None:
    name = await db.write(scripted, "a\0b")
    await benchmark("bench", [{"question": "x", "answer": "ab"}], "basic::equality", "basic::subset_of")

    job = await ended(await begin(api, name))

    assert (await result(api, job))["generations"] == [{"generated_answer": "ab"}]


async def test_a_dataset_with_half_a_character_is_scored(api: httpx2.AsyncClient) -> None:
    source = {"type": "rows", "rows": [{"expected_answer": "a", "generated_answer": "a"}]}
    asked = {"purpose": "eval/messages-answer", "dataset_id": "qa", "source": source}
    await api.post("/v1beta/datasets", json=asked)
    text = json.dumps({"expected_answer": HALF, "generated_answer": HALF})
    await db.write(dataset_rows.append_rows, "qa", [text], build.actor())
    body = {"dataset_id": "qa", "scoring_functions": {"basic::equality": None}, "save_results_dataset": True}

    answer = await api.post("/v1/scoring/score-batch", json=body)

    assert answer.status_code == 200, answer.text
    assert [row["score"] for row in answer.json()["results"]["basic::equality"]["score_rows"]] == [1.0, 1.0]


@pytest.mark.parametrize("name", ["ünï/çødé", "日本::a b", "a%2Fb", "a+b&c=d;e,f", "'\"<>", "🙂" * 60], ids=ascii)
async def test_ids_of_any_letters_are_found_again(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, worker: Any, name: str
) -> None:
    await benchmark()
    asked = {"benchmark_id": name, "dataset_id": "bench-rows", "scoring_functions": ["basic::equality"]}
    assert (await api.post("/v1alpha/eval/benchmarks", json=asked)).status_code == 200
    path = "/v1alpha/eval/benchmarks/" + "".join(f"%{byte:02X}" for byte in name.encode())

    started = await api.post(f"{path}/jobs", json=config(model), headers=WAIT)

    assert started.json()["status"] == "completed"
    assert (await api.get(path)).json()["identifier"] == name
    assert await db.read(EvaluatedRow.objects.filter(evaluation__benchmark_id=name).count) == 8
