"""Jobs in the admin site: to look at, never to change."""

from collections.abc import Callable

import pytest
from django.test import Client

from apps.jobs.models import Job, Status
from tests import build

Give = Callable[..., Job]


@pytest.fixture
def browser(transactional_db: None) -> Client:
    """An administrator's browser."""
    client = Client()
    client.force_login(build.user("admin"), backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.mark.parametrize("page", ["job/", "job/?q=load", "job/?status__exact=failed", "jobline/", "worker/"])
def test_every_list_opens(browser: Client, give: Give, page: str) -> None:
    give("answer", title="Load gold")

    assert browser.get(f"/admin/jobs/{page}").status_code == 200


def test_a_job_is_read_and_leads_to_the_console(browser: Client, give: Give) -> None:
    job = give("answer", title="Load gold")

    page = browser.get("/admin/jobs/job/").content.decode()
    assert f'href="/system/jobs/{job.job_id}/"' in page and "delete_selected" not in page
    assert 'name="_save"' not in browser.get(f"/admin/jobs/job/{job.pk}/change/").content.decode()
    assert browser.get("/admin/jobs/job/add/").status_code == 403


def test_only_history_can_be_deleted(browser: Client, give: Give) -> None:
    job = give("answer")
    assert browser.post(f"/admin/jobs/job/{job.pk}/delete/", {"post": "yes"}).status_code == 403

    Job.objects.filter(pk=job.pk).update(status=Status.COMPLETED)
    browser.post(f"/admin/jobs/job/{job.pk}/delete/", {"post": "yes"})
    assert not Job.objects.exists()


def test_deliveries_are_not_shown(browser: Client, give: Give) -> None:
    assert "django_tasks_db" not in browser.get("/admin/").content.decode()
