"""How async code reaches the database: one unit of work per thread hop, on threads that keep their connections.

``read`` runs on a small pool. ``write`` runs on the process's one writer thread, which commits everything that waits in
a single transaction: SQLite has one writer anyway, and a server with many turns pays for one commit, not for each.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

P = ParamSpec("P")
T = TypeVar("T")
BATCH = 64  # writes joined into one transaction

_readers = ThreadPoolExecutor(max_workers=settings.DATABASE_READERS, thread_name_prefix="db-read")


async def read(unit: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``unit`` reads; it may hold several queries and must not write."""
    return await asyncio.wrap_future(_readers.submit(_reading, lambda: unit(*args, **kwargs)))


async def step(readings: Iterator[T]) -> T | None:
    """Return the next of what an iterator reads, None at its end.

    Unlike ``read`` it is not tried again: an iterator that failed has ended, and would pass for one that is through.
    """
    return await asyncio.wrap_future(_readers.submit(_stepping, readings))


async def write(unit: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``unit`` answers once its changes are committed; an exception undoes this unit alone.

    A unit that has begun is committed even when the caller is cancelled meanwhile.
    """
    return await asyncio.shield(asyncio.wrap_future(_writer.submit(lambda: unit(*args, **kwargs))))


def write_soon(unit: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
    """Queue ``unit`` for the writer thread and return at once; units are committed in the order given."""
    return _writer.submit(lambda: unit(*args, **kwargs))


def _reading(unit: Callable[[], T]) -> T:
    try:
        return unit()
    except (InterfaceError, OperationalError):
        if connection.in_atomic_block:
            raise
        connection.close()  # the server went away under a kept connection: once more on a new one
        return unit()


def _stepping(readings: Iterator[T]) -> T | None:
    try:
        return next(readings, None)
    except (InterfaceError, OperationalError):
        if not connection.in_atomic_block:
            connection.close()
        raise


class _Writer:
    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, unit: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()
        self._waiting.put((unit, future))
        if self._thread is None:
            with self._start:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="db-write", daemon=True)
                    self._thread.start()
        return future

    def _run(self) -> None:
        while True:
            batch = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < BATCH:
                    batch.append(self._waiting.get_nowait())
            self._commit(batch)

    def _commit(self, batch: list[tuple[Callable[[], Any], "Future[Any]"]], *, is_last_try: bool = False) -> None:
        done: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with transaction.atomic():
                for unit, future in batch:
                    done.append((future, *self._run_one(unit, alone=len(batch) == 1)))
        except _Undo as undo:
            if isinstance(undo.cause, InterfaceError | OperationalError) and not is_last_try:
                connection.close()  # the server went away under a kept connection and has nothing of this unit
                self._commit(batch, is_last_try=True)
                return
            done = [(batch[0][1], None, undo.cause)]
        except Exception as error:
            connection.close()
            if len(batch) > 1:  # find out which one it was: each in a transaction of its own
                for one in batch:
                    self._commit([one])
                return
            done = [(batch[0][1], None, error)]
        for future, result, failure in done:
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(result)

    def _run_one(self, unit: Callable[[], Any], *, alone: bool) -> tuple[Any, BaseException | None]:
        if alone:
            try:
                return unit(), None
            except Exception as error:
                raise _Undo(error) from error
        try:
            with transaction.atomic():
                return unit(), None
        except (InterfaceError, OperationalError):
            raise
        except Exception as error:
            return None, error


class _Undo(Exception):
    """Carries a unit's own failure out of its transaction."""

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause


_writer = _Writer()


def close_all() -> None:
    """Close the connections kept by these threads; tests call it before the database goes away."""
    barrier = threading.Barrier(settings.DATABASE_READERS + 1)

    def close() -> None:
        connection.close()
        barrier.wait(timeout=10)

    for _ in range(settings.DATABASE_READERS):
        _readers.submit(close)
    _writer.submit(lambda: None).result(timeout=10)
    _writer._waiting.put((_close_writer, Future()))
    barrier.wait(timeout=10)


def _close_writer() -> None:
    transaction.on_commit(connection.close)
