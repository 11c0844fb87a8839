"""A model server that takes every call and never answers: what is told of it, and that nobody has to wait for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from django.test import Client

from apps.core import db
from apps.evals.models import Evaluation
from apps.evals.running import storing
from apps.evals.running.evaluating import Result
from apps.jobs.models import Job
from tests import build
from tests.evals.conftest import config
from tests.jobs.conftest import ended, until

JOBS = "/v1alpha/eval/benchmarks/bench/jobs"


@pytest.fixture
async def silent(transactional_db: None) -> AsyncIterator[str]:
    """A model whose server is silent."""
    open_ones: list[asyncio.StreamWriter] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.append(writer)
        with suppress(ConnectionError):
            await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    def make() -> str:
        row = build.provider("far", "remote::openai", config={"base_url": address})
        name = str(build.model(row, "silent").identifier)
        build.forget()
        return name

    yield await db.write(make)
    server.close()
    for writer in open_ones:
        writer.close()


@pytest.mark.parametrize("kind", ["model", "agent"])
async def test_the_page_says_for_how_long_nothing_came_and_cancelling_does_not_wait(
    api: httpx2.AsyncClient,
    benchmark: Callable[..., Any],
    silent: str,
    worker: Any,
    reader: Client,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storing, "SILENT_S", 0.5)
    await benchmark()
    agent = {"candidate": {"type": "agent", "config": build.config(model=silent)}} if kind == "agent" else {}
    job_id = (await api.post(JOBS, json=config(silent, **agent))).json()["job_id"]
    job = await until(lambda: Job.objects.filter(job_id=job_id, progress__note__startswith="No row was done").first())

    pages = [(await asyncio.to_thread(reader.get, f"{at}/{job_id}/")) for at in ("/evaluations", "/system/jobs")]
    began = time.monotonic()
    await api.delete(f"{JOBS}/{job_id}")
    status = (await ended(job)).status

    assert status == "cancelled" and time.monotonic() - began < 2
    assert job.progress["done"] == 0 and job.progress["total"] == 8
    for page in pages:
        assert "a call that gets no answer fails after 300 s" in page.content.decode()


async def test_a_result_ends_the_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(storing, "SILENT_S", 0.0)

    class Heard:
        def progress(self, done: float, total: float, unit: str, note: str, is_waiting: bool) -> None:
            told.append(note)

    keeper = storing.Keeper(Evaluation(row_total=8), Heard(), 0)  # type: ignore[arg-type]
    keeper.hear_nothing()
    keeper.take(Result(0, "{}", {}, {}))
    keeper._progress()

    assert told[0].startswith("No row was done for 0 s") and told[1] == ""


async def test_waiting_for_the_end_of_a_run_that_is_deleted_meanwhile_ends(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    await benchmark()

    waiting = asyncio.create_task(api.post(JOBS, json=config(model), headers={"Prefer": "wait=20"}))
    job = await until(lambda: Job.objects.first())
    await db.write(Job.objects.all().delete)

    answer = await asyncio.wait_for(waiting, 10)
    assert answer.status_code == 404 and job.job_id in answer.json()["detail"]
