"""Work that is due every so often: asked for once, by whoever looks, and no noise in the list."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.http import QueryDict
from django.utils.module_loading import import_string
from django.utils.timezone import now

from apps.accounts.models import AuditLine
from apps.core import db
from apps.jobs import listing, periodic
from apps.jobs.models import Job, Periodic, Status
from stack_console import settings as console_settings
from tests.jobs.conftest import WORKS, until, working

WORK = WORKS + "answer"


@pytest.fixture
def hourly(settings: Any, transactional_db: None) -> None:
    """One work that is due every hour, last asked for two hours ago."""
    settings.PERIODIC = {WORK: ("Tidy up", 3600)}
    Periodic.objects.create(work=WORK, last_at=now() - timedelta(hours=2))


def past_due() -> None:
    Periodic.objects.update(last_at=now() - timedelta(hours=2))


def test_what_is_due_becomes_a_job_once(hourly: None) -> None:
    [job] = periodic.ask_for_due()

    assert (job.work, job.title, job.kind, job.created_by) == (WORK, "Tidy up", "upkeep", None)
    assert periodic.ask_for_due() == []
    assert not AuditLine.objects.filter(action="enqueue").exists()


def test_new_work_waits_for_its_first_time(settings: Any, transactional_db: None) -> None:
    settings.PERIODIC = {WORK: ("Tidy up", 3600)}

    assert periodic.ask_for_due() == []

    past_due()
    assert len(periodic.ask_for_due()) == 1


def test_a_job_that_has_not_ended_is_not_asked_for_again(hourly: None) -> None:
    periodic.ask_for_due()
    past_due()

    assert periodic.ask_for_due() == []


def test_workers_that_look_at_once_ask_once(hourly: None) -> None:
    together = threading.Barrier(6)

    def look() -> int:
        try:
            together.wait(timeout=10)
            return len(periodic.ask_for_due())
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda _: look(), range(6)))

    assert sum(found) == 1 and Job.objects.count() == 1


async def test_a_worker_asks_and_does_it(hourly: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, "LOOK_S", 0.1)

    async with working():
        job = await until(Job.objects.filter(status=Status.COMPLETED).first)

    assert job.work == WORK
    assert await db.read(Job.objects.count) == 1


def test_only_the_last_few_are_kept(hourly: None) -> None:
    for _ in range(periodic.KEPT + 3):
        past_due()
        periodic.ask_for_due()
        Job.objects.filter(status=Status.SCHEDULED).update(status=Status.COMPLETED, completed_at=now())

    assert Job.objects.count() == periodic.KEPT


def test_a_full_queue_puts_it_off(hourly: None, settings: Any, give: Callable[..., Job]) -> None:
    give("answer_in_loop")
    settings.JOB_QUEUE_LIMIT = 1

    assert periodic.ask_for_due() == []

    settings.JOB_QUEUE_LIMIT = 10
    assert len(periodic.ask_for_due()) == 1


@pytest.mark.parametrize(
    ("query", "status", "is_shown"),
    [
        ("", "completed", False),
        ("", "failed", True),
        ("kind=upkeep", "completed", True),
        ("q=Tidy", "completed", False),
    ],
)
def test_the_list_shows_upkeep_that_failed_or_is_asked_for(
    hourly: None, query: str, status: str, is_shown: bool
) -> None:
    [job] = periodic.ask_for_due()
    Job.objects.update(status=status, completed_at=now())

    assert (job in listing.asked(QueryDict(query)).rows()) is is_shown


def test_the_works_of_the_settings_exist() -> None:
    for work, (title, every_s, *needed) in console_settings.PERIODIC.items():
        assert all(callable(import_string(one)) for one in (work, *needed)) and title and every_s > 0
