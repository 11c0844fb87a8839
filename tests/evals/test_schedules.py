"""Schedules: asked for by the form, started once when due, honest about what stood in the way."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction
from django.test import Client
from django.utils.timezone import now

from apps.accounts.models import AuditLine, User
from apps.core import db
from apps.core.errors import NotFound
from apps.datasets.models import Dataset
from apps.evals import registry, schedules, schemas
from apps.evals.models import Benchmark, Evaluation, Every, Schedule
from apps.inference.models import Model
from apps.jobs import periodic
from apps.jobs.models import Job, Periodic, Status
from tests import build
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import reader as reader
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web
from tests.jobs.conftest import until, working

MONDAY = datetime(2026, 3, 23, 6, 0, tzinfo=UTC)  # a week in which many clocks change
FORM = "/evaluations/new/?benchmark=bench"


def schedule(model: str, by: Any = None, every: Every = Every.DAY, due: datetime | None = None, **fields: Any) -> Any:
    """Return a schedule that is due at a time, now unless told."""
    greedy = {"strategy": {"type": "greedy"}}
    candidate = {"type": "model", "model": model, "sampling_params": greedy}
    config = schemas.BenchmarkConfig.model_validate({"eval_candidate": candidate})
    one = Schedule.objects.create(
        benchmark=Benchmark.objects.get(), configs=[config], every=every, next_at=due or now(), created_by=by, **fields
    )
    return one


def start_due(at: datetime | None = None) -> list[Evaluation]:
    return async_to_sync(schedules.start_due)(at or now())


def test_the_form_makes_a_schedule_that_the_page_of_the_benchmark_lists(
    web: Client, bench: Benchmark, model: str
) -> None:
    first = (now() + timedelta(days=2)).replace(hour=6, minute=30, second=0, microsecond=0)
    sent = {"models": [model], "num_examples": "3", "times": "2", "act": "schedule"}

    answer = web.post(FORM, {**sent, "every": "week", "first_at": f"{first:%Y-%m-%dT%H:%M}"})

    assert answer.headers["Location"] == "/benchmarks/bench/#schedules"
    one = Schedule.objects.get()
    assert (one.every, one.next_at, one.created_by.username) == ("week", first, "operator")
    assert [config.num_examples for config in one.configs] == [3, 3]
    page = text(web, "/benchmarks/bench/")
    assert (
        f"Every {first:%A} at 06:30 UTC" in page
        and " · first 3 rows · 2 runs" in page
        and page.count('data-ui="schedule-row"') == 1
    )
    assert not Evaluation.objects.exists()
    assert AuditLine.objects.filter(kind="schedule", action="create", object_id=one.pk).exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"first_at": ""}, "required"), ({"first_at": "soon"}, "valid date"), ({"every": "minute"}, "valid choice"),
        ({"first_at": "9999-12-31T23:59"}, "within a year"), ({"first_at": "0001-01-01T00:00"}, "more than a year"),
        ({"models": []}, "Choose at least one"),
    ],
)  # fmt: skip
def test_what_cannot_be_scheduled_is_told(
    web: Client, bench: Benchmark, model: str, wrong: dict[str, Any], words: str
) -> None:
    sent = {"models": [model], "every": "day", "first_at": f"{now():%Y-%m-%dT%H:%M}", "act": "schedule"}

    answer = web.post(FORM, sent | wrong)

    assert answer.status_code == 422 and words in answer.content.decode()
    assert not Schedule.objects.exists()


def test_a_candidate_that_cannot_be_asked_is_not_scheduled(web: Client, bench: Benchmark, model: str) -> None:
    Model.objects.update(model_type="embedding")
    build.forget()

    answer = web.post(FORM, {"models": [model], "every": "day", "first_at": "2026-03-23T06:00", "act": "schedule"})

    assert answer.status_code == 422 and not Schedule.objects.exists()


@pytest.mark.parametrize(
    ("every", "late", "following"),
    [
        (Every.HOUR, timedelta(), timedelta(hours=1)),
        (Every.HOUR, timedelta(minutes=59), timedelta(hours=1)),
        (Every.SIX_HOURS, timedelta(hours=13), timedelta(hours=18)),
        (Every.DAY, timedelta(days=3), timedelta(days=4)),
        (Every.WEEK, timedelta(minutes=1), timedelta(weeks=1)),
        (Every.WEEK, timedelta(weeks=5, hours=2), timedelta(weeks=6)),
    ],
)
def test_what_is_due_is_started_once_and_keeps_its_time_of_day(
    bench: Benchmark, model: str, operator: Any, every: Every, late: timedelta, following: timedelta
) -> None:
    one = schedule(model, operator, every, MONDAY)
    assert start_due(MONDAY - timedelta(seconds=1)) == []

    [run] = start_due(MONDAY + late)

    assert start_due(MONDAY + late) == []
    assert (run.benchmark_id, run.candidate, run.job.status) == ("bench", model, Status.SCHEDULED)
    assert run.created_by_id == operator.pk and Evaluation.objects.get().schedule_id == one.pk
    one.refresh_from_db()
    assert (one.next_at, one.last_at, one.outcome, one.problem) == (MONDAY + following, MONDAY + late, "started", "")
    line = AuditLine.objects.get(kind="evaluation", action="create")
    assert (line.actor, line.object_id) == ("operator", run.job.job_id)
    assert AuditLine.objects.get(kind="schedule", action="run").detail["jobs"] == [run.job.job_id]


def test_workers_that_look_at_once_start_it_once(bench: Benchmark, model: str, operator: Any) -> None:
    one, together = schedule(model, operator), threading.Barrier(4)

    def look() -> int:
        try:
            together.wait(timeout=10)
            return len(schedules._take(one, now(), ""))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: look(), range(4)))

    assert sum(found) == 1 and Evaluation.objects.count() == 1


def test_a_run_that_is_not_finished_is_not_started_again(
    web: Client, bench: Benchmark, model: str, operator: Any
) -> None:
    one = schedule(model, operator, Every.HOUR, now() - timedelta(hours=3))
    start_due(now() - timedelta(hours=2))

    assert start_due() == []

    one.refresh_from_db()
    assert one.outcome == "skipped" and one.next_at > now()
    page = text(web, "/benchmarks/bench/")
    assert "Skipped" in page and schedules.STILL_RUNS in page
    Job.objects.update(status=Status.COMPLETED)
    assert len(start_due(one.next_at)) == 1


def _no_dataset(operator: User) -> None:
    Dataset.objects.all().delete()


def _no_model(operator: User) -> None:
    Model.objects.all().delete()
    build.forget()


def _demoted(operator: User) -> None:
    User.objects.filter(pk=operator.pk).update(role="viewer")


def _left(operator: User) -> None:
    User.objects.filter(pk=operator.pk).delete()


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (_no_dataset, "Dataset &#x27;qa&#x27; not found"), (_no_model, "scripted/scripted"),
        (_demoted, schedules.MAY_NOT), (_left, schedules.MAY_NOT),
    ],
)  # fmt: skip
def test_why_nothing_was_started_stands_on_the_schedule_and_it_goes_on(
    reader: Client, bench: Benchmark, model: str, operator: Any, happens: Any, words: str
) -> None:
    one = schedule(model, operator, Every.DAY, now() - timedelta(hours=1))
    happens(operator)

    assert start_due() == []

    page = text(reader, "/benchmarks/bench/")
    assert "Not started" in page and words in page[page.index('data-ui="schedule-last"') :]
    one.refresh_from_db()
    assert one.outcome == "failed" and one.next_at > now() and not Evaluation.objects.exists()


def test_one_that_cannot_start_does_not_keep_the_others(bench: Benchmark, model: str, operator: Any) -> None:
    schedule("nobody/none", operator, due=now() - timedelta(hours=2))
    two = schedule(model, operator, due=now() - timedelta(hours=1))

    [run] = start_due()

    assert Evaluation.objects.get(pk=run.pk).schedule_id == two.pk


@pytest.mark.parametrize("place", ["candidates.ready", "evaluation.start"])
def test_one_that_trips_over_our_own_fault_does_not_keep_the_others(
    bench: Benchmark, model: str, operator: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    first = schedule(model, operator, due=now() - timedelta(hours=2))
    two = schedule(model, operator, due=now() - timedelta(hours=1))
    module, name = place.split(".")
    real, calls = getattr(getattr(schedules, module), name), []

    def tripping(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            raise OverflowError("int too large to convert to float")
        return real(*args)

    monkeypatch.setattr(getattr(schedules, module), name, tripping)
    [run] = start_due()

    first.refresh_from_db()
    assert Evaluation.objects.get(pk=run.pk).schedule_id == two.pk
    assert (first.outcome, first.problem) == ("failed", "OverflowError: int too large to convert to float")
    assert first.next_at > now()


def test_a_paused_schedule_waits_and_goes_on_at_its_next_time(
    web: Client, bench: Benchmark, model: str, operator: Any
) -> None:
    one = schedule(model, operator, Every.DAY, now() + timedelta(hours=1))
    path = f"/evaluations/schedules/{one.pk}/pause/"

    web.post(path, {"paused": "yes"})
    assert "Paused" in text(web, "/benchmarks/bench/")
    assert start_due(now() + timedelta(days=3)) == []
    Schedule.objects.update(next_at=now() - timedelta(hours=1))
    assert not schedules.is_any_due()
    web.post(path, {"paused": "no"})
    web.post(path, {"paused": "no"})

    one.refresh_from_db()
    assert not one.is_paused and timedelta(hours=22) < one.next_at - now() < timedelta(hours=24)
    told = AuditLine.objects.filter(kind="schedule").order_by("pk").values_list("action", flat=True)
    assert list(told) == ["pause", "resume"]


def test_it_is_run_at_once_by_hand_and_leads_there(web: Client, bench: Benchmark, model: str, operator: Any) -> None:
    one = schedule(model, operator, Every.DAY, due=now() + timedelta(hours=1))
    path = f"/evaluations/schedules/{one.pk}/run/"

    answer = web.post(path, {"once": "a"})
    again = web.post(path, {"once": "a"})

    run = Evaluation.objects.get()
    assert answer.headers["Location"] == again.headers["Location"] == f"/evaluations/{run.job.job_id}/"
    page = text(web, f"/evaluations/{run.job.job_id}/")
    assert 'href="/benchmarks/bench/#schedules" data-ui="lineage-schedule">schedule</a> of operator' in page
    assert Schedule.objects.get().next_at == one.next_at
    assert f'href="/evaluations/{run.job.job_id}/"' in text(web, "/benchmarks/bench/").partition("schedule-last")[2]
    _no_dataset(operator)
    answer = web.post(path)
    assert answer.headers["Location"] == "/benchmarks/bench/#schedules" and Evaluation.objects.count() == 1
    assert "not found" in text(web, "/benchmarks/bench/")


def test_a_schedule_is_deleted_once_asked_and_what_it_started_stays(
    web: Client, bench: Benchmark, model: str, operator: Any
) -> None:
    one = schedule(model, operator)
    [run] = start_due()
    path = f"/evaluations/schedules/{one.pk}/delete/"

    assert "Every day at" in text(web, path) and Schedule.objects.exists()
    for _ in range(2):
        assert web.post(path, {"once": "a"}).headers["Location"] == "/benchmarks/bench/#schedules"

    assert not Schedule.objects.exists() and ">schedule</a>" in text(web, f"/evaluations/{run.job.job_id}/")
    assert AuditLine.objects.filter(kind="schedule", action="delete").exists()
    text(web, path, 404)


def test_a_benchmark_takes_its_schedules_with_it(web: Client, bench: Benchmark, model: str, operator: Any) -> None:
    schedule(model, operator)

    assert "Its schedule goes with it." in text(web, "/benchmarks/bench/delete/")
    with transaction.atomic():
        registry.unregister("bench", build.actor())

    assert not Schedule.objects.exists() and not schedules.is_any_due()
    with pytest.raises(NotFound):
        Benchmark.objects.named("bench")


def test_readers_see_schedules_and_change_none(reader: Client, bench: Benchmark, model: str, operator: Any) -> None:
    one = schedule(model, operator)

    page = text(reader, "/benchmarks/bench/")

    assert 'data-ui="schedule-row"' in page and "/evaluations/schedules/" not in page
    assert 'data-ui="schedule-benchmark"' not in page
    for act in ("run", "pause", "delete"):
        assert reader.post(f"/evaluations/schedules/{one.pk}/{act}/").status_code == 403


def test_many_schedules_cost_no_more_queries(
    web: Client, bench: Benchmark, model: str, operator: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(8):
        schedule(model, operator)
    start_due()

    with django_assert_max_num_queries(15):
        assert text(web, "/benchmarks/bench/").count('data-ui="schedule-result"') == 8


async def test_a_worker_starts_what_is_due_and_asks_for_no_job_before(
    bench: Benchmark, model: str, operator: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(periodic, "LOOK_S", 0.05)
    looked = asyncio.Event()
    is_any_due = schedules.is_any_due

    def look() -> bool:
        looked.set()
        return is_any_due()

    monkeypatch.setattr(schedules, "is_any_due", look)
    work = "apps.evals.schedules.run"
    settings.PERIODIC = {work: ("Start scheduled evaluations", 60, "apps.evals.schedules.is_any_due")}
    await db.write(lambda: Periodic.objects.create(work=work, last_at=now() - timedelta(hours=1)))

    async with working("default"):
        await asyncio.wait_for(looked.wait(), 10)
        assert not await db.read(Job.objects.exists)
        await db.write(schedule, model, operator)
        job = await until(Job.objects.filter(work=work, status=Status.COMPLETED).first)

    assert job.result == {"started": 1} and job.kind == "upkeep"
    assert await db.read(Evaluation.objects.count) == 1
