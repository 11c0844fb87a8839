"""Fetching weights by a job: the button, the job it makes, and what the job does."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AuditLine
from apps.core.errors import NotFound
from apps.inference import catalog, pulling
from apps.jobs.handle import Cancelled
from apps.jobs.models import Job
from tests import build


@pytest.fixture
def client(transactional_db: None, settings: Any, tmp_path: Path) -> Client:
    """An operator's browser; no weights are here."""
    settings.DATA_DIR = tmp_path
    browser = Client()
    browser.force_login(build.user("operator"), backend="django.contrib.auth.backends.ModelBackend")
    return browser


def test_the_button_makes_a_job_and_leads_to_it(client: Client) -> None:
    answer = client.post("/models/weights/smollm2-135m/pull/")

    job = Job.objects.get()
    assert answer.headers["Location"] == f"/system/jobs/{job.job_id}/"
    assert (job.title, job.about_id, job.is_isolated) == ("Fetch SmolLM2 135M Instruct", "smollm2-135m", True)
    assert AuditLine.objects.get(action="enqueue").object_id == job.job_id
    assert f"/system/jobs/{job.job_id}/" in client.get("/models/").content.decode()


def test_weights_are_fetched_once_at_a_time(client: Client) -> None:
    client.post("/models/weights/smollm2-135m/pull/")
    client.post("/models/weights/smollm2-135m/pull/")

    assert Job.objects.count() == 1


def test_unknown_weights_and_viewers_get_nowhere(client: Client) -> None:
    assert client.post("/models/weights/gpt-9/pull/").status_code == 404
    client.force_login(build.user("viewer"), backend="django.contrib.auth.backends.ModelBackend")
    assert client.post("/models/weights/smollm2-135m/pull/").status_code == 403
    assert not Job.objects.exists()


class FakeHandle:
    """Notes what it is told; stops when it is to."""

    def __init__(self, name: str, *, stop: bool = False) -> None:
        self.arguments, self.stop = {"name": name}, stop
        self.told: list[Any] = []

    def check(self) -> None:
        """Raise when the job is to stop."""
        if self.stop:
            raise Cancelled("cancelled")

    def progress(self, *progress: Any) -> None:
        """Note it."""
        self.told.append(progress)

    def log(self, text: str) -> None:
        """Note it."""
        self.told.append(text)


def test_the_job_tells_how_much_came(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def pull(entry: catalog.Weights, progress: Any) -> Path:
        progress(10, 98, "downloading")
        progress(98, 98, "ready")
        (tmp_path / entry.file).write_bytes(b"12345")
        return tmp_path / entry.file

    monkeypatch.setattr(pulling.weights, "pull", pull)
    job = FakeHandle("smollm2-135m")

    assert pulling.run(job)["size"] == 5  # type: ignore[arg-type]
    assert job.told[0] == (10, 98, "B", "downloading")
    assert job.told[-1] == f"{catalog.SMOLLM2.file}: ready"
    with pytest.raises(Cancelled):
        pulling.run(FakeHandle("smollm2-135m", stop=True))  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        pulling.run(FakeHandle("gpt-9"))  # type: ignore[arg-type]
