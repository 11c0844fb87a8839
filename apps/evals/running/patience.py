"""A backend that failed for a moment is asked again; one that is away is asked by one row at a time until it is back.

It is away when several calls failed one after the other and none was answered between them. Whoever wants to ask then
waits in a line; the first in it asks after a pause, and a failure sends it to the end. An answer lets all of them go
on. Away for too long, it is asked no more, and the others are told so without being asked.

One that is asked too often is asked more slowly, for as long as it answers anybody.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from apps.core.errors import ConsoleError, ProviderError, ProviderFailed
from apps.evals.running.pace import Pace

T = TypeVar("T")
TRIES_S = (0.5, 2.0)  # waits before a row that failed alone is asked again
LONGEST_S = 30.0  # what a backend may ask us to wait
TOO_OFTEN = 429
TRANSIENT = {TOO_OFTEN, 502, 503, 504}
AWAY = 5  # calls that failed one after the other
OUTAGES = 5  # a row that failed in so many is asked no more: it may be what brings the backend down
REFUSALS = 20  # a row that was too much so often is asked no more: it may be more than the backend ever takes
PROBES_S = (1.0, 2.0, 5.0)  # pauses before one row asks a backend that is away; the last again and again
REQUEST_S = 5.0  # how long a request waits for one that is away
CALL_S = 3_600.0  # a call that goes on longer hangs, though the connection lives
UNKNOWN_S = 30.0  # how long anybody waits for one that never answered: it is hardly about to come back


@dataclass(slots=True)
class _Tries:
    """What one call went through: its last failure, how often it failed alone and with others, and was too much."""

    failure: ConsoleError | None = None
    alone: int = 0
    outages: set[int] = field(default_factory=set)
    refusals: int = 0


class Patience:
    """What the calls of one backend have in common: whether it answers, and since when not."""

    def __init__(
        self,
        name: str = "The model server",
        outage_s: float = REQUEST_S,
        tell: Callable[[str, bool], None] = lambda text, is_away: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``tell`` is given what changes, in words, and whether the backend is waited for from now on."""
        self._name, self._outage_s, self._tell, self._clock, self._sleep = name, outage_s, tell, clock, sleep
        self._pace = Pace(clock, sleep)
        self._line = asyncio.Lock()  # first come, first served
        self._has_answered = False
        self._failed, self._since, self._heard_at = 0, 0.0, clock()
        self._outages = 0
        self._last = ProviderError("")
        self._given_up = ""

    async def __call__(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what is answered at last; raises the ConsoleError of the last try, or one that tells of none."""
        tries = _Tries()
        while True:
            try:
                async with self._pace.turn(), self._turn(tries.failure):
                    return await self._once(ask)
            except ConsoleError as error:
                if error.status not in TRANSIENT or self._given_up or not await self._may_again(error, tries):
                    raise
                tries.failure = error

    async def _may_again(self, error: ConsoleError, tries: _Tries) -> bool:
        """Return whether a call that failed is made again, after a wait where it failed alone."""
        if error.status == TOO_OFTEN:
            tries.refusals += 1
            return tries.refusals < REFUSALS
        before = self._outages
        if not self._is_away:
            if tries.alone == len(TRIES_S):
                return False
            await self._sleep(max(TRIES_S[tries.alone], _wished(error)))
        if self._is_away or self._outages > before:  # others failed too
            tries.outages.add(self._outages)
            return len(tries.outages) < OUTAGES
        tries.alone += 1
        return True

    @property
    def _is_away(self) -> bool:
        return self._failed >= AWAY

    @property
    def _bound_s(self) -> float:
        return self._outage_s if self._has_answered else min(self._outage_s, UNKNOWN_S)

    @asynccontextmanager
    async def _turn(self, failure: ConsoleError | None) -> AsyncIterator[None]:
        """Let everybody ask a backend that answers, and one at a time one that is away."""
        if self._is_away:
            async with self._line:
                if self._given_up:
                    raise failure or ProviderError(self._given_up, status=503)
                if self._is_away:
                    await self._sleep(self._pause_s())
                    yield
                    return
        yield

    def _pause_s(self) -> float:
        probes = self._failed - AWAY
        return max(PROBES_S[min(probes, len(PROBES_S) - 1)], _wished(self._last))

    async def _once(self, ask: Callable[[], Awaitable[T]]) -> T:
        began = self._clock()
        try:
            answer = await _bounded(ask)
        except ProviderError as error:
            if error.status in TRANSIENT and not isinstance(error, ProviderFailed):
                self._missed(error, began)
            else:
                self._heard()  # it does not like this row, but it is there
            raise
        self._heard()
        self._pace.answer()
        return answer

    def _missed(self, error: ProviderError, began: float) -> None:
        self._since = self._since if self._failed else max(began, self._heard_at)
        self._failed += 1
        self._last = error
        if error.status == TOO_OFTEN:
            if not self._pace.is_slowed:
                self._tell(f"{error.detail} From here on it gets fewer calls at once.", self._is_away)
            self._pace.refuse(_wished(error))
        away_s = self._clock() - self._since
        if self._failed == AWAY:
            self._outages += 1
            self._tell(
                f"{self._name} does not answer: {error.detail} Trying again with one row every few seconds, "
                f"for {self._bound_s:g} s.",
                True,
            )
        if self._is_away and away_s >= self._bound_s and not self._given_up:
            since = f"{self._name} did not answer for {away_s:.0f} s"
            self._given_up = f"Not asked: {since[0].lower()}{since[1:]}. The last failure: {error.detail}"
            self._tell(f"{since}; what is left is not asked any more.", False)

    def _heard(self) -> None:
        if self._is_away:
            self._tell(f"{self._name} answers again after {self._clock() - self._since:.0f} s; going on.", False)
        self._failed, self._has_answered, self._heard_at, self._given_up = 0, True, self._clock(), ""


async def _bounded(ask: Callable[[], Awaitable[T]]) -> T:
    """Return the answer; raises ProviderError, 504, when it does not come to its end."""
    limit = asyncio.timeout(CALL_S)
    try:
        async with limit:
            return await ask()
    except TimeoutError:
        if not limit.expired():
            raise
        raise ProviderError(f"There was no whole answer within {CALL_S:g} s.", status=504) from None


def _wished(error: ConsoleError) -> float:
    """Return for how long a backend that is asked too often wants to be left alone."""
    wished = error.headers.get("Retry-After", "")
    return min(float(wished), LONGEST_S) if wished.isascii() and wished.isdigit() else 0.0
