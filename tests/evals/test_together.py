"""Two people at once: a benchmark is deleted while a run of it is started; what is deleted or tried again twice."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.db import connections, transaction

from apps.accounts.models import AuditLine
from apps.core.errors import NotFound
from apps.evals import evaluation, own_functions, registry, schedules, schemas
from apps.evals.models import Benchmark, Schedule
from apps.jobs import runner
from apps.jobs.models import Job
from tests import build
from tests.evals import made
from tests.evals.conftest import config
from tests.evals.test_schedules import schedule
from tests.evals.test_scorer_pages import asked

Act = Callable[[], Any]


def one_after_the_other(first: Act, second: Act) -> None:
    """Do the second thing while the transaction of the first is open: it must wait for that."""
    begun, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            first()
            begun.set()
            may_end.wait(10)
        connections.close_all()

    def follow() -> None:
        with transaction.atomic():
            second()
        connections.close_all()

    threads = [threading.Thread(target=hold), threading.Thread(target=follow)]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    threads[1].join(0.3)
    has_waited = threads[1].is_alive()
    may_end.set()
    for thread in threads:
        thread.join(20)
    assert has_waited


@pytest.fixture
def start(model: str) -> Act:
    """Start a run of a benchmark."""
    made.dataset()
    made.benchmark()
    asked = schemas.BenchmarkConfig(**config(model)["benchmark_config"])
    return lambda: evaluation.start("bench", asked, build.actor())


def test_a_benchmark_that_is_deleted_while_a_run_is_started_stops_it(start: Act) -> None:
    one_after_the_other(start, lambda: registry.unregister("bench", build.actor()))

    assert Job.objects.get().status == "cancelled" and not Benchmark.objects.exists()


def test_a_run_is_not_started_while_its_benchmark_is_deleted(start: Act) -> None:
    refused: list[str] = []

    def try_to_start() -> None:
        try:
            start()
        except Exception as error:
            refused.append(str(error))

    one_after_the_other(lambda: registry.unregister("bench", build.actor()), try_to_start)

    assert refused == ["Benchmark 'bench' not found"] and not Job.objects.exists()


def test_a_scorer_is_deleted_once_whoever_asks(transactional_db: None) -> None:
    own_functions.register(asked("mine"), build.actor())
    refused: list[str] = []

    def delete() -> None:
        try:
            own_functions.unregister("mine", build.actor())
        except NotFound as error:
            refused.append(error.detail)

    one_after_the_other(delete, delete)

    assert refused and refused[0].startswith("Scoring function 'mine' not found")
    assert AuditLine.objects.filter(kind="scoring_function", action="delete").count() == 1


def test_a_scorer_that_is_deleted_meanwhile_is_not_switched(transactional_db: None) -> None:
    own_functions.register(asked("mine"), build.actor())

    def switch() -> None:
        with suppress(NotFound):
            own_functions.switch("mine", False, build.actor())

    one_after_the_other(lambda: own_functions.unregister("mine", build.actor()), switch)

    assert not AuditLine.objects.filter(kind="scoring_function", action="disable").exists()


def test_a_schedule_is_deleted_once_whoever_asks(start: Act, model: str) -> None:
    one = schedule(model)

    one_after_the_other(*[lambda: schedules.delete(one, build.actor())] * 2)

    assert not Schedule.objects.exists()
    line = AuditLine.objects.get(kind="schedule", action="delete")
    assert (line.object_id, line.detail) == (str(one.pk), {"benchmark": "bench"})


def test_a_run_is_tried_again_once_whoever_asks(start: Act) -> None:
    job = start().job
    Job.objects.update(status="cancelled")
    made: list[Job] = []

    def again() -> None:
        made.extend(runner.retry(Job.objects.filter(pk=job.pk), build.actor()))

    one_after_the_other(again, again)

    assert [one.retry_of_id for one in made] == [job.pk] and Job.objects.count() == 2
