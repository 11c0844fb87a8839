"""Spans as OTLP's JSON: an ExportTraceServiceRequest that ``POST /v1/traces`` of any collector takes, ours too.

Ids are hex and 64-bit numbers are text, as OTLP asks; a span that still runs has no end time.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import QuerySet
from pydantic_core import to_json

from apps.telemetry.models import Span, Status
from apps.telemetry.records import MAX_INT

Json = dict[str, Any]
CODES = {Status.OK: 1, Status.ERROR: 2}
CHUNK = 500


def pieces(groups: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the text of one request that holds these ResourceSpans."""
    comma = b'{"resourceSpans":['
    for group in groups:
        yield comma + group
        comma = b","
    yield b"]}" if comma == b"," else comma + b"]}"


def groups(spans: QuerySet[Span]) -> Iterator[bytes]:
    """Yield the texts of these spans' ResourceSpans, reading some spans at a time, in order of arrival."""
    before, rows = 0, spans.select_related("trace", "resource").order_by("pk")
    while some := list(rows.filter(pk__gt=before)[:CHUNK]):
        before = some[-1].pk
        yield from map(_text, _by_resource(some))


def _text(value: Json) -> bytes:
    try:
        return to_json(value, inf_nan_mode="strings")
    except ValueError:  # half a character, which programs in JavaScript send
        return json.dumps(value).encode()


def _by_resource(spans: Iterable[Span]) -> list[Json]:
    """Return resources with their scopes with their spans, each in the order they are first met."""
    found: dict[int | None, dict[str, list[Span]]] = {}
    resources = {}
    for span in spans:
        resources[span.resource_id] = span.resource
        found.setdefault(span.resource_id, {}).setdefault(span.scope, []).append(span)
    return [
        {
            "resource": {"attributes": _attributes(resource.attributes if (resource := resources[key]) else {})},
            "scopeSpans": [
                {"scope": {"name": name} if name else {}, "spans": [_span(span) for span in some]}
                for name, some in scopes.items()
            ],
        }
        for key, scopes in found.items()
    ]


def _span(span: Span) -> Json:
    told: Json = {"traceId": span.trace.trace_id, "spanId": span.span_id}
    if span.parent_span_id:
        told["parentSpanId"] = span.parent_span_id
    told |= {"name": span.name, "kind": span.otel_kind, "startTimeUnixNano": str(span.start_ns)}
    if span.end_ns is not None:
        told["endTimeUnixNano"] = str(span.end_ns)
    told["attributes"] = _attributes(span.attributes)
    if span.events:
        told["events"] = [_event(event) for event in span.events]
    if span.links:
        told["links"] = [_link(link) for link in span.links]
    status: Json = {"code": CODES[Status(span.status)]} if span.status else {}
    return told | {"status": status | ({"message": span.message} if span.message else {})}


def _event(event: Json) -> Json:
    return {
        "timeUnixNano": str(event.get("time_ns") or 0),
        "name": str(event.get("name") or ""),
        "attributes": _attributes(event.get("attributes") or {}),
    }


def _link(link: Json) -> Json:
    attributes = _attributes(link.get("attributes") or {})
    return {"traceId": link.get("trace_id", ""), "spanId": link.get("span_id", ""), "attributes": attributes}


def _attributes(values: Json) -> list[Json]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Any) -> Json:
    """Return a value as OTLP's AnyValue; null is one without a value."""
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)} if -MAX_INT - 1 <= value <= MAX_INT else {"doubleValue": float(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _attributes(value)}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": str(value)}
