"""How many calls a backend gets at once: fewer when it says that it is asked too often, more again with each answer."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

PAUSE_S = 1.0  # after a refusal that does not say when to come back


class Pace:
    """Lets calls through, first come, first served; all of them until one is refused."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._clock, self._sleep = clock, sleep
        self._most = math.inf  # calls at once
        self._now = 0
        self._open_at = -math.inf  # nobody asks before
        self._line = asyncio.Lock()
        self._freed = asyncio.Event()

    @property
    def is_slowed(self) -> bool:
        """Whether a call was refused before."""
        return self._most < math.inf

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until one more call may be made, and count it while the block runs."""
        async with self._line:
            while self._now >= self._most:
                self._freed.clear()
                await self._freed.wait()
            while (pause_s := self._open_at - self._clock()) > 0:
                await self._sleep(pause_s)
            self._now += 1
        try:
            yield
        finally:
            self._now -= 1
            self._freed.set()

    def refuse(self, wished_s: float) -> None:
        """Slow down after a refusal: half as many calls, none for as long as the backend wishes."""
        self._most = max(1, min(self._most, self._now) // 2)
        self._open_at = max(self._open_at, self._clock() + max(wished_s, PAUSE_S))

    def answer(self) -> None:
        """Dare a little more after an answer: one call for as many answers as there are calls."""
        self._most += 1 / self._most
