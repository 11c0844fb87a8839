"""A process's share in a child: nobody who gave up waiting for it keeps it."""

import asyncio
import fcntl
from pathlib import Path

import pytest

from apps.inference.providers.llama_cpp_server import _Hold


async def test_who_is_cancelled_while_waiting_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "users"
    hold = _Hold(path)
    with path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = asyncio.create_task(hold.take())
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert hold._users == 0
    await hold.take()
    assert hold._users == 1
    hold.give(0)
    await asyncio.sleep(0.1)
    with path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_a_file_that_cannot_be_opened_counts_nobody(tmp_path: Path) -> None:
    hold = _Hold(tmp_path / "gone" / "users")

    with pytest.raises(FileNotFoundError):
        await hold.take()

    assert hold._users == 0
