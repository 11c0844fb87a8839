"""The SDK's span of this process as a record."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from apps.telemetry.records import Json, SpanRecord

TTL = "__ttl__"
_last: tuple[Resource, Json] | None = None  # the resource that was read last


def record_of(span: ReadableSpan) -> SpanRecord:
    """Return a span of this process, ended or open, as it is stored."""
    context, status = span.context, span.status
    assert context is not None and span.start_time is not None
    end_ns = span.end_time  # read once: an open span may end meanwhile
    has_failed = status.status_code is StatusCode.ERROR
    ttl_s = int(settings.TELEMETRY_DAYS * 86_400)
    attributes = _plain(span.attributes) | {TTL: ttl_s}
    if has_failed and status.description:
        attributes.setdefault("error", cut(status.description))
    return SpanRecord(
        trace_id=format(context.trace_id, "032x"),
        span_id=format(context.span_id, "016x"),
        parent_span_id=format(span.parent.span_id, "016x") if span.parent else "",
        name=span.name,
        start_ns=span.start_time,
        end_ns=end_ns,
        status="" if end_ns is None else "error" if has_failed else "ok",
        message=cut(status.description or "") if has_failed else "",
        attributes=attributes,
        events=[
            {"name": event.name, "time_ns": event.timestamp, "attributes": _plain(event.attributes)}
            for event in span.events
        ],
        links=[
            {
                "trace_id": format(link.context.trace_id, "032x"),
                "span_id": format(link.context.span_id, "016x"),
                "attributes": _plain(link.attributes),
            }
            for link in span.links
        ],
        otel_kind=span.kind.value + 1,  # OTLP counts from 1, the SDK from 0
        scope=span.instrumentation_scope.name if span.instrumentation_scope else "",
        resource=_resource(span.resource),
        ttl_s=ttl_s,
        is_own=True,
    )


def _resource(resource: Resource) -> Json:
    """Return what a resource tells: the same dict for all spans of a process, which is read once."""
    global _last
    if _last is None or _last[0] is not resource:
        _last = (resource, _plain(resource.attributes))
    return _last[1]


def cut(text: str) -> str:
    """Return a text as long as a span may hold; what is left out is told."""
    limit = settings.TELEMETRY_MAX_TEXT
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} characters cut)"


def _plain(attributes: Mapping[str, Any] | None) -> Json:
    # An open span may get attributes while it is read: its keys are taken first.
    told = {name: (attributes or {}).get(name) for name in list(attributes or ())}
    return {name: _value(value) for name, value in told.items()}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return cut(value)
    return list(value) if isinstance(value, tuple) else value
