"""Units of work: each is whole, one's failure is its own, order is kept."""

import asyncio
from collections.abc import Iterator

import pytest
from django.contrib.sessions.models import Session
from django.db import IntegrityError, OperationalError
from django.utils.timezone import now

from apps.core import db

pytestmark = pytest.mark.django_db(transaction=True)


def add(key: str) -> str:
    """Insert a row."""
    Session.objects.create(session_key=key, session_data="", expire_date=now())
    return key


def add_and_fail(key: str) -> None:
    """Insert a row, then fail."""
    add(key)
    raise ValueError(key)


def keys() -> list[str]:
    """All rows."""
    return sorted(Session.objects.values_list("session_key", flat=True))


async def test_what_was_written_is_read() -> None:
    assert await db.write(add, "a") == "a"
    assert await db.read(keys) == ["a"]


async def test_a_failing_unit_undoes_itself_alone_even_in_a_batch() -> None:
    results = await asyncio.gather(
        *(db.write(add_and_fail if n % 3 == 0 else add, f"k{n}") for n in range(30)), return_exceptions=True
    )

    assert [isinstance(result, ValueError) for result in results] == [n % 3 == 0 for n in range(30)]
    assert len(await db.read(keys)) == 20


async def test_a_conflict_reaches_its_own_caller() -> None:
    await db.write(add, "same")

    results = await asyncio.gather(db.write(add, "same"), db.write(add, "other"), return_exceptions=True)

    assert isinstance(results[0], IntegrityError)
    assert results[1] == "other"


async def test_units_are_committed_in_the_order_given() -> None:
    seen: list[int] = []
    for n in range(50):
        db.write_soon(seen.append, n)

    await db.write(lambda: None)

    assert seen == list(range(50))


async def test_a_caller_who_leaves_does_not_stop_its_unit() -> None:
    task = asyncio.create_task(db.write(add, "left"))
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await db.write(lambda: None)

    assert await db.read(keys) == ["left"]


async def test_an_iterator_that_failed_is_not_taken_for_one_that_is_through() -> None:
    def readings() -> Iterator[int]:
        yield 1
        raise OperationalError("the server went away")

    some = readings()

    assert await db.step(some) == 1
    with pytest.raises(OperationalError):
        await db.step(some)
    assert await db.step(iter(())) is None
