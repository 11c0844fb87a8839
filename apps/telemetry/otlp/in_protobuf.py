"""OTLP in protobuf: requests as spans and data points, one at a time, as they came. Checks nothing but the encoding."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from apps.core.errors import BadRequest
from apps.telemetry.otlp import values as otlp_values
from apps.telemetry.otlp.values import DataPoint, Style
from apps.telemetry.records import Json, SpanRecord

STATUS = {0: "ok", 1: "ok", 2: "error"}
STYLES = {1: Style.DELTA, 2: Style.TOTAL}  # AggregationTemporality


def spans(body: bytes) -> Iterator[SpanRecord]:
    """Yield the spans of an ExportTraceServiceRequest; raises BadRequest when the body is none."""
    for told in _parsed(ExportTraceServiceRequest, body).resource_spans:
        resource = _attributes(told.resource.attributes)
        for scoped in told.scope_spans:
            scope = otlp_values.text(scoped.scope.name)
            for span in scoped.spans:
                yield _span(span, scope, resource)


def data_points(body: bytes) -> Iterator[DataPoint]:
    """Yield the data points of an ExportMetricsServiceRequest; raises BadRequest when the body is none."""
    for told in _parsed(ExportMetricsServiceRequest, body).resource_metrics:
        resource = _attributes(told.resource.attributes)
        for scoped in told.scope_metrics:
            for metric in scoped.metrics:
                yield from _points(metric, resource)


def _parsed(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        name = kind.DESCRIPTOR.name
        raise BadRequest(f"The body is not an {name} in protobuf. Is the Content-Type right?") from error


def _span(span: Any, scope: str, resource: Json) -> SpanRecord:
    return SpanRecord(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        name=span.name,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        status=STATUS.get(span.status.code, "ok"),
        message=otlp_values.text(span.status.message),
        attributes=_attributes(span.attributes),
        events=[
            {
                "name": otlp_values.text(event.name),
                "time_ns": event.time_unix_nano,
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ],
        links=[
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": _attributes(link.attributes),
            }
            for link in span.links
        ],
        otel_kind=span.kind,
        scope=scope,
        resource=resource,
    )


def _attributes(pairs: Iterable[Any], depth: int = 0) -> Json:
    return {otlp_values.text(pair.key): _value(pair.value, depth) for pair in pairs}


def _value(value: Any, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return otlp_values.text(value.string_value)
    if kind is None or depth >= otlp_values.MAX_DEPTH:
        return None
    if kind == "double_value":
        return otlp_values.double(value.double_value)
    if kind == "bytes_value":
        return otlp_values.text(b64encode(value.bytes_value).decode())
    if kind == "array_value":
        return [_value(one, depth + 1) for one in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values, depth + 1)
    return getattr(value, kind) if kind in ("bool_value", "int_value") else None


def _points(metric: Any, resource: Json) -> Iterator[DataPoint]:
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    data = getattr(metric, kind)
    style = Style.TOTAL if kind == "summary" else Style.GAUGE
    if kind in ("sum", "histogram", "exponential_histogram"):
        style = STYLES.get(data.aggregation_temporality, Style.UNKNOWN)
    if kind == "sum" and not data.is_monotonic and style is Style.TOTAL:
        style = Style.GAUGE  # a count that goes up and down tells what is now
    for point in data.data_points:
        yield DataPoint(
            metric=metric.name,
            unit=metric.unit,
            attributes=_attributes(point.attributes),
            resource=resource,
            time_ns=point.time_unix_nano,
            since_ns=point.start_time_unix_nano,
            style=style,
            values=_values(kind, point),
            is_missing=bool(point.flags & 1),
        )


def _values(kind: str, point: Any) -> dict[str, float]:
    if kind in ("gauge", "sum"):
        told = point.WhichOneof("value")
        return {"": float(getattr(point, told))} if told else {}
    values = {"_count": float(point.count)}
    if kind == "summary" or point.HasField("sum"):
        values["_sum"] = point.sum
    return values
