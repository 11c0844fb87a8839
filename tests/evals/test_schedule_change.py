"""A schedule changed from its benchmark's page: how often it runs, and when next."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from apps.accounts.models import AuditLine
from apps.evals.models import Benchmark, Every, Schedule
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import reader as reader
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web
from tests.evals.test_schedules import schedule, start_due

SHOWN = "%Y-%m-%dT%H:%M"


def path(one: Schedule) -> str:
    return f"/evaluations/schedules/{one.pk}/edit/"


def test_how_often_and_when_next_are_changed_and_who_is_evaluated_stays(
    web: Client, bench: Benchmark, model: str, operator: Any
) -> None:
    one = schedule(model, operator, Every.DAY, now() + timedelta(hours=1))
    then = (now() + timedelta(days=3)).replace(second=0, microsecond=0)
    page = text(web, "/benchmarks/bench/")
    assert f'data-dialog="edit-schedule-{one.pk}"' in page and f'id="schedule-{one.pk}-every"' in page

    for _ in range(2):
        answer = web.post(path(one), {"every": "week", "first_at": then.strftime(SHOWN)})

    assert answer.headers["Location"] == "/benchmarks/bench/#schedules"
    changed = Schedule.objects.get()
    assert (changed.every, changed.next_at, changed.configs) == ("week", then, one.configs)
    assert f"Every {then:%A} at {then:%H:%M} UTC" in text(web, "/benchmarks/bench/")
    line = AuditLine.objects.get(kind="schedule")
    assert (line.action, line.detail["every"]) == ("update", "week")


def test_a_time_that_has_passed_is_moved_on_by_whole_steps_and_nothing_is_started(
    web: Client, bench: Benchmark, model: str, operator: Any
) -> None:
    one = schedule(model, operator, Every.WEEK, now() + timedelta(days=2), is_paused=True)
    passed = (now() - timedelta(hours=30)).replace(second=0, microsecond=0)

    web.post(path(one), {"every": "day", "first_at": passed.strftime(SHOWN)})

    changed = Schedule.objects.get()
    assert changed.next_at == passed + timedelta(days=2) and changed.is_paused
    assert start_due() == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"every": "minute"}, "valid choice"),
        ({"first_at": ""}, "Choose a day"),
        ({"first_at": "9999-12-31T23:59"}, "year"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(
    web: Client, bench: Benchmark, model: str, operator: Any, wrong: dict[str, str], words: str
) -> None:
    one = schedule(model, operator)

    answer = web.post(path(one), {"every": "week", "first_at": now().strftime(SHOWN)} | wrong)

    page = answer.content.decode()
    assert answer.status_code == 422 and words in page.partition(f'id="schedule-{one.pk}-{next(iter(wrong))}-e"')[2]
    assert Schedule.objects.get().every == "day" and not AuditLine.objects.filter(kind="schedule").exists()


def test_readers_change_no_schedule(reader: Client, bench: Benchmark, model: str, operator: Any) -> None:
    one = schedule(model, operator)

    assert "edit-schedule" not in text(reader, "/benchmarks/bench/")
    assert reader.get(path(one)).status_code == reader.post(path(one)).status_code == 403


def test_a_schedule_that_is_gone_is_not_found(web: Client, bench: Benchmark) -> None:
    text(web, "/evaluations/schedules/99/edit/", 404)
