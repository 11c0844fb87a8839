"""A worker on the real database: every way a job can go."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.utils.timezone import now

from apps.accounts.models import AuditLine
from apps.core import db
from apps.core.process import this_process
from apps.jobs import delivery, runner
from apps.jobs.handle import Cancelled, Handle
from apps.jobs.models import Job, JobQuerySet, Status, Worker
from tests import build
from tests.jobs import works
from tests.jobs.conftest import ended, until, working

Give = Callable[..., Job]


async def give_soon(give: Give, *args: Any, **fields: Any) -> Job:
    """Enqueue as the console does, in a unit of work."""
    return await db.write(give, *args, **fields)


@pytest.mark.parametrize("work", ["answer", "answer_in_loop"])
@pytest.mark.parametrize("isolated", [False])
async def test_a_job_is_delivered_run_and_answered(give: Give, work: str, isolated: bool) -> None:
    async with working():
        job = await ended(await give_soon(give, work, {"say": "hé"}, isolated=isolated))

    assert (job.status, job.result, job.error, job.attempt) == ("completed", {"said": "hé"}, "", 1)
    assert job.lease_owner == "" and job.worker == this_process() and job.started_at and job.completed_at


async def test_progress_and_log_are_kept(give: Give) -> None:
    async with working():
        job = await ended(await give_soon(give, "answer"))

    assert job.progress["done"] == 1 and job.progress["unit"] == "step"
    assert await db.read(lambda: list(job.lines.values_list("text", flat=True))) == ["at it"]


async def test_a_lost_delivery_only_delays_a_job(give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "deliver", lambda *_: None)

    async with working():
        job = await ended(await give_soon(give, "answer"))

    assert job.status == "completed"


async def test_a_delivery_of_a_job_that_ended_does_nothing(give: Give) -> None:
    async with working():
        job = await ended(await give_soon(give, "note_once"))
        await db.write(lambda: [delivery.deliver("default", job.job_id) for _ in range(5)])
        again = await give_soon(give, "note_once")
        await ended(again)

    assert await db.read(AuditLine.objects.filter(action="ran", object_id=job.job_id).count) == 1


async def test_a_failing_job_stops_after_its_attempts_with_its_reason(
    give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.jobs.settling.LONGEST_WAIT_S", 0)

    async with working():
        job = await ended(await give_soon(give, "fail", max_attempts=3))

    assert (job.status, job.attempt, job.error) == ("failed", 3, "RuntimeError: the disk is full")
    lines = await db.read(lambda: list(job.lines.values_list("level", "text")))
    assert sum("Traceback" in text for _, text in lines) == 3
    assert lines[-1] == ("error", "Attempt 3 of 3 failed: RuntimeError: the disk is full")


async def test_a_refused_input_is_not_tried_again(give: Give) -> None:
    async with working():
        job = await ended(await give_soon(give, "refuse"))

    assert (job.status, job.attempt, job.error) == ("failed", 1, "Line 3 is not JSON.")


@pytest.mark.parametrize("work", ["wait_for_go", "sleep_long", "wait_deaf"])
async def test_a_running_job_is_cancelled_within_seconds(give: Give, work: str) -> None:
    async with working():
        job = await give_soon(give, work)
        await until(lambda: job.job_id in works.seen)
        began = time.monotonic()
        await db.write(runner.cancel, Job.objects.filter(pk=job.pk), build.actor())
        job = await ended(job)

        assert job.status == "cancelled"
        assert time.monotonic() - began < 5
        works.go.set()

    assert not await db.read(AuditLine.objects.filter(action="late").exists), "what came after the end was undone"


async def test_a_job_cancelled_while_it_fails_is_not_tried_again(give: Give) -> None:
    await give_soon(give, "fail")
    job = await db.write(Job.objects.claim_next, ["default"], "me")
    await db.write(runner.cancel, Job.objects.filter(pk=job.pk), build.actor())

    await db.write(Job.objects.give_back, job.lease_owner, wait_s=2)

    assert (await ended(job)).status == "cancelled"


async def test_the_end_of_a_job_is_written_though_the_database_was_away(
    give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.jobs.settling.WAITS_S", (0.01, 0.01, 0.01))
    failures = [OperationalError("database is locked"), OperationalError("server closed the connection")]
    end = JobQuerySet.end

    def flaky(*args: Any, **kwargs: Any) -> bool:
        if failures:
            raise failures.pop()
        return end(*args, **kwargs)

    monkeypatch.setattr(JobQuerySet, "end", flaky)
    async with working():
        job = await ended(await give_soon(give, "answer"))

    assert (job.status, job.attempt, failures) == ("completed", 1, [])


async def test_a_job_begun_while_leases_are_looked_at_is_not_taken_for_lost(
    give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working() as worker:
        first = await give_soon(give, "wait_for_go")
        await until(lambda: first.job_id in works.seen)
        read, begun = db.read, []

        async def slowly(unit: Any, *args: Any) -> Any:
            found = await read(unit, *args)
            if "_watch" in unit.__qualname__ and not begun:
                begun.append(await give_soon(give, "wait_for_go"))
                await until(lambda: begun[0].job_id in works.seen)
            return found

        monkeypatch.setattr(db, "read", slowly)
        await worker._watch()
        assert [running.handle.stop_reason for running in worker._running.values()] == ["", ""]


async def test_a_result_json_cannot_hold_is_told_as_it_can(give: Give) -> None:
    async with working():
        job = await ended(await give_soon(give, "answer_strangely"))

    assert job.status == "completed"
    assert job.result["nan"] is None and job.result["set"] == [1] and "Event" in job.result["object"]


async def test_a_waiting_job_is_cancelled_at_once(give: Give) -> None:
    job = await give_soon(give, "answer")

    assert await db.write(runner.cancel, Job.objects.filter(pk=job.pk), build.actor()) == 1
    assert (await ended(job)).status == "cancelled"
    assert await db.write(runner.cancel, Job.objects.filter(pk=job.pk), build.actor()) == 0


async def test_a_stopping_worker_hands_back_what_does_not_end(give: Give, settings: Any) -> None:
    settings.JOB_STOP_S = 0.2
    async with working() as worker:
        job = await give_soon(give, "count_rows", {"total": 1000, "each_s": 0.01})
        await until(lambda: AuditLine.objects.filter(action="row").count() > 3)
        worker.stop()
        job = await until(lambda: Job.objects.filter(pk=job.pk, status="scheduled").first())

    assert job.attempt == 0, "being handed back is no attempt"
    assert job.checkpoint["done"] == await db.read(AuditLine.objects.filter(action="row").count)


@pytest.mark.parametrize("work", ["count_rows", "count_rows_in_loop"])
async def test_a_job_taken_over_goes_on_from_its_checkpoint_and_nothing_is_done_twice(give: Give, work: str) -> None:
    """The first worker is alive but silent: it is believed dead, and its writes are refused."""
    job = await give_soon(give, work, {"total": 40, "each_s": 0.02})
    async with working(name="elsewhere:1:1") as first:
        await until(lambda: AuditLine.objects.filter(action="row").count() > 3)
        first._running, silent = {}, first._running
        await db.write(Job.objects.filter(pk=job.pk).update, lease_until=now() - timedelta(seconds=1))
        async with working():
            job = await ended(job, 20)
        first._running = silent

    assert (job.status, job.result, job.attempt) == ("completed", {"rows": 40}, 2)
    written = await db.read(lambda: list(AuditLine.objects.filter(action="row").values_list("object_id", flat=True)))
    assert sorted(written, key=lambda name: int(name.split(":")[1])) == [f"{job.job_id}:{n}" for n in range(40)]


async def test_the_job_of_a_dead_process_is_taken_up_before_its_lease_ends(give: Give) -> None:
    host = this_process().partition(":")[0]
    job = await give_soon(give, "answer")
    claimed = await db.write(Job.objects.claim_next, ["default"], f"{host}:999999999:1")
    await db.write(Job.objects.filter(pk=job.pk).update, heartbeat_at=now() - timedelta(seconds=11))
    assert claimed.lease_until > now()

    async with working():
        job = await ended(job)

    assert (job.status, job.attempt) == ("completed", 2)


async def test_a_job_that_kills_its_workers_fails_after_its_attempts(give: Give) -> None:
    job = await give_soon(give, "answer", max_attempts=1)
    await db.write(Job.objects.claim_next, ["default"], "elsewhere:1:1")
    await db.write(Job.objects.filter(pk=job.pk).update, lease_until=now() - timedelta(seconds=1))

    async with working():
        job = await ended(job)

    assert job.status == "failed" and "last attempt" in job.error


async def lost_again(job: Job, kept: dict[str, Any] | None) -> Job:
    """Let a worker take the job up, store this much and die; return the job's row once somebody noticed."""
    claimed = await db.write(Job.objects.claim_next, ["default"], "elsewhere:1:1")
    if kept is not None:
        await db.write(Handle(claimed).keep, kept)
    await db.write(Job.objects.filter(pk=job.pk).update, lease_until=now() - timedelta(seconds=1))
    await db.write(Job.objects.reap)
    return await db.read(Job.objects.get, pk=job.pk)


async def test_a_job_that_gets_on_is_taken_up_however_often_its_workers_are_killed(give: Give) -> None:
    job = await give_soon(give, "answer")

    for number in range(1, 6):
        job = await lost_again(job, {"done": number})
        assert (job.status, job.attempt, job.last_attempt) == ("scheduled", number, number + 2)

    for _ in range(2):  # what it stores again is no progress: the attempt that got on was the first of three
        assert job.status == "scheduled"
        job = await lost_again(job, {"done": 5})
    assert (job.status, job.attempt) == ("failed", 7) and "last attempt" in job.error


async def test_a_job_that_never_gets_on_ends_after_three_attempts(give: Give) -> None:
    job = await give_soon(give, "answer")

    seen = [await lost_again(job, None) for _ in range(3)]

    assert [(one.status, one.attempt) for one in seen] == [("scheduled", 1), ("scheduled", 2), ("failed", 3)]


async def test_a_worker_that_drains_takes_nothing_new(give: Give) -> None:
    async with working() as worker:
        await until(lambda: Worker.objects.exists())
        await db.write(Worker.objects.update, is_draining=True)
        await until(lambda: worker.draining)
        job = await give_soon(give, "answer")
        await asyncio.sleep(0.7)
        assert await db.read(lambda: Job.objects.get(pk=job.pk).status) == "scheduled"
        await db.write(Worker.objects.update, is_draining=False)
        assert (await ended(job)).status == "completed"


async def test_important_jobs_come_first_and_queues_stay_apart(give: Give, settings: Any) -> None:
    settings.JOB_SLOTS = {"default": 1, "eval": 1, "gpu": 1}
    blocked = await give_soon(give, "wait_for_go")
    async with working("default"):
        await until(lambda: blocked.job_id in works.seen)
        other = await give_soon(give, "answer", queue="gpu")
        last = await give_soon(give, "answer_in_loop")
        first = await give_soon(give, "answer_in_loop", priority=50)
        works.go.set()
        await ended(last)
        assert works.seen == [blocked.job_id, first.job_id, last.job_id]
        assert await db.read(lambda: Job.objects.get(pk=other.pk).status) == "scheduled"


async def test_two_claims_of_many_jobs_never_share_one(give: Give) -> None:
    await db.write(lambda: [give("note_once") for _ in range(60)])
    claimed: dict[str, list[int]] = {"a": [], "b": [], "c": []}

    def claim(name: str) -> None:
        while (job := Job.objects.claim_next(["default"], name)) is not None:
            claimed[name].append(job.pk)
        connections.close_all()

    threads = [threading.Thread(target=claim, args=(name,)) for name in claimed]
    [thread.start() for thread in threads]
    [await asyncio.to_thread(thread.join) for thread in threads]

    taken = [pk for keys in claimed.values() for pk in keys]
    assert len(taken) == len(set(taken)) == 60


async def test_a_full_queue_refuses_and_then_drains(give: Give, settings: Any) -> None:
    settings.JOB_QUEUE_LIMIT = 100
    await db.write(lambda: [give("note_once") for _ in range(100)])

    with pytest.raises(runner.QueueFull, match="100 jobs already wait in the queue 'Default'"):
        await give_soon(give, "answer")
    assert (await give_soon(give, "answer", queue="eval")).queue == "eval"

    async with working():
        await until(lambda: not Job.objects.active().exists(), 30)
    assert await db.read(AuditLine.objects.filter(action="ran").count) == 100
    assert await db.read(Job.objects.filter(status=Status.COMPLETED).count) == 101


async def test_an_ended_job_never_changes(give: Give) -> None:
    async with working():
        job = await ended(await give_soon(give, "answer"))
    before = await db.read(Job.objects.filter(pk=job.pk).values().get)

    handle = Handle(job)
    handle.lease = f"{job.worker}#12345678"
    handle.progress(5, 10)
    handle.flush()
    with pytest.raises(Cancelled):
        await db.write(handle.keep, {"a": 1})
    await db.write(Job.objects.end, handle.lease, Status.FAILED)
    await db.write(Job.objects.reap)
    await db.write(runner.cancel, Job.objects.filter(pk=job.pk), build.actor())
    await db.write(runner.retry, Job.objects.filter(pk=job.pk), build.actor())

    assert await db.read(Job.objects.filter(pk=job.pk).values().get) == before
    assert await db.read(Job.objects.count) == 1


async def test_a_worker_tells_of_itself(give: Give) -> None:
    async with working():
        row = await until(Worker.objects.first)
        assert row.state == "healthy" and row.memory > 1_000_000 and str(os.getpid()) in str(row)
    row = await db.read(Worker.objects.get)
    assert row.state == "stopped"

    await db.write(Worker.objects.update, stopped_at=None, heartbeat_at=now() - timedelta(seconds=16))
    assert (await db.read(Worker.objects.get)).state == "lost"
