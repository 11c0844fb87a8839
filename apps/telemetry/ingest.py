"""Takes in what other programs send: all of a request is stored before it is answered.

What counts once however often it is sent, spans and running totals, is stored in several writes, between which others
write theirs; the rest in one, the last. So a request that fails can be sent again as it is. While the store is behind,
a request is refused with the time after which to do so.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from apps.core import db
from apps.core.errors import ConsoleError
from apps.telemetry import live, store
from apps.telemetry.bulk import chunked
from apps.telemetry.metrics import points, totals
from apps.telemetry.metrics.totals import Sample
from apps.telemetry.otlp import http as otlp_http
from apps.telemetry.otlp import translate as otlp
from apps.telemetry.otlp.translate import Refused
from apps.telemetry.records import SpanRecord

log = logging.getLogger(__name__)
PIECE = 500  # spans or running totals of one write: a turn that writes meanwhile waits for no more than that
REQUESTS = 4  # of the largest size, that are held at once
AGAIN_S = "5"
_held = 0  # bytes of the requests being read and stored


async def take_spans(body: bytes, packed: str, *, is_json: bool) -> Refused:
    """Store the spans of an ExportTraceServiceRequest and return what was not kept; raises ConsoleError."""

    def read() -> tuple[list[SpanRecord], Refused]:
        return otlp.spans(otlp_http.unpacked(body, packed), is_json=is_json)

    with _room_for(body, packed):
        records, refused = await asyncio.to_thread(read)
        for some in chunked(sorted(records, key=lambda record: record.trace_id), PIECE):
            await db.write(keep_spans, some)
    return refused


async def take_samples(body: bytes, packed: str, *, is_json: bool) -> Refused:
    """Store the data points of an ExportMetricsServiceRequest and return what was not kept; raises ConsoleError."""

    def read() -> tuple[list[Sample], Refused]:
        return otlp.samples(otlp_http.unpacked(body, packed), is_json=is_json)

    with _room_for(body, packed):
        samples, refused = await asyncio.to_thread(read)
        counted = sorted((one for one in samples if one.counter), key=lambda one: one.time_ns)
        for some in chunked(counted, PIECE):
            await db.write(keep_samples, some)
        if rest := [one for one in samples if not one.counter]:
            await db.write(keep_samples, rest)
    return refused


def keep_spans(records: Sequence[SpanRecord]) -> None:
    """Store spans and, once they are there, tell who watches; called inside a write."""
    saved = store.save(records)
    # By the commit, not by the caller: who leaves before the answer has sent his spans all the same.
    transaction.on_commit(partial(live.announce, saved), robust=True)


def keep_samples(samples: Sequence[Sample]) -> None:
    """Store samples as points; called inside a write."""
    points.save(totals.as_points(samples))


@contextmanager
def storing() -> Iterator[None]:
    """Turn a database that takes nothing into 503 with the time to come again."""
    try:
        yield
    except (InterfaceError, OperationalError) as error:
        log.warning("telemetry could not be stored: %s", error)
        raise _busy("The database takes nothing just now.") from error


@contextmanager
def _room_for(body: bytes, packed: str) -> Iterator[None]:
    """Hold a request for as long as it is read and stored; raises ConsoleError with 503 when too many are held."""
    global _held
    size = otlp_http.weight(body, packed)
    if _held and _held + size > REQUESTS * settings.MAX_BODY_BYTES:
        raise _busy("More telemetry is coming in than the database takes.")
    _held += size
    try:
        with storing():
            yield
    finally:
        _held -= size


def _busy(why: str) -> ConsoleError:
    return ConsoleError(f"{why} Send the same again in {AGAIN_S} s.", status=503, headers={"Retry-After": AGAIN_S})
