"""What watchers of jobs are told, and in which process."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils.timezone import now

from apps.core import db, live
from apps.core.process import this_process
from apps.jobs import live as jobs_live
from apps.jobs.models import Job, Status
from tests import build
from tests.jobs.conftest import ended, working

Give = Callable[..., Job]


@pytest.fixture(autouse=True)
def nothing_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the last count, and the loop of the last test."""
    monkeypatch.setattr(jobs_live, "_count", (-10.0, 0))
    monkeypatch.setattr(jobs_live, "_recount", None)
    monkeypatch.setattr(live, "_home", {})


async def test_progress_paints_the_bar_from_the_row(give: Give) -> None:
    job = await db.write(give, "answer")
    progress = {"done": 30, "total": 120, "unit": "rows"}
    await db.write(Job.objects.filter(pk=job.pk).update, status=Status.IN_PROGRESS, progress=progress)

    [frame] = await jobs_live.frames(job.topic, 1, {"event_type": "job_progress", **progress})

    assert frame["k"] == "html" and frame["target"] == "#job-progress"
    assert "30 of 120 rows" in frame["h"] and 'value="0.2500"' in frame["h"]


@pytest.mark.parametrize(
    ("pace", "told"),
    [
        ({"rate": 3.0, "eta_s": 30.0}, "25.0 % · 3.0 rows/s · about 30 s left"),
        ({"note": "Waits for it"}, "25.0 %"),
    ],
)
async def test_a_time_left_that_nobody_knows_is_not_told(give: Give, pace: dict[str, Any], told: str) -> None:
    job = await db.write(give, "answer")
    progress = {"done": 30, "total": 120, "unit": "rows", **pace}
    await db.write(Job.objects.filter(pk=job.pk).update, status=Status.IN_PROGRESS, progress=progress)

    [frame] = await jobs_live.frames(job.topic, 1, {"event_type": "job_progress", **progress})

    shown = frame["h"].split('data-ui="job-pace">')[1].split("</span>")[0]
    assert " ".join(shown.split()) == told


async def test_a_line_is_added_as_text(give: Give) -> None:
    event = {"event_type": "job_line", "id": 7, "at": now().isoformat(), "level": "error", "text": "<b>no</b>"}

    [frame] = await jobs_live.frames("job:x", 1, event)

    assert frame["swap"] == "append" and 'id="line-7"' in frame["h"] and "&lt;b&gt;no" in frame["h"]


async def test_the_list_tells_how_many_failed_and_counts_seldom(give: Give) -> None:
    await db.write(give, "fail")
    await db.write(Job.objects.update, status=Status.FAILED, completed_at=now())

    frames = [await jobs_live._list_frames("jobs", number, {}) for number in range(20)]

    assert all(frame == [{"k": "state", "v": {"count": 1}}] for frame in frames)


async def test_what_changes_just_after_a_count_is_told_a_moment_later(
    give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    heard = asyncio.Event()
    monkeypatch.setattr(jobs_live.live, "tell", lambda topic, event: (told.append((topic, event)), heard.set()))
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda seconds, call: loop.call_soon(call))

    await jobs_live._list_frames("jobs", 1, {"event_type": "jobs_changed"})
    await jobs_live._list_frames("jobs", 2, {"event_type": "jobs_changed"})
    await jobs_live._list_frames("jobs", 3, {"event_type": "jobs_changed"})
    await heard.wait()
    await jobs_live._list_frames("jobs", 4, told[0][1])
    await asyncio.sleep(0)

    assert told == [("jobs", {"event_type": "jobs_counted"})], "once, and the telling asks for no further one"


async def test_only_people_watch_and_only_jobs_there_are(give: Give) -> None:
    job = await db.write(give, "answer")
    viewer = await db.write(build.user, "viewer")
    kind = live.kind_of(job.topic)
    assert kind is not None

    assert await kind.may_watch(viewer, job.topic)
    assert not await kind.may_watch(viewer, "job:other")
    assert not await kind.may_watch(AnonymousUser(), job.topic)


async def test_a_worker_tells_of_state_progress_and_lines(give: Give) -> None:
    job = await db.write(give, "answer")
    number = await live.head(job.topic)
    async with working():
        await ended(job)
        await asyncio.sleep(0.3)
        told = await live.since(job.topic, number)

    kinds = [event["event_type"] for _, event in told or []]
    assert kinds[0] == "job_state" and kinds.count("job_state") >= 2 and {"job_line", "job_progress"} <= set(kinds)


async def test_pages_poll_for_jobs_that_run_elsewhere(give: Give, settings: Any) -> None:
    settings.REDIS_URL = ""
    job = Job(status=Status.IN_PROGRESS, worker=this_process())

    assert not jobs_live.must_poll(job)
    assert jobs_live.must_poll(Job(status=Status.SCHEDULED))
    assert jobs_live.must_poll(Job(status=Status.IN_PROGRESS, worker="elsewhere:1:1"))
    assert jobs_live.must_poll(Job(status=Status.IN_PROGRESS, worker=this_process(), is_isolated=True))
    assert not jobs_live.must_poll(Job(status=Status.COMPLETED))
    settings.REDIS_URL = "redis://elsewhere"
    assert jobs_live.must_poll(Job(status=Status.IN_PROGRESS, is_isolated=True))
