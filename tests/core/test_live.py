"""Topics: numbers without holes, catching up, and what is not kept any more."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from apps.core import live


@pytest.fixture(params=["memory", "redis"])
def log(request: pytest.FixtureRequest, settings: Any) -> Iterator[live.Log]:
    """Each kind of log; Redis when one is configured."""
    if request.param == "memory":
        yield live.MemoryLog()
        return
    if not settings.REDIS_URL:
        pytest.skip("needs REDIS_URL")
    yield live.RedisLog(settings.REDIS_URL)


async def test_numbers_rise_by_one(log: live.Log) -> None:
    topic = f"test:{id(log)}"
    first = await log.head(topic)

    last = await log.append(topic, [{"a": 1}, {"a": 2}])

    assert last == first + 2
    assert await log.since(topic, first) == [(first + 1, {"a": 1}), (first + 2, {"a": 2})]
    assert await log.since(topic, last) == []


async def test_a_number_from_before_or_after_the_log_is_a_gap(log: live.Log) -> None:
    topic = f"gap:{id(log)}"
    last = await log.append(topic, [{"a": 1}])

    assert await log.since(topic, last - 5) is None
    assert await log.since(topic, last + 5) is None


async def test_many_writers_share_one_order(log: live.Log) -> None:
    topic = f"many:{id(log)}"
    first = await log.head(topic)

    await asyncio.gather(*(log.append(topic, [{"n": n}]) for n in range(50)))

    numbered = await log.since(topic, first)
    assert numbered is not None
    assert [number for number, _ in numbered] == list(range(first + 1, first + 51))
    assert {event["n"] for _, event in numbered} == set(range(50))


async def test_a_full_log_forgets_its_oldest_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "KEEP_EVENTS", 3)
    log = live.MemoryLog()
    first = await log.head("t")

    await log.append("t", [{"n": n} for n in range(5)])

    assert await log.since("t", first) is None
    assert [event["n"] for _, event in await log.since("t", first + 2) or []] == [2, 3, 4]


async def test_a_log_that_starts_anew_numbers_above_the_old_one() -> None:
    old = live.MemoryLog()
    last = await old.append("t", [{"n": n} for n in range(3)])

    await asyncio.sleep(0.01)

    assert await live.MemoryLog().head("t") > last


async def test_whoever_follows_gets_every_event_once_and_in_order() -> None:
    topic = "session:follow"
    first = await live.head(topic)
    seen: list[int] = []

    async def watch() -> None:
        async for batch in live.follow(topic, first):
            seen.extend(event["n"] for _, event in batch or [])
            if len(seen) >= 200:
                return

    watcher = asyncio.create_task(watch())
    for n in range(200):
        await live.publish(topic, {"n": n})
        if n % 20 == 0:
            await asyncio.sleep(0)
    await asyncio.wait_for(watcher, 10)

    assert seen == list(range(200))
