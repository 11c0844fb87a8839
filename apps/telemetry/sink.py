"""Where the spans of this process go: a span processor that stores them in batches, from a thread of its own.

Code that makes spans only speaks the OpenTelemetry API; handing one over costs it an append. A span that is still open
after a moment is stored as open, so that a trace can be watched while it grows.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, connection, transaction
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from apps.telemetry import live, store
from apps.telemetry.metrics import measures, points
from apps.telemetry.own import record_of
from apps.telemetry.records import SpanRecord
from apps.telemetry.traces import lineage

log = logging.getLogger(__name__)
EVERY_S = 0.4  # how long a span waits for others
OPEN_AFTER_S = 0.2  # what is open for longer is stored as open
BATCH = 256
KEPT = 50_000  # spans in memory while the store takes none; beyond it the oldest go, and are counted
KEPT_CHARS = 64_000_000  # and so much text of theirs
RETRY_S = 2.0
AWAY = (InterfaceError, OperationalError)  # a full disk, a lock, a server that is away: what waits is kept


class _Ended:
    """Ended spans on their way, bounded by their number and their text: the oldest go first."""

    def __init__(self) -> None:
        self.dropped = 0
        self._spans: deque[tuple[ReadableSpan, int]] = deque()
        self._chars = 0
        self._one = threading.Lock()

    def __len__(self) -> int:
        return len(self._spans)

    def put(self, span: ReadableSpan) -> None:
        """Take a span; the oldest are dropped for it when there is no room."""
        chars = sum(len(value) for value in (span.attributes or {}).values() if isinstance(value, str))
        with self._one:
            self._spans.append((span, chars))
            self._chars += chars
            while len(self._spans) > KEPT or (self._chars > KEPT_CHARS and len(self._spans) > 1):
                self._chars -= self._spans.popleft()[1]
                self.dropped += 1

    def take(self, most: int) -> list[ReadableSpan]:
        """Return the oldest spans and hold them no more."""
        with self._one:
            taken = [self._spans.popleft() for _ in range(min(most, len(self._spans)))]
            self._chars -= sum(chars for _, chars in taken)
        return [span for span, _ in taken]


class StoreSpans(SpanProcessor):
    """Stores the spans of this process in the console's own database."""

    def __init__(self, write: Callable[[list[SpanRecord]], None] | None = None) -> None:
        self._write = write or keep
        self._ended = _Ended()
        self._open: dict[int, Span] = {}
        self._told: set[int] = set()  # open spans that are stored
        self._batch: list[SpanRecord] = []  # on its way into the store
        self._is_over = False
        self._awake = threading.Event()  # something began or ended
        self._now = threading.Event()  # do not wait for more
        self._one_drain = threading.Lock()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember an open span."""
        if span.context is not None and len(self._open) < KEPT:
            self._open[span.context.span_id] = span
            self._wake()

    def on_end(self, span: ReadableSpan) -> None:
        """Take an ended span; never waits."""
        if span.context is None:
            return
        self._open.pop(span.context.span_id, None)
        self._ended.put(span)
        if len(self._ended) >= BATCH:
            self._now.set()
        self._wake()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Store what has ended so far, on the caller's thread; False when the store did not take it in time."""
        if not self._one_drain.acquire(timeout=timeout_millis / 1000):
            return False
        try:
            return self._drain()
        finally:
            self._one_drain.release()

    def shutdown(self) -> None:
        """Store what is left and end the thread."""
        self._is_over = True
        self.force_flush(5_000)
        self._now.set()
        self._awake.set()

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._begin()
        self._awake.set()

    def _begin(self) -> None:
        with self._starting:
            if not self._is_over and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._is_over:
            self._awake.wait()
            self._now.wait(EVERY_S)
            self._now.clear()
            self._awake.clear()
            with self._one_drain:
                is_stored = self._drain()
            if not is_stored:
                time.sleep(RETRY_S)
            if not is_stored or self._open.keys() - self._told:
                self._awake.set()  # what is open now is looked at again
        connection.close()

    def _drain(self) -> bool:
        """Store everything there is, batch by batch; False when the store does not take it now."""
        while self._batch or (batch := self._next()):
            self._batch = self._batch or batch
            try:
                self._write_batch()
            except AWAY:
                log.warning("%d spans wait for the database", len(self._ended) + len(self._batch), exc_info=True)
                connection.close()
                return False
        if self._ended.dropped:
            log.error("%d spans were dropped while the database took none", self._ended.dropped)
            self._ended.dropped = 0
        return True

    def _write_batch(self) -> None:
        """Store the batch, or what can be stored of it: one span that no column takes must not cost the others."""
        try:
            self._write(self._batch)
        except AWAY:
            raise
        except Exception:
            log.exception("a batch of %d spans could not be stored; each is tried alone", len(self._batch))
            while self._batch:
                self._write_alone(self._batch[0])
                self._batch = self._batch[1:]
        self._batch = []

    def _write_alone(self, record: SpanRecord) -> None:
        try:
            self._write([record])
        except AWAY:
            raise
        except Exception:
            log.exception("the span %s of trace %s is lost", record.span_id, record.trace_id)

    def _next(self) -> list[SpanRecord]:
        """Return the next spans to store: those that ended, and those open for a while, each of these once."""
        ended = self._ended.take(BATCH)
        self._told -= {span.context.span_id for span in ended if span.context}
        still_open = self._untold()
        self._told |= still_open.keys()
        opened = map(record_of, still_open.values())
        # One that ended while it was looked at comes again as ended: what is counted in it must be counted once.
        return [*(record for record in opened if record.end_ns is None), *map(record_of, ended)]

    def _untold(self) -> dict[int, Span]:
        """Return the spans that are open for a while and not stored yet."""
        before = time.time_ns() - int(OPEN_AFTER_S * 1e9)
        waiting = [(number, span) for number, span in list(self._open.items()) if number not in self._told]
        return {number: span for number, span in waiting if (span.start_time or 0) < before}


def keep(records: list[SpanRecord]) -> None:
    """Store spans of this process with the metrics counted in them, and tell who watches."""
    with transaction.atomic():
        saved = store.save(records)
        points.save(measures.of(records))
    live.announce(saved)
    if resumed := {record.hot("turn_id") for record in records if record.name == "resume_agent_turn"}:
        live.announce_earlier(lineage.earlier(resumed, {record.trace_id for record in records}))
