"""Requests as OpenTelemetry exporters send them, made by hand: in protobuf, and in JSON of the same content."""

import gzip
import json
import secrets
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

START_NS = 1_790_000_000_000_000_000
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
GZIP = {"Content-Encoding": "gzip"}
Json = dict[str, Any]


def span(**fields: Any) -> Json:
    """Return a span in OTLP's JSON, fit to be stored, with these fields; a None takes one away."""
    known = {
        "traceId": secrets.token_hex(16),
        "spanId": secrets.token_hex(8),
        "name": "work",
        "startTimeUnixNano": str(START_NS),
        "endTimeUnixNano": str(START_NS + 1_000_000),
    }
    return {name: value for name, value in (known | fields).items() if value is not None}


def attributes(**values: Any) -> list[Json]:
    """Return attributes in OTLP's JSON; names may hold dots by ``**{}``."""
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Any) -> Json:
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return {kinds[type(value)]: str(value) if type(value) is int else value}


def traces(*spans: Json, service: str = "shop", scope: str = "shop.checkout") -> Json:
    """Return an ExportTraceServiceRequest in JSON."""
    resource = {"attributes": attributes(**{"service.name": service})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": scope}, "spans": list(spans)}]}]}


def metrics(*told: Json, service: str = "shop", instance: str = "one") -> Json:
    """Return an ExportMetricsServiceRequest in JSON."""
    resource = {"attributes": attributes(**{"service.name": service, "service.instance.id": instance})}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": list(told)}]}]}


def total(value: int | float, *, at_s: int, since_s: int = 0, name: str = "orders", **labels: str) -> Json:
    """Return a running total of a counter, told ``at_s`` seconds after the start of time in these tests."""
    point = {
        "asInt" if isinstance(value, int) else "asDouble": str(value) if isinstance(value, int) else value,
        "startTimeUnixNano": str(START_NS + since_s * 10**9),
        "timeUnixNano": str(START_NS + at_s * 10**9),
        "attributes": attributes(**labels),
    }
    return {"name": name, "unit": "1", "sum": {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True}}


def protobuf(request: Json) -> bytes:
    """Return the request in protobuf: Google's own reader wants ids as base64, which is told here by hand."""
    from google.protobuf.json_format import ParseDict

    kind = ExportTraceServiceRequest if "resourceSpans" in request else ExportMetricsServiceRequest
    return bytes(ParseDict(_with_base64(request), kind()).SerializeToString())


def _with_base64(value: Any) -> Any:
    from base64 import b64encode

    if isinstance(value, list):
        return [_with_base64(one) for one in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        name: b64encode(bytes.fromhex(one)).decode() if name in ids else _with_base64(one)
        for name, one in value.items()
    }


def packed(request: Json) -> bytes:
    """Return the request in JSON, packed by gzip."""
    return gzip.compress(json.dumps(request).encode())


def answer(body: bytes) -> ExportTraceServiceResponse:
    """Read the answer to a protobuf request."""
    return ExportTraceServiceResponse.FromString(body)
