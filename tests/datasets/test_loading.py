"""Large sources are loaded by a job: whole or not at all, and on from where a killed attempt was."""

import base64
from typing import Any

import pytest

from apps.core import db
from apps.core.errors import BadRequest
from apps.datasets import loading, registry, rows
from apps.datasets.models import Addition, Dataset, Row, State
from apps.jobs import runner
from apps.jobs.handle import CANCELLED, Cancelled, Handle
from apps.jobs.models import Job
from tests import build
from tests.spec.calls import Checked

COUNT = 9_000


def text(count: int = COUNT, bad: int | None = None) -> bytes:
    lines = [f'{{"question": "What is {n}?", "answer": "{n}"}}' for n in range(count)]
    if bad is not None:
        lines[bad] = "{broken"
    return "\n".join(lines).encode()


@pytest.fixture
def big(settings: Any, tmp_path: Any) -> Any:
    """Write a file into the data folder that is too large to be read at once."""
    settings.DATASET_FILES_DIR = str(tmp_path)
    settings.DATASET_AT_ONCE_BYTES = 1_000

    def put(body: bytes, name: str = "big.jsonl") -> dict[str, Any]:
        (tmp_path / name).write_bytes(body)
        source = {"type": "uri", "uri": f"lsfs://{name}"}
        return {"purpose": "eval/question-answer", "source": source, "dataset_id": "big"}

    return put


def attempt() -> Handle:
    """Take the waiting job up, as a worker would."""
    job = Job.objects.claim_next(["default"], "a worker")
    assert job is not None
    return Handle(job)


async def in_thread(work: Any, *arguments: Any) -> Any:
    import asyncio

    from django.db import connections

    def call() -> Any:
        try:
            return work(*arguments)
        finally:
            connections.close_all()

    return await asyncio.to_thread(call)


async def test_a_large_file_is_loaded_behind_a_curtain(beta: Checked, big: Any) -> None:
    made = await beta.post("/datasets", big(text()))

    assert made["source"] == {"type": "uri", "uri": "lsfs://big.jsonl"}
    for path in ("/datasetio/iterrows/big", "/datasetio/iterrows/big?limit=1"):
        error = await beta.get(path, status=400)
        assert "still being loaded by job" in error["detail"]
    await beta.post("/datasetio/append-rows/big", {"rows": [{"question": "", "answer": ""}]}, status=400)

    job = await db.read(attempt)
    assert await in_thread(loading.load, job) == {"rows": COUNT}

    page = await beta.get("/datasetio/iterrows/big", params={"start_index": COUNT - 1, "limit": 5})
    assert page["data"] == [{"question": f"What is {COUNT - 1}?", "answer": str(COUNT - 1)}]
    assert page["has_more"] is False
    assert await db.read(lambda: Addition.objects.get().count) == COUNT


async def test_a_killed_attempt_is_taken_up_behind_the_rows_it_stored(
    beta: Checked, big: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await beta.post("/datasets", big(text()))
    job = await db.read(attempt)
    stored = rows.insert
    inserted: list[tuple[int, int]] = []

    def insert(pk: int, start: int, texts: Any, origins: Any = None) -> None:
        if len(inserted) == 2:
            raise SystemError("killed")
        inserted.append((start, len(texts)))
        stored(pk, start, texts, origins)

    monkeypatch.setattr(rows, "insert", insert)
    with pytest.raises(SystemError):
        await in_thread(loading.load, job)
    assert "still being loaded" in (await beta.get("/datasetio/iterrows/big", status=400))["detail"]
    assert await db.read(Row.objects.count) == 4_000

    inserted.append((0, 0))
    assert await in_thread(loading.load, job) == {"rows": COUNT}
    assert [start for start, _ in inserted[3:]] == [4_000, 6_000, 8_000]
    read = (await beta.get("/datasetio/iterrows/big"))["data"]
    assert [row["answer"] for row in read] == [str(n) for n in range(COUNT)]


async def test_a_bad_line_ends_the_job_and_leaves_nothing(beta: Checked, big: Any) -> None:
    await beta.post("/datasets", big(text(bad=7_000)))
    job = await db.read(attempt)

    with pytest.raises(BadRequest, match="Line 7001"):
        await in_thread(loading.load, job)

    assert await db.read(Row.objects.count) == 0
    error = await beta.get("/datasetio/iterrows/big", status=400)
    assert "Line 7001" in error["detail"]
    await beta.delete("/datasets/big")


async def test_a_cancelled_load_leaves_nothing(beta: Checked, big: Any) -> None:
    await beta.post("/datasets", big(text()))
    job = await db.read(attempt)
    job.stop_reason = CANCELLED

    with pytest.raises(Cancelled):
        await in_thread(loading.load, job)

    assert await db.read(Row.objects.count) == 0
    assert "cancelled" in (await beta.get("/datasetio/iterrows/big", status=400))["detail"]


async def test_a_lost_lease_stores_nothing(beta: Checked, big: Any) -> None:
    await beta.post("/datasets", big(text()))
    job = await db.read(attempt)
    await db.write(lambda: Job.objects.update(lease_owner="somebody else"))

    with pytest.raises(Cancelled):
        await in_thread(loading.load, job)

    assert await db.read(Row.objects.count) == 0


async def test_a_job_that_failed_for_good_is_told_when_rows_are_asked_for(beta: Checked, big: Any) -> None:
    await beta.post("/datasets", big(text()))
    job = await db.read(attempt)
    from apps.jobs.models import Status

    await db.write(Job.objects.end, job.lease, Status.FAILED, error="The disk is gone.")

    assert "The disk is gone." in (await beta.get("/datasetio/iterrows/big", status=400))["detail"]


@pytest.mark.parametrize("page", ["endless.jsonl", "bomb.jsonl"])
async def test_an_endless_answer_becomes_a_job_that_stops_at_the_limit(
    beta: Checked, site: str, settings: Any, page: str
) -> None:
    settings.DATASET_AT_ONCE_BYTES = 100_000
    settings.DATASET_MAX_BYTES = 1_000_000
    source = {"type": "uri", "uri": f"{site}/{page}"}
    await beta.post("/datasets", {"purpose": "eval/question-answer", "source": source, "dataset_id": "big"})
    job = await db.read(attempt)

    from apps.core.errors import TooLarge

    with pytest.raises(TooLarge, match="DATASET_MAX_BYTES"):
        await in_thread(loading.load, job)
    assert "larger than 1,000,000 bytes" in (await beta.get("/datasetio/iterrows/big", status=400))["detail"]


async def test_rows_of_a_large_dataset_are_removed_by_a_job(beta: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "DELETED_AT_ONCE", 100)
    many = [{"question": str(n), "answer": ""} for n in range(300)]
    source = {"type": "rows", "rows": many}
    body = {"purpose": "eval/question-answer", "source": source, "dataset_id": "big"}
    await beta.post("/datasets", body)

    assert await beta.delete("/datasets/big") is None
    await beta.get("/datasets/big", status=404)
    assert (await beta.get("/datasets"))["data"] == []
    await beta.post("/datasets", body)  # the name is free at once
    job = await db.read(attempt)
    assert await in_thread(loading.purge, job) == {"rows": 300}
    assert await db.read(Row.objects.count) == 300


async def test_a_dataset_a_job_reads_is_not_deleted(beta: Checked) -> None:
    source = {"type": "uri", "uri": "data:csv;base64," + base64.b64encode(b"question,answer\na,b").decode()}
    await beta.post("/datasets", {"purpose": "eval/question-answer", "source": source, "dataset_id": "qa"})

    def busy() -> None:
        about = ("dataset", "qa")
        runner.enqueue(loading.LOAD, {}, kind="evaluation", title="Evaluate", about=about, actor=build.actor())

    await db.write(busy)
    error = await beta.delete("/datasets/qa", status=409)
    assert "Evaluate" in error["detail"]
    assert await db.read(Dataset.objects.filter(state=State.READY).count) == 1
