"""A backend that failed for a moment is asked again; one that is dead is not waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from apps.core.errors import ConsoleError

T = TypeVar("T")
TRIES_S = (0.5, 2.0)  # waits before it is asked again
LONGEST_S = 30.0  # what a backend may ask us to wait
TRANSIENT = {429, 502, 503, 504}
GIVEN_UP = 20  # calls that failed one after the other: then nobody waits and asks again, until one is answered


class Patience:
    """What the calls of one backend have in common: how many of them failed lately."""

    def __init__(self) -> None:
        self._failed = 0

    async def __call__(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what is answered at last; raises the ConsoleError of the last try."""
        for wait_s in TRIES_S:
            try:
                return await self._once(ask)
            except ConsoleError as error:
                if error.status not in TRANSIENT or self._failed >= GIVEN_UP:
                    raise
                await asyncio.sleep(max(wait_s, _wished(error)))
        try:
            return await self._once(ask)
        except ConsoleError as error:
            self._failed += error.status in TRANSIENT
            raise

    async def _once(self, ask: Callable[[], Awaitable[T]]) -> T:
        answer = await ask()
        self._failed = 0
        return answer


def _wished(error: ConsoleError) -> float:
    """Return for how long a backend that is asked too often wants to be left alone."""
    wished = error.headers.get("Retry-After", "")
    return min(float(wished), LONGEST_S) if wished.isascii() and wished.isdigit() else 0.0
