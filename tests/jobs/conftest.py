"""A worker beside the test, and jobs to give it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from apps.core import db
from apps.jobs import delivery, runner, worker
from apps.jobs.models import Job
from tests import build
from tests.jobs import works

WORKS = "tests.jobs.works."


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Forget the last test's jobs, and do the rounds quickly."""
    works.go.clear()
    works.seen.clear()
    monkeypatch.setattr(worker, "BEAT_S", 0.2)
    monkeypatch.setattr(worker, "WATCH_S", 0.1)
    monkeypatch.setattr(worker, "GRACE_S", 0.5)
    monkeypatch.setattr(worker, "SWEEP_S", 0.5)
    monkeypatch.setattr(delivery, "POLL_S", 0.05)
    yield
    works.go.set()


@pytest.fixture
def give(transactional_db: None) -> Callable[..., Job]:
    """Ask for a job that does one of the works."""

    def enqueue(work: str, arguments: dict[str, Any] | None = None, **fields: Any) -> Job:
        title = fields.pop("title", work)
        return runner.enqueue(
            WORKS + work, arguments or {}, kind=fields.pop("kind", "test"), title=title, actor=build.actor(), **fields
        )

    return enqueue


@asynccontextmanager
async def working(*queues: str, name: str = "") -> AsyncIterator[worker.JobWorker]:
    """Run a worker while the block runs, then stop it."""
    one = worker.JobWorker(queues or ("default", "eval", "gpu"))
    if name:
        one.worker_id = name
    task = asyncio.create_task(one.run())
    await asyncio.sleep(0)
    try:
        yield one
    finally:
        works.go.set()
        one.stop()
        await asyncio.wait_for(task, 20)


async def until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """Return what the condition answers once it holds; it may read the database."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := await db.read(condition):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("what was waited for did not happen")


async def ended(job: Job, seconds: float = 10) -> Job:
    """Return the job's row once it has ended."""
    return await until(lambda: Job.objects.filter(pk=job.pk, completed_at__isnull=False).first(), seconds)
