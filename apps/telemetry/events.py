"""Events of Llama Stack clients, folded into the span they belong to, in whatever order they come.

A span of which only the end or a line of text is known has no name yet, and its parent is unknown.
"""

from django.db import connection

from apps.core import db
from apps.core.errors import BadRequest, TooLarge
from apps.telemetry import ingest, store
from apps.telemetry.event_schemas import (
    LogEventRequest,
    MetricEvent,
    SpanEndPayload,
    SpanStartPayload,
    StructuredLogEvent,
    UnstructuredLogEvent,
    nanoseconds,
)
from apps.telemetry.metrics import points
from apps.telemetry.metrics.points import Point
from apps.telemetry.models import NAME, Span, Trace
from apps.telemetry.otlp import translate as otlp
from apps.telemetry.otlp import values as otlp_values
from apps.telemetry.own import TTL
from apps.telemetry.records import Json, SpanRecord
from apps.telemetry.windows import SECOND_NS

UNKNOWN = "0" * 16  # a parent nobody has told of yet: such a span is not taken for the root


async def log(asked: LogEventRequest) -> None:
    """Store an event; raises TooLarge when its span holds too many, and ConsoleError while the store is behind."""
    with ingest.storing():
        await db.write(_keep, asked)


def _keep(asked: LogEventRequest) -> None:
    event = asked.event
    if isinstance(event, MetricEvent):
        points.save([_point(event)])
        return
    record = _record(event)
    record.ttl_s, record.replaces = asked.ttl_seconds, True
    if isinstance(event, UnstructuredLogEvent):
        _say(record, event)
    elif isinstance(event.payload, SpanStartPayload):
        _begin(record, event, event.payload)
    else:
        _end(record, event, event.payload)
    record.attributes[TTL] = asked.ttl_seconds
    ingest.keep_spans([record])


def _point(event: MetricEvent) -> Point:
    labels = {name[:NAME]: otlp_values.label(value)[:NAME] for name, value in _attributes(event).items()}
    return Point(event.metric, labels, event.unit, nanoseconds(event.timestamp) // SECOND_NS, float(event.value))


def _record(event: UnstructuredLogEvent | StructuredLogEvent) -> SpanRecord:
    """Return the span as it is stored, or one of which nothing is known but the event's time."""
    _lock(event.trace_id)
    row = Span.objects.select_related("resource").filter(trace__trace_id=event.trace_id, span_id=event.span_id).first()
    if row is None:
        return SpanRecord(event.trace_id, event.span_id, "", nanoseconds(event.timestamp), parent_span_id=UNKNOWN)
    return store.record_of(row, event.trace_id)


def _lock(trace_id: str) -> None:
    """Have events of one trace follow each other, whichever process takes them in, also while it has no row yet."""
    if connection.vendor == "postgresql":  # the other database has one writer at a time anyway
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [trace_id])
    list(Trace.objects.select_for_update().filter(trace_id=trace_id).values("pk"))


def _begin(record: SpanRecord, event: StructuredLogEvent, payload: SpanStartPayload) -> None:
    if payload.parent_span_id == record.span_id:
        raise BadRequest("event.payload.parent_span_id: a span cannot be its own parent")
    record.name = otlp_values.text(payload.name)[:NAME] or "unnamed"
    record.parent_span_id = payload.parent_span_id or ""
    record.start_ns = nanoseconds(event.timestamp)
    if record.end_ns is not None:
        record.end_ns = max(record.start_ns, record.end_ns)
    record.attributes = _attributes(event) | record.attributes  # what its end told is the later word


def _end(record: SpanRecord, event: StructuredLogEvent, payload: SpanEndPayload) -> None:
    told_ns = nanoseconds(event.timestamp)
    if not record.name:
        record.start_ns = min(record.start_ns, told_ns)
    record.end_ns = max(record.start_ns, told_ns)
    record.status = payload.status
    record.attributes |= _attributes(event)
    error = record.attributes.get("error")
    record.message = error if payload.status == "error" and isinstance(error, str) else ""


def _say(record: SpanRecord, event: UnstructuredLogEvent) -> None:
    told = {"message": otlp_values.text(event.message), "severity": event.severity, **_attributes(event)}
    line: Json = {"name": event.type, "time_ns": nanoseconds(event.timestamp), "attributes": told}
    if not record.name:
        record.start_ns = min(record.start_ns, line["time_ns"])
    if line in record.events:  # sent again because the answer was lost
        return
    if len(record.events) >= otlp.MAX_EVENTS:
        raise TooLarge(f"The span holds {otlp.MAX_EVENTS:,} events, the most it can have.")
    record.events = sorted([*record.events, line], key=lambda one: one["time_ns"])


def _attributes(event: UnstructuredLogEvent | StructuredLogEvent | MetricEvent) -> Json:
    return {
        otlp_values.text(name)[:NAME]: otlp_values.text(value) if isinstance(value, str) else value
        for name, value in (event.attributes or {}).items()
        if name and value is not None
    }
