"""The pages of jobs and workers, for each role."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from apps.jobs.models import Job, JobLine, Status, Worker
from tests import build

BACKEND = "django.contrib.auth.backends.ModelBackend"
Give = Callable[..., Job]


def browser_of(role: str) -> Client:
    browser = Client()
    browser.force_login(build.user(role), backend=BACKEND)
    return browser


@pytest.fixture
def client(transactional_db: None) -> Client:
    """An operator's browser."""
    return browser_of("operator")


@pytest.fixture
def failed(give: Give) -> Job:
    """A job that failed, beside one that waits."""
    job = give("fail", title="Load support-gold", kind="dataset load")
    Job.objects.filter(pk=job.pk).update(
        status=Status.FAILED, error="Line 3 is not JSON.", attempt=3, started_at=now(), completed_at=now()
    )
    give("answer", title="Fetch weights", kind="weights", queue="gpu")
    return Job.objects.get(pk=job.pk)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {"Load support-gold", "Fetch weights"}),
        ("status=failed", {"Load support-gold"}),
        ("status=active", {"Fetch weights"}),
        ("kind=weights", {"Fetch weights"}),
        ("queue=gpu", {"Fetch weights"}),
        ("queue=nonsense&status=what", {"Load support-gold", "Fetch weights"}),
        ("q=gold", {"Load support-gold"}),
        ("q=gold&queue=gpu", set()),
    ],
)
def test_the_address_says_which_jobs_are_listed(client: Client, failed: Job, query: str, shown: set[str]) -> None:
    page = client.get(f"/system/jobs/?{query}").content.decode()

    assert {title for title in ("Load support-gold", "Fetch weights") if f'title="{title}"' in page} == shown


def test_the_list_costs_the_same_for_many(client: Client, give: Give, django_assert_num_queries: Any) -> None:
    give("answer")
    client.get("/system/jobs/")
    with django_assert_num_queries(7):
        client.get("/system/jobs/")
    for _ in range(60):
        give("answer")

    with django_assert_num_queries(7):
        page = client.get("/system/jobs/").content.decode()
    assert page.count('data-ui="job-row"') == 50 and "61 jobs" in page


def test_a_retry_returns_to_the_same_list(client: Client, failed: Job) -> None:
    answer = client.post(f"/system/jobs/{failed.job_id}/retry/?status=failed&kind=dataset+load", {"back": "list"})

    assert answer.headers["Location"] == "/system/jobs/?status=failed&kind=dataset+load"
    assert Job.objects.get(retry_of=failed).status == "scheduled"
    failed.refresh_from_db()
    assert failed.status == "failed", "what ended never changes"
    client.post(f"/system/jobs/{failed.job_id}/retry/", {})
    assert Job.objects.filter(retry_of=failed).count() == 1


def test_failures_are_tried_again_together_and_the_list_stays(client: Client, give: Give) -> None:
    jobs = [give("fail", title=f"job {number}") for number in range(60)]
    Job.objects.update(status=Status.FAILED, completed_at=now())

    some = client.post(
        "/system/jobs/many/?status=failed&after=70", {"act": "retry", "job": [jobs[0].job_id, jobs[1].job_id]}
    )
    assert some.headers["Location"] == "/system/jobs/?status=failed&after=70"
    assert Job.objects.filter(status="scheduled").count() == 2

    client.post("/system/jobs/many/?status=failed", {"act": "retry-all"})
    assert Job.objects.filter(status="scheduled").count() == 60


def test_no_more_is_promised_than_is_done_at_once(client: Client, give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.jobs.runner.AT_ONCE", 2)
    monkeypatch.setattr("apps.jobs.listing.COUNTED", 2)
    for _ in range(3):
        give("answer")
    assert "Cancel 2<" in client.get("/system/jobs/?status=scheduled").content.decode()

    Job.objects.update(status=Status.FAILED, completed_at=now())

    page = client.get("/system/jobs/?status=failed").content.decode()
    assert "Try 2 again" in page and "2+ jobs" in " ".join(page.split())


def test_what_waits_is_cancelled_together(client: Client, give: Give) -> None:
    for _ in range(3):
        give("answer")

    client.post("/system/jobs/many/?status=scheduled", {"act": "cancel-all"})

    assert Job.objects.filter(status="cancelled").count() == 3


def test_a_job_page_tells_progress_log_and_reason(client: Client, failed: Job) -> None:
    Job.objects.filter(pk=failed.pk).update(progress={"done": 40, "total": 200, "unit": "rows"})
    JobLine.objects.bulk_create([JobLine(job=failed, text=f"line <{number}>") for number in range(205)])

    page = client.get(f"/system/jobs/{failed.job_id}/").content.decode()

    assert "40 of 200 rows" in page and "20.0" in page and "Line 3 is not JSON." in page
    assert "line &lt;204&gt;" in page and "line &lt;4&gt;" not in page and "the last 200 lines" in page


def test_a_job_page_leads_to_its_object_and_its_file(client: Client, give: Give) -> None:
    job = give("answer", about=("dataset", "support/gold"))
    Job.objects.filter(pk=job.pk).update(
        status=Status.COMPLETED, result={"url": "/datasets/exports/1/", "file": "a.csv"}
    )

    page = client.get(f"/system/jobs/{job.job_id}/").content.decode()

    assert 'href="/datasets/support/gold/" data-ui="job-about"' in page
    assert 'href="/datasets/exports/1/" data-ui="job-file"' in page


def test_a_job_page_costs_few_queries(client: Client, failed: Job, django_assert_num_queries: Any) -> None:
    client.get(f"/system/jobs/{failed.job_id}/")
    with django_assert_num_queries(7):
        client.get(f"/system/jobs/{failed.job_id}/")


def test_the_page_of_a_job_run_elsewhere_asks_again(client: Client, failed: Job, settings: Any) -> None:
    waiting = Job.objects.get(status="scheduled")
    settings.REDIS_URL = ""

    assert "every 2s" in client.get(f"/system/jobs/{waiting.job_id}/").content.decode()
    assert "every 2s" not in client.get(f"/system/jobs/{failed.job_id}/").content.decode()


def test_viewers_see_and_change_nothing(failed: Job) -> None:
    browser = browser_of("viewer")

    page = browser.get("/system/jobs/?status=failed").content.decode()
    assert "Load support-gold" in page and 'data-ui="retry"' not in page and "data-pick" not in page
    for place in (f"{failed.job_id}/retry", f"{failed.job_id}/cancel", "many"):
        assert browser.post(f"/system/jobs/{place}/", {"act": "cancel-all"}).status_code == 403
    assert Job.objects.filter(status="scheduled").count() == 1


def test_a_job_nobody_knows_is_not_found(client: Client) -> None:
    assert client.get("/system/jobs/nothing/").status_code == 404


def test_the_menu_counts_failures(client: Client, failed: Job) -> None:
    badge = client.get("/system/jobs/badge/").content.decode()
    assert "<span data-count>1</span>" in badge and "hidden" not in badge

    client.post(f"/system/jobs/{failed.job_id}/retry/")
    assert "hidden" in client.get("/system/jobs/badge/").content.decode()


def test_workers_are_shown_with_their_state_and_job(client: Client, give: Give, django_assert_num_queries: Any) -> None:
    give("answer", title="Count the rows")
    Job.objects.claim_next(["default"], "host:7:1")
    Worker.objects.create(worker_id="host:7:1", queues="default", memory=50_000_000)
    Worker.objects.create(worker_id="host:8:1", queues="default", heartbeat_at=now() - timedelta(seconds=16))
    Worker.objects.create(worker_id="host:9:1", queues="default", stopped_at=now())
    Worker.objects.create(worker_id="host:1:1", queues="default", heartbeat_at=now() - timedelta(days=2))
    client.get("/system/workers/")

    with django_assert_num_queries(7):
        page = client.get("/system/workers/").content.decode()

    assert page.count('data-ui="worker-row"') == 3
    assert "Count the rows" in page and "50 MB" in page and "Working" in page
    assert 'data-state="lost"' in page and 'data-t="err"' in page and 'data-state="stopped"' in page


def test_a_worker_is_drained_and_resumed(client: Client) -> None:
    worker = Worker.objects.create(worker_id="host:7:1", queues="default")

    client.post(f"/system/workers/{worker.pk}/drain/", {"drain": "yes"})
    worker.refresh_from_db()
    assert worker.is_draining and worker.state == "draining"

    client.post(f"/system/workers/{worker.pk}/drain/", {"drain": "no"})
    worker.refresh_from_db()
    assert not worker.is_draining
