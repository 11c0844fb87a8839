"""A run that goes on from one whose judge was out: answers are kept, and scored anew without asking for them again."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from django.test import Client

from apps.core import db
from apps.core.errors import ProviderError
from apps.datasets import rows as dataset_rows
from apps.datasets.models import Dataset
from apps.evals import evaluation, human
from apps.evals.models import Benchmark, EvaluatedRow, Evaluation
from apps.evals.running import candidates, retried
from apps.evals.runs import rerun
from apps.jobs import runner
from apps.jobs.models import Job
from apps.telemetry.models import Span
from apps.telemetry.sink import StoreSpans
from stack_console import tracing
from tests import build
from tests.evals import made
from tests.evals.conftest import config
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web
from tests.evals.test_scored_spans import kept as kept
from tests.jobs.conftest import ended, until, working

JUDGE, EQUAL = "llm-as-judge::base", "basic::equality"


class Models:
    """A candidate that says back what it is told, and a judge that gives a 1 to what it is not out for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.judged: list[str] = []
        self.out_for: set[str] = set()
        self.silent_for: set[str] = set()

    async def complete(self, target: Any, body: dict[str, Any]) -> dict[str, Any]:
        said = body["messages"][-1]["content"]
        if target.identifier == "far/judge":
            self.judged.append(said)
            while said in self.silent_for:
                await asyncio.sleep(0.02)
            if said in self.out_for:
                raise ProviderError("The judge is out.", status=400)
        else:
            self.asked.append(said)
        told = {"role": "assistant", "content": "1" if target.identifier == "far/judge" else said}
        return {"choices": [{"message": told}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


@pytest.fixture
def models(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Models]:
    """A candidate and a judge that is out for every second row."""
    far = build.provider("far", "remote::openai", config={"base_url": "http://127.0.0.1:9/v1"})
    for name in ("candidate", "judge"):
        build.model(far, name)
    build.forget()
    told = Models()
    told.out_for = {f"Say {n}" for n in range(0, 8, 2)}
    monkeypatch.setattr(candidates.chat, "complete", told.complete)
    tracing.start()
    yield told
    build.forget()


@pytest.fixture
async def first(api: httpx2.AsyncClient, benchmark: Callable[..., Any], models: Models) -> Evaluation:
    """A run of eight rows, of which the judge scored every second one."""
    await benchmark("bench", None, EQUAL, JUDGE)
    judge = {"type": "llm_as_judge", "judge_model": "far/judge", "prompt_template": "{generated_answer}"}
    params = {JUDGE: {**judge, "judge_score_regexes": [r"(\d)"], "aggregation_functions": []}}
    answer = await api.post("/v1alpha/eval/benchmarks/bench/jobs", json=config("far/candidate", scoring_params=params))
    assert answer.status_code == 200, answer.text
    async with working():
        await ended(await db.read(Job.objects.get, job_id=answer.json()["job_id"]))
    assert sorted(models.asked) == sorted(models.judged) == [f"Say {n}" for n in range(8)]
    models.judged.clear()
    return await db.read(Evaluation.objects.select_related("job").get)


async def again(one: Evaluation) -> Evaluation:
    """Return the run that goes on from an ended one, which no worker has begun."""
    fresh = await db.read(Evaluation.objects.select_related("job").get, pk=one.pk)
    return await db.write(rerun.run_again, fresh, build.actor())


async def rows_of(one: Evaluation) -> list[EvaluatedRow]:
    """Return the rows of a run in their order."""
    return await db.read(lambda: list(one.rows.order_by("position")))


def verdicts(rows: list[EvaluatedRow]) -> list[Any]:
    """Return what the judge gave each row."""
    return [json.loads(row.scores)[JUDGE]["score"] for row in rows]


def traces(rows: list[EvaluatedRow]) -> dict[int, str]:
    """Return the trace of each row by its place."""
    return {row.position: row.trace_id for row in rows}


async def stopped_after(models: Models, one: Evaluation, *, silent: set[int]) -> None:
    """Run an evaluation until all rows are scored but those the judge is silent for; then its worker is stopped."""
    models.silent_for = {f"Say {n}" for n in silent}
    async with working():
        await until(lambda: one.rows.count() == 8 - len(silent))
    models.silent_for = set()


async def test_answers_without_a_score_are_kept_and_scored_anew(models: Models, first: Evaluation) -> None:
    before = await rows_of(first)
    assert verdicts(before) == [None, "1"] * 4
    people = build.actor(user_id=(await db.write(build.user)).pk)
    for position in (0, 1):
        await db.write(human.give, first, position, 4, "Good.", people)
    models.out_for, at_first = set(), list(models.asked)

    second = await again(first)
    async with working():
        job = await ended(second.job)

    after = await rows_of(second)
    assert job.status == "completed", job.error
    assert models.asked == at_first and sorted(models.judged) == [f"Say {n}" for n in range(0, 8, 2)]
    assert verdicts(after) == ["1"] * 8 and verdicts(before) == [None, "1"] * 4
    for name in ("row", "generation", "duration_ms", "input_tokens", "output_tokens", "error"):
        assert [getattr(row, name) for row in after] == [getattr(row, name) for row in before]
    told = {"far/judge": {"calls": 1, "input_tokens": 3, "output_tokens": 2, "uncounted": 0}}
    assert [json.loads(row.judged) for row in after] == [told] * 8
    assert [row.trace_id == old.trace_id for row, old in zip(after, before, strict=True)] == [False, True] * 4
    given = await db.read(lambda: list(second.human_scores.values_list("position", "score", "note")))
    assert given == [(0, 4, "Good."), (1, 4, "Good.")] and [row.human for row in after] == [4, 4] + [None] * 6
    await db.read(second.refresh_from_db)
    assert (second.row_count, second.failed_count, second.judged["far/judge"]["calls"]) == (8, 0, 8)
    assert not rerun.can_run_again(await db.read(Evaluation.objects.select_related("job").get, pk=second.pk))


async def test_stopped_in_the_middle_it_goes_on_and_scores_no_row_twice(models: Models, first: Evaluation) -> None:
    models.out_for = set()
    second = await again(first)
    await stopped_after(models, second, silent={2, 4})
    scored = traces(await rows_of(second))
    models.judged.clear()

    async with working():
        job = await ended(second.job)

    rows = await rows_of(second)
    assert job.status == "completed" and sorted(models.judged) == ["Say 2", "Say 4"] and len(models.asked) == 8
    assert verdicts(rows) == ["1"] * 8 and traces(rows) | scored == traces(rows)
    await db.read(second.refresh_from_db)
    assert second.row_count == 8


async def test_a_run_that_goes_on_from_one_that_was_cancelled_keeps_what_that_scored(
    models: Models, first: Evaluation
) -> None:
    models.out_for = set()
    second = await again(first)
    await stopped_after(models, second, silent={2, 4})
    await db.write(runner.cancel, Job.objects.filter(pk=second.job_id), build.actor())
    people = build.actor(user_id=(await db.write(build.user)).pk)
    await db.write(human.give, second, 0, 2, "", people)
    await db.write(human.give, first, 2, 5, "", people)
    scored = traces(await rows_of(second))
    models.judged.clear()

    third = await again(second)
    async with working():
        job = await ended(third.job)

    rows = await rows_of(third)
    assert job.status == "completed" and sorted(models.judged) == ["Say 2", "Say 4"] and len(models.asked) == 8
    assert verdicts(rows) == ["1"] * 8 and traces(rows) | scored == traces(rows)
    assert [row.human for row in rows] == [2, None, 5] + [None] * 5


async def test_what_the_judge_gives_no_score_again_is_tried_once_a_run(models: Models, first: Evaluation) -> None:
    for out_for, copied, judged in (({"Say 2"}, 4, 4), (set[str](), 7, 1)):
        models.out_for = out_for
        models.judged.clear()
        run = await again(await db.read(Evaluation.objects.latest, "pk"))
        assert await db.read(run.rows.count) == copied
        async with working():
            await ended(run.job)
        assert len(models.judged) == judged and len(models.asked) == 8

    assert verdicts(await rows_of(run)) == ["1"] * 8


async def test_rows_that_failed_are_asked_and_rows_deleted_since_are_scored_beside_them(
    models: Models, first: Evaluation
) -> None:
    models.out_for = set()
    await db.write(EvaluatedRow.objects.filter(position=4).update, error="It was away.")
    await db.write(dataset_rows.delete_rows, "bench-rows", [0, 1], build.actor())
    await db.write(dataset_rows.replace_row, "bench-rows", 2, '{"question": "Other", "answer": ""}', build.actor())

    second = await again(first)
    async with working():
        await ended(second.job)

    rows = await rows_of(second)
    assert models.asked[8:] == ["Say 4"] and verdicts(rows) == ["1"] * 8
    assert [json.loads(row.row)["question"] for row in rows] == [f"Say {n}" for n in range(8)]


async def test_the_trace_of_a_row_that_is_scored_anew_has_no_call_of_the_candidate(
    kept: StoreSpans, models: Models, first: Evaluation
) -> None:
    models.out_for = set()
    second = await again(first)
    async with working():
        await ended(second.job)

    assert await asyncio.to_thread(kept.force_flush)
    row = (await rows_of(second))[0]
    spans = await db.read(lambda: list(Span.objects.filter(trace__trace_id=row.trace_id)))
    assert sorted(span.name for span in spans) == ["chat far/judge", "evaluate_row", f"score {JUDGE}"]
    [root] = [span for span in spans if span.name == "evaluate_row"]
    assert root.attributes["answered_in_run"] == first.pk and root.attributes[f"score.{JUDGE}"] == "1"


async def test_the_job_says_that_answers_have_no_score(models: Models, first: Evaluation) -> None:
    told = "Some answers have no score; 'Run what is missing' scores them again, as they are."

    assert await db.read(first.job.lines.filter(text=told).count) == 1
    assert not await db.read(first.job.lines.filter(text__contains="rows have no answer").exists)


def test_answers_are_read_by_the_chunk(bench: Benchmark, django_assert_num_queries: Any) -> None:
    first = made.evaluation([1.0, None, None, None, 0.0, "!away", None, None])
    again = made.evaluation([1.0], row_total=8)
    dataset = Dataset.objects.get()

    with django_assert_num_queries(3):
        rows = evaluation._chunk(again, dataset, dataset.places, [first.pk], range(8))
    with django_assert_num_queries(1):
        assert evaluation._chunk(again, dataset, dataset.places, [first.pk], range(1)) == []

    assert [row.position for row in rows] == list(range(1, 8))
    assert [row.position for row in rows if row.answer is None] == [5]


def test_an_answer_is_taken_from_the_newest_run_that_has_one(bench: Benchmark) -> None:
    old, new = made.evaluation([None, None]), made.evaluation([None, "!away"])
    new.rows.update(duration_ms=7, is_cut=True)

    found = retried.answered([new.pk, old.pk], [0, 1])

    assert [found[at].answered_in for at in (0, 1)] == [new.pk, old.pk]
    assert found[0].answer is not None and found[0].answer.duration_ms == 7
    assert [found[at].answer.is_cut for at in (0, 1)] == [True, False]  # type: ignore[union-attr]


def test_a_run_whose_answers_lack_a_score_can_go_on_and_says_how(
    web: Client, bench: Benchmark, django_assert_num_queries: Any
) -> None:
    one, whole = made.evaluation([1.0, None]), made.evaluation([1.0, 0.0])
    missing = Evaluation.objects.select_related("job").get(pk=one.pk)

    with django_assert_num_queries(0):
        assert rerun.can_run_again(missing)
    page = text(web, f"/evaluations/{one.job.job_id}/")
    assert "Run what is missing" in page and "scores answers that have no score" in page
    assert "Run what is missing" not in text(web, f"/evaluations/{whole.job.job_id}/")
