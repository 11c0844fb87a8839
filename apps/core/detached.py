"""Work that goes on when whoever asked for it leaves."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_going_on: set[asyncio.Task[Any]] = set()


async def detached(work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns; when the caller is cancelled meanwhile, ``work`` still runs to its end."""
    task = asyncio.create_task(work)
    _going_on.add(task)  # the loop itself holds tasks only weakly
    task.add_done_callback(_going_on.discard)
    return await asyncio.shield(task)
