"""Asking for jobs, cancelling and retrying them: rows, audit lines, and how many queries that takes."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from apps.accounts.models import AuditLine
from apps.core.errors import NotFound
from apps.jobs import handle, runner
from apps.jobs.models import Job, JobLine, Status
from tests import build

Give = Callable[..., Job]


def test_a_job_is_asked_for_with_its_audit_line(give: Give) -> None:
    job = give("answer", {"name": "a"}, title="Load a", about=("dataset", "a"), priority=3, queue="eval")

    assert (job.status, job.queue, job.priority, job.about_kind, job.about_id) == (
        "scheduled",
        "eval",
        3,
        "dataset",
        "a",
    )
    line = AuditLine.objects.get(action="enqueue")
    assert line.object_id == job.job_id and line.detail["title"] == "Load a"


def test_nothing_is_delivered_when_the_transaction_is_undone(give: Give) -> None:
    from django_tasks_db.models import DBTaskResult

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        give("answer")
        _ = 1 / 0

    assert not Job.objects.exists() and not DBTaskResult.objects.exists()


def test_work_that_does_not_exist_is_refused_when_it_is_asked_for(give: Give) -> None:
    with pytest.raises(ImportError):
        give("no_such_work")


def test_an_unknown_job_is_not_found(transactional_db: None) -> None:
    with pytest.raises(NotFound, match="Job 'x' not found"):
        runner.named("x")


def failed(give: Give, many: int) -> list[Job]:
    jobs = [give("fail", {"n": number}) for number in range(many)]
    Job.objects.update(status=Status.FAILED, error="no", attempt=3, checkpoint={"done": 5})
    return jobs


def test_a_retry_is_a_new_job_that_goes_on_from_the_checkpoint(give: Give) -> None:
    [old] = failed(give, 1)

    [new] = runner.retry(Job.objects.filter(pk=old.pk), build.actor())

    new.refresh_from_db()
    assert (new.status, new.attempt, new.checkpoint, new.arguments) == ("scheduled", 0, {"done": 5}, {"n": 0})
    assert new.retry_of == old and new.job_id != old.job_id
    assert runner.retry(Job.objects.filter(pk=old.pk), build.actor()) == [], "a job is tried again once"


def test_many_are_retried_in_as_many_queries_as_one(
    give: Give, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.jobs.delivery.deliver", lambda *_: None)
    failed(give, 30)

    # Savepoint pair aside: the failed ones, who was quicker, room in their queue, the new ones, the audit line.
    with django_assert_num_queries(7):
        made = runner.retry(Job.objects.all(), build.actor())

    assert len(made) == 30 and AuditLine.objects.filter(action="retry").count() == 1


def test_many_are_cancelled_in_as_many_queries_as_one(give: Give, django_assert_num_queries: Any) -> None:
    for _ in range(40):
        give("answer")
    Job.objects.filter(pk__in=list(Job.objects.values_list("pk", flat=True)[:5])).update(
        status=Status.IN_PROGRESS, lease_owner="x"
    )

    with django_assert_num_queries(6):
        assert runner.cancel(Job.objects.all(), build.actor()) == 40

    assert Job.objects.filter(status=Status.CANCELLED).count() == 35
    assert Job.objects.filter(status=Status.IN_PROGRESS, cancel_requested=True).count() == 5


def test_failures_count_until_somebody_tries_again(give: Give) -> None:
    from django.utils.timezone import now

    failed(give, 3)
    Job.objects.update(completed_at=now())
    assert Job.objects.unanswered_failures().count() == 3

    runner.retry(Job.objects.filter(pk=Job.objects.earliest("pk").pk), build.actor())

    assert Job.objects.unanswered_failures().count() == 2


def test_a_log_is_bounded(give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle, "LINES_KEPT", 30)
    monkeypatch.setattr(handle, "LINES_BATCH", 10)
    job = handle.Handle(give("answer"), tell=lambda *_: None)

    for number in range(100):
        job.log(f"line {number} " + "x" * 5_000)
    handle.db.write_soon(lambda: None).result()

    lines = list(JobLine.objects.values_list("text", flat=True))
    assert len(lines) <= 40 and lines[-1].startswith("line 99 ") and len(lines[-1]) == handle.LINE_CHARS


def test_progress_is_written_at_most_twice_a_second(give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    give("answer")
    row = Job.objects.claim_next(["default"], "me")
    job = handle.Handle(row, tell=lambda *_: None)
    written: list[Any] = []
    monkeypatch.setattr(handle.db, "write_soon", lambda unit, **fields: written.append(fields) or _Done())

    for number in range(1000):
        job.progress(number, 1000, "rows")
    job.flush()

    assert len(written) == 2 and written[-1]["progress"]["done"] == 999


class _Done:
    def add_done_callback(self, _: Any) -> None:
        """Call nobody."""
