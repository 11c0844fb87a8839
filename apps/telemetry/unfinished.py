"""Spans that a dead process left open: ended once somebody notices, so that nothing seems to run for ever.

A console tells its process by ``service.instance.id``. Spans of other programs are left as they are.
"""

import asyncio
import logging
import time
from datetime import datetime

from django.db.models import F, Max, QuerySet
from django.db.models.functions import Coalesce

from apps.agents.models import Turn
from apps.core import db
from apps.core.process import is_dead, this_process
from apps.telemetry import live, store
from apps.telemetry.models import Span
from apps.telemetry.own import TTL
from apps.telemetry.records import SpanRecord

log = logging.getLogger(__name__)
INSTANCE = "service.instance.id"
LOOK_S = 10.0
ELSEWHERE_S = 86_400  # of a process on another machine nothing is known: what is open for so long is taken for lost
AT_ONCE = 500
REASON = "The process stopped before this span ended."


async def watch() -> None:
    """End, every few seconds, what processes that died left open; runs as long as the process."""
    while True:
        try:
            while lost := await db.read(_lost):
                live.announce(await db.write(store.save, lost))
        except Exception:
            log.warning("looking for lost spans failed; next try in %s s", LOOK_S, exc_info=True)
        await asyncio.sleep(LOOK_S)


def open_spans() -> QuerySet[Span]:
    """Return the open spans whose process is known, oldest first; those that came as events name none."""
    return Span.objects.filter(end_ns=None, resource__isnull=False).order_by("start_ns")


def _lost() -> list[SpanRecord]:
    """Return open spans that nobody will end any more, as they are to be stored."""
    dead: dict[int | None, bool] = {}
    found = []
    for span in open_spans().select_related("resource", "trace").iterator(chunk_size=AT_ONCE):
        if span.resource_id not in dead:
            dead[span.resource_id] = _is_gone(span)
        if dead[span.resource_id] or _is_too_old(span):
            found.append(span)
        if len(found) == AT_ONCE:
            break
    ends = {trace: _last_sign(trace, trace_id) for trace, trace_id in {(s.trace_id, s.trace.trace_id) for s in found}}
    return [_ended(span, ends[span.trace_id]) for span in found]


def _instance(span: Span) -> str:
    attributes = span.resource.attributes if span.resource else {}
    return str(attributes.get(INSTANCE) or "") if attributes.get("service.name") == "stack-console" else ""


def _is_gone(span: Span) -> bool:
    return is_dead(_instance(span))


def _is_too_old(span: Span) -> bool:
    host = _instance(span).partition(":")[0]
    is_elsewhere = bool(host) and host != this_process().partition(":")[0]
    return is_elsewhere and span.start_ns < (time.time() - ELSEWHERE_S) * 1e9


def _last_sign(trace: int, trace_id: str) -> int:
    """Return when anything was last heard of a trace: of its spans, or of its turn, which tells that it lives."""
    last = Span.objects.filter(trace=trace).aggregate(last=Max(Coalesce("end_ns", F("start_ns"))))["last"]
    beat: datetime | None = Turn.objects.filter(trace_id=trace_id).values_list("heartbeat_at", flat=True).first()
    return max(int(last), int(beat.timestamp() * 1e9) if beat else 0)


def _ended(span: Span, end_ns: int) -> SpanRecord:
    record = store.record_of(span, span.trace.trace_id)
    record.end_ns = max(span.start_ns, end_ns)
    record.status, record.message = "error", REASON
    record.attributes = {**span.attributes, "error": REASON}
    ttl_s = span.attributes.get(TTL)
    record.ttl_s = ttl_s if isinstance(ttl_s, int) else None
    return record
