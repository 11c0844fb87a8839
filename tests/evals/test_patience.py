"""A model server that fails for a moment, is away for a while, or stays away: who is asked, when, and what is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from apps.core.errors import BadRequest, ConsoleError, ProviderError, ProviderFailed
from apps.evals.running import patience
from apps.evals.running.candidates import Answer
from apps.evals.running.evaluating import Result, Row, Run
from apps.evals.running.patience import AWAY, OUTAGES, TRIES_S, Patience

Json = dict[str, Any]
SILENT_S = 300.0


@dataclass
class World:
    """A model server, and a clock that only moves when somebody waits; ``at`` tells when each row was asked."""

    away: tuple[float, float] = (0.0, 0.0)  # from when to when it does not answer
    silent: bool = False  # whether it accepts and never answers, instead of refusing
    now: float = 0.0
    at: list[tuple[float, int]] = field(default_factory=list)
    told: list[tuple[str, bool]] = field(default_factory=list)
    _timers: list[tuple[float, asyncio.Event]] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        """Wait on the clock of this world: it jumps when everybody waits."""
        rung = asyncio.Event()
        self._timers.append((self.now + seconds, rung))
        await rung.wait()

    async def run_clock(self) -> None:
        """Move the clock on whenever nothing else happens."""
        while True:
            for _ in range(100):
                await asyncio.sleep(0)
            if self._timers:
                self._timers.sort(key=lambda timer: timer[0])
                self.now, rung = self._timers.pop(0)
                rung.set()

    async def ask(self, row: Json) -> Answer:
        """Answer, or fail as a server that is away does."""
        self.at.append((self.now, row["n"]))
        await self.sleep(0.1)
        if self.away[0] <= self.now < self.away[1]:
            if self.silent:
                await self.sleep(SILENT_S)
                raise ProviderError("It was silent.", status=504)
            raise ProviderError("It cannot be reached.")
        if row.get("fails"):
            raise ProviderFailed("It failed (500).")
        return Answer({"generated_answer": "yes"})

    def patience(self, outage_s: float = 300.0) -> Patience:
        """Return the patience of a run in this world."""
        return Patience("The model server", outage_s, self.tell, clock=lambda: self.now, sleep=self.sleep)

    def tell(self, text: str, is_away: bool) -> None:
        """Hear what is told."""
        self.told.append((text, is_away))

    async def results(self, count: int, *, at_once: int = 16, **fields: Any) -> dict[int, Result]:
        """Return what becomes of this many rows, while the clock runs."""
        given = [{"n": n, **{name: n in some for name, some in fields.items()}} for n in range(count)]
        run = Run(self.ask, score, ["f"], at_once, patience=self.patience())
        clock = asyncio.create_task(self.run_clock())
        try:
            async with asyncio.timeout(30):
                return {one.position: one async for one in run.results(rows(given))}
        finally:
            clock.cancel()


async def score(row: Json) -> dict[str, Json]:
    """Score nothing."""
    return {"f": {"score": 1.0}}


async def rows(given: list[Json]) -> AsyncIterator[Row]:
    """Give rows as a dataset does."""
    for position, row in enumerate(given):
        yield Row(position, json.dumps(row))


async def test_a_server_that_comes_back_costs_no_row_and_is_asked_by_one_at_a_time_meanwhile() -> None:
    world = World(away=(5.0, 60.0))

    found = await world.results(1_500)

    assert not any(one.error for one in found.values()) and len(found) == 1_500
    probes = [at for at, _ in world.at if 5.5 < at < 59]
    assert 8 <= len(probes) <= 16 and all(later - at >= 1 for at, later in pairwise(probes))
    # Besides the probes, only what was under way when it went away is asked twice.
    assert len(world.at) <= 1_500 + 16 + len(probes) + 1
    (away, waits), (back, goes_on) = world.told
    assert "does not answer: It cannot be reached. Trying again with one row every few seconds, for 300 s" in away
    assert "answers again after" in back and (waits, goes_on) == (True, False)


async def test_a_server_that_stays_away_is_given_up_after_a_while_and_the_rest_is_not_asked() -> None:
    world = World(away=(5.0, 1e9))

    found = await world.results(2_000)

    assert len(found) == 2_000 and 305 <= world.now < 320
    failed = [one.error for one in found.values() if one.error]
    assert len(failed) > 1_000 and failed.count("It cannot be reached.") == 16
    [told] = {error for error in failed if error.startswith("Not asked: the model server did not answer for 30")}
    assert told.endswith("The last failure: It cannot be reached.")
    assert len([at for at, _ in world.at if at > 6]) < 70
    assert "what is left is not asked any more" in world.told[-1][0] and len(world.told) == 2


async def test_a_server_that_never_answered_is_given_up_sooner() -> None:
    world = World(away=(0.0, 1e9))

    found = await world.results(2_000)

    assert 30 <= world.now < 40 and all(one.error for one in found.values())
    assert found[0].error == "It cannot be reached." and found[1_999].error.startswith("Not asked: ")


async def test_a_silent_server_costs_minutes_and_not_a_day() -> None:
    world = World(away=(2.0, 1e9), silent=True)

    found = await world.results(2_000)

    assert world.now < 2 * SILENT_S and len(found) == 2_000
    assert len([at for at, _ in world.at if at > 3]) <= 2


async def test_rows_a_server_fails_on_are_no_outage() -> None:
    world = World()

    found = await world.results(200, fails=range(20, 80))

    assert [n for n, one in sorted(found.items()) if one.error] == list(range(20, 80))
    assert len(world.at) == 200 + 60 * len(TRIES_S) and world.told == []


async def test_a_row_the_server_fails_on_does_not_keep_the_others_waiting() -> None:
    world = World(away=(0.05, 20.0))

    found = await world.results(40, at_once=4, fails=range(0, 4))

    assert [n for n, one in sorted(found.items()) if one.error] == [0, 1, 2, 3]


async def test_a_run_that_waits_is_stopped_at_once() -> None:
    world = World(away=(0.0, 1e9))
    run = Run(world.ask, score, ["f"], 4, patience=world.patience())
    async with aclosing(run.results(rows([{"n": n} for n in range(9)]))) as results:
        reading = asyncio.ensure_future(anext(results))
        while not world.told:  # nobody moves the clock once all of them wait
            for _, rung in world._timers:
                rung.set()
            await asyncio.sleep(0)

        reading.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait({reading})

    assert len(asyncio.all_tasks()) == 1


async def failing(error: ConsoleError, waited: list[float], times: int = 99) -> tuple[int, Patience]:
    """Return how often a call that fails is tried, and with what patience; ``waited`` hears each wait."""
    tries = 0

    async def call() -> str:
        nonlocal tries
        tries += 1
        if tries <= times:
            raise error
        return "yes"

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    patience = Patience(sleep=sleep)
    if times < 99:
        assert await patience(call) == "yes"
    else:
        with pytest.raises(type(error)):
            await patience(call)
    return tries, patience


async def test_a_call_that_fails_alone_is_tried_again_and_what_is_refused_is_not() -> None:
    waited: list[float] = []

    assert (await failing(ProviderError("away"), waited, times=2))[0] == 3 and waited == list(TRIES_S)
    assert (await failing(BadRequest("no such thing"), []))[0] == 1
    assert (await failing(ProviderError("too long", status=400), []))[0] == 1


async def test_a_server_that_says_when_to_come_back_is_obeyed() -> None:
    waited: list[float] = []

    await failing(ProviderError("starting", status=503, headers={"Retry-After": "7"}), waited)

    assert waited == [7.0, 7.0]


@dataclass
class Limited(World):
    """A server that answers so many calls a second, a few more at once, and refuses the others."""

    rate: float = 2.0
    burst: float = 4.0
    takes: bool = True  # what it refuses for ever is no matter of time
    free: float = 4.0
    filled_at: float = 0.0

    async def ask(self, row: Json) -> Answer:
        """Answer, or say when to come back."""
        self.at.append((self.now, row["n"]))
        await self.sleep(0.2)
        self.free = min(self.burst, self.free + (self.now - self.filled_at) * self.rate)
        self.filled_at = self.now
        if self.free < 1 or row.get("too_large") or not self.takes:
            raise ProviderError("It is asked too often.", status=429, headers={"Retry-After": "1"})
        self.free -= 1
        await self.sleep(0.3)
        return Answer({"generated_answer": "yes"})


@pytest.mark.parametrize(("rate", "longest_s"), [(0.5, 420), (2.0, 110), (10.0, 60)])
async def test_a_server_that_is_asked_too_often_gets_its_rows_more_slowly_and_none_is_lost(
    rate: float, longest_s: float
) -> None:
    world = Limited(rate=rate)

    found = await world.results(200)

    assert len(found) == 200 and not any(one.error for one in found.values())
    assert world.now < longest_s and len(world.at) < 4 * 200
    assert world.told[0][0] == "It is asked too often. From here on it gets fewer calls at once."
    assert len(world.told) < 6


async def test_a_server_that_refuses_everybody_is_given_up_after_a_while() -> None:
    world = Limited(takes=False)

    found = await world.results(500)

    assert len(found) == 500 and all(one.error for one in found.values())
    assert 30 <= world.now < 60 and len(world.at) < 60


async def test_a_row_that_is_always_too_much_fails_alone() -> None:
    world = Limited(rate=5.0)

    found = await world.results(60, too_large=[7])

    assert [n for n, one in sorted(found.items()) if one.error] == [7]
    assert len([n for _, n in world.at if n == 7]) == patience.REFUSALS


async def test_rows_that_are_refused_are_no_sign_of_an_outage() -> None:
    _, patience = await failing(BadRequest("no"), [])

    async def refused() -> str:
        raise BadRequest("no")

    for _ in range(AWAY + 1):
        with pytest.raises(BadRequest):
            await patience(refused)
    assert not patience._is_away


class Fragile(World):
    """A server that row 0 brings down for a moment, with all it works on; that row hears of it last."""

    down_until = 0.0

    async def ask(self, row: Json) -> Answer:
        """Answer unless it is down, or goes down meanwhile."""
        self.at.append((self.now, row["n"]))
        if self.now < self.down_until:
            raise ProviderError("It cannot be reached.")
        if row["n"] == 0:
            await self.sleep(0.05)
            self.down_until = self.now + 0.5
        began = self.now
        await self.sleep(0.2 if row["n"] == 0 else 0.1)
        if row["n"] == 0 or began < self.down_until:
            raise ProviderError("It cut the connection.")
        return Answer({"generated_answer": "yes"})


async def test_a_row_that_brings_the_server_down_again_and_again_is_given_up() -> None:
    world = Fragile()

    done = await world.results(400, at_once=8)

    assert len(done) == 400
    assert done[0].error
    assert len([n for _, n in world.at if n == 0]) == OUTAGES
    assert sum(bool(one.error) for one in done.values()) < 8  # those it was asked beside each time


async def test_a_call_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "CALL_S", 0.01)

    async def hangs() -> str:
        await asyncio.Event().wait()
        return "never"

    with pytest.raises(ProviderError, match="no whole answer within") as error:
        async with asyncio.timeout(10):
            await Patience(sleep=lambda seconds: asyncio.sleep(0))(hangs)

    assert error.value.status == 504
