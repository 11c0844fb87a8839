"""A job's pace and the time left are told while it gets on; where nobody knows them, nothing is told."""

from typing import Any

import pytest

from apps.jobs import handle, speed
from apps.jobs.models import Job
from apps.jobs.speed import Speed


class Clock:
    """A clock that stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def at(clock: Clock, measured: Speed, seconds: float, done: float) -> dict[str, float]:
    """Return what is told of 1,000 rows so many seconds later."""
    clock.now += seconds
    return measured.told(done, 1_000)


def test_what_is_left_takes_as_long_as_what_was_done() -> None:
    clock = Clock()
    measured = Speed(clock)

    assert at(clock, measured, 0, 100) == {} == at(clock, measured, 0.5, 110)
    assert at(clock, measured, 9.5, 200) == {"rate": 10.0, "eta_s": 80.0}
    assert measured.told(200, None) == {"rate": 10.0}


def test_a_job_that_stands_still_has_no_pace_until_more_is_done() -> None:
    clock = Clock()
    measured = Speed(clock)
    for done in range(0, 30, 10):
        told = at(clock, measured, 1, done)
    assert told["rate"] == 10.0

    assert at(clock, measured, speed.STILL_S, 20)
    assert at(clock, measured, 0.1, 20) == {} == at(clock, measured, 60, 20)
    assert at(clock, measured, 1, 30)


def test_a_slow_job_keeps_its_pace_between_two_steps() -> None:
    clock = Clock()
    measured = Speed(clock)
    for done in range(3):
        at(clock, measured, 60, done)

    assert at(clock, measured, 59, 2)["rate"] == pytest.approx(2 / 179)
    assert at(clock, measured, 62, 2) == {}


def test_what_is_begun_anew_is_measured_anew() -> None:
    clock = Clock()
    measured = Speed(clock)
    at(clock, measured, 0, 500)
    at(clock, measured, 10, 600)

    assert at(clock, measured, 1, 0) == {}
    assert at(clock, measured, 2, 10)["rate"] == 5.0


def test_a_job_that_waits_tells_no_pace_and_its_wait_slows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    job = handle.Handle(Job(job_id="j", lease_owner="l"))
    job._speed = Speed(clock)
    monkeypatch.setattr(job, "flush", lambda: None)

    def told(seconds: float, done: int, **fields: Any) -> dict[str, Any]:
        clock.now += seconds
        job.progress(done, 1_000, "rows", **fields)
        return {name: job._progress[name] for name in ("note", "rate", "eta_s") if name in job._progress}

    told(0, 0)
    assert told(2, 20)["rate"] == 10.0
    assert told(1, 20, note="Waits for it", is_waiting=True) == {"note": "Waits for it"}
    assert told(300, 30, note="Waits for it", is_waiting=True) == {"note": "Waits for it"}
    assert told(0, 30) == {"note": ""}
    assert told(2, 50) == {"note": "", "rate": 10.0, "eta_s": 95.0}
