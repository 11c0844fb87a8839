"""OTLP in JSON: requests as spans and data points, one at a time, as they came. Checks nothing but the encoding.

Not protobuf's own mapping: ids are hex, and names come in camelCase, which is how OTLP says it; snake_case is
understood too. Google's reader takes fifteen times as long.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from pydantic_core import from_json

from apps.core.errors import BadRequest
from apps.telemetry.otlp import values as otlp_values
from apps.telemetry.otlp.values import DataPoint, Style
from apps.telemetry.records import Json, SpanRecord

HUMP = re.compile(r"([A-Z])")
DIGITS = re.compile(r"-?[0-9]{1,20}")
ERROR = (2, "STATUS_CODE_ERROR")
KINDS = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
STYLES = {
    1: Style.DELTA,
    2: Style.TOTAL,
    "AGGREGATION_TEMPORALITY_DELTA": Style.DELTA,
    "AGGREGATION_TEMPORALITY_CUMULATIVE": Style.TOTAL,
}
DATA = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")
VALUES = {
    "string_value": "stringValue",
    "int_value": "intValue",
    "double_value": "doubleValue",
    "bool_value": "boolValue",
    "bytes_value": "bytesValue",
    "array_value": "arrayValue",
    "kvlist_value": "kvlistValue",
}


def spans(body: bytes) -> Iterator[SpanRecord]:
    """Yield the spans of an ExportTraceServiceRequest; raises BadRequest where the body is none."""
    for told in _items(_parsed(body), "resourceSpans"):
        resource = _attributes(_item(told, "resource"))
        for scoped in _items(told, "scopeSpans"):
            scope = otlp_values.text(_text(_item(scoped, "scope"), "name"))
            for span in _items(scoped, "spans"):
                yield _span(span, scope, resource)


def data_points(body: bytes) -> Iterator[DataPoint]:
    """Yield the data points of an ExportMetricsServiceRequest; raises BadRequest where the body is none."""
    for told in _items(_parsed(body), "resourceMetrics"):
        resource = _attributes(_item(told, "resource"))
        for scoped in _items(told, "scopeMetrics"):
            for metric in _items(scoped, "metrics"):
                yield from _points(metric, resource)


def _parsed(body: bytes) -> Json:
    try:
        value = _read(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.")
    return value


def _read(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:
        if b"\\ud" not in body and b"\\uD" not in body:
            raise
        return json.loads(body)  # understands half a character, which programs in JavaScript send


def _span(span: Json, scope: str, resource: Json) -> SpanRecord:
    status = _item(span, "status")
    return SpanRecord(
        trace_id=_text(span, "traceId").lower(),
        span_id=_text(span, "spanId").lower(),
        parent_span_id=_text(span, "parentSpanId").lower(),
        name=_text(span, "name"),
        start_ns=_whole(span, "startTimeUnixNano"),
        end_ns=_whole(span, "endTimeUnixNano"),
        status="error" if status.get("code") in ERROR else "ok",
        message=otlp_values.text(_text(status, "message")),
        attributes=_attributes(span),
        events=[
            {
                "name": otlp_values.text(_text(event, "name")),
                "time_ns": _whole(event, "timeUnixNano"),
                "attributes": _attributes(event),
            }
            for event in _items(span, "events")
        ],
        links=[
            {
                "trace_id": _text(link, "traceId").lower(),
                "span_id": _text(link, "spanId").lower(),
                "attributes": _attributes(link),
            }
            for link in _items(span, "links")
        ],
        otel_kind=_kind(_field(span, "kind")),
        scope=scope,
        resource=resource,
    )


def _kind(told: Any) -> int:
    if isinstance(told, str):
        return KINDS.get(told, 0)
    return told if isinstance(told, int) else 0


def _attributes(owner: Json, name: str = "attributes", depth: int = 0) -> Json:
    return {otlp_values.text(_text(pair, "key")): _value(_item(pair, "value"), depth) for pair in _items(owner, name)}


def _value(value: Json, depth: int) -> Any:
    if type(value.get("stringValue")) is str:  # most are
        return otlp_values.text(value["stringValue"])
    told = next((name for name in value if value[name] is not None), None)
    if told is None:
        return None
    kind = VALUES.get(told, told)
    if kind in ("stringValue", "bytesValue"):  # bytes come as base64
        return otlp_values.text(_text(value, kind))
    if depth >= otlp_values.MAX_DEPTH:
        return None
    if kind == "intValue":
        return _whole(value, kind)
    if kind == "doubleValue":
        return otlp_values.double(_number(value, kind))
    if kind == "boolValue" and isinstance(value[told], bool):
        return value[told]
    if kind == "arrayValue":
        return [_value(one, depth + 1) for one in _items(_item(value, kind), "values")]
    if kind == "kvlistValue":
        return _attributes(_item(value, kind), "values", depth + 1)
    raise BadRequest(f"{told[:40]}: not a value an attribute can have")


def _points(metric: Json, resource: Json) -> Iterator[DataPoint]:
    kind = next((name for name in DATA if _field(metric, name) is not None), None)
    if kind is None:
        return
    data = _item(metric, kind)
    style = Style.TOTAL if kind == "summary" else Style.GAUGE
    if kind in ("sum", "histogram", "exponentialHistogram"):
        told = _field(data, "aggregationTemporality")
        style = STYLES.get(told, Style.UNKNOWN) if isinstance(told, int | str) else Style.UNKNOWN
    if kind == "sum" and _field(data, "isMonotonic") is not True and style is Style.TOTAL:
        style = Style.GAUGE  # a count that goes up and down tells what is now
    for point in _items(data, "dataPoints"):
        yield DataPoint(
            metric=_text(metric, "name"),
            unit=_text(metric, "unit"),
            attributes=_attributes(point),
            resource=resource,
            time_ns=_whole(point, "timeUnixNano"),
            since_ns=_whole(point, "startTimeUnixNano"),
            style=style,
            values=_values(kind, point),
            is_missing=bool(_whole(point, "flags") & 1),
        )


def _values(kind: str, point: Json) -> dict[str, float]:
    if kind in ("gauge", "sum"):
        told = [name for name in ("asDouble", "asInt") if _field(point, name) is not None]
        return {"": _number(point, told[0])} if told else {}
    values = {"_count": _number(point, "count")}
    if kind == "summary" or _field(point, "sum") is not None:
        values["_sum"] = _number(point, "sum")
    return values


@cache
def _snake(camel: str) -> str:
    return HUMP.sub(lambda hump: "_" + hump[1].lower(), camel)


def _field(owner: Json, camel: str) -> Any:
    value = owner.get(camel)
    return owner.get(_snake(camel)) if value is None else value


def _item(owner: Json, camel: str) -> Json:
    value = owner.get(camel)
    if type(value) is dict:
        return value
    value = _field(owner, camel)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{camel}: must be an object, not {_short(value)}")
    return value


def _items(owner: Json, camel: str) -> list[Json]:
    value = _field(owner, camel)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise BadRequest(f"{camel}: must be a list of objects, not {_short(value)}")
    return value


def _text(owner: Json, camel: str) -> str:
    value = owner.get(camel)
    if type(value) is str:
        return value
    value = _field(owner, camel)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRequest(f"{camel}: must be text, not {_short(value)}")
    return value


def _whole(owner: Json, camel: str) -> int:
    """Return a 64-bit number, which JSON writes in digits as text; programs also send plain numbers."""
    value = _field(owner, camel)
    if value is None:
        return 0
    if isinstance(value, str) and DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**64:
        raise BadRequest(f"{camel}: must be a whole number of 64 bits, not {_short(value)}")
    return value


def _number(owner: Json, camel: str) -> float:
    value = _field(owner, camel)
    is_told = isinstance(value, str | int | float) and not isinstance(value, bool)
    with suppress(ValueError, OverflowError):
        if is_told:
            return float(value)  # NaN and Infinity come as text
    raise BadRequest(f"{camel}: must be a number, not {_short(value)}")


def _short(value: Any) -> str:
    return repr(value)[:40]
