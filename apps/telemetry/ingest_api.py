"""The doors for telemetry of other programs: OTLP over HTTP, and the events of Llama Stack clients."""

from collections.abc import Awaitable, Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router

from apps.core.answers import nothing
from apps.core.errors import ConsoleError
from apps.telemetry import events, ingest
from apps.telemetry.event_schemas import LogEventRequest
from apps.telemetry.otlp import http as otlp_http
from apps.telemetry.otlp.translate import Refused

router = Router(tags=["Telemetry"])
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            otlp_http.PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
            otlp_http.JSON: {"schema": {"type": "object"}},
        },
    }
}


@router.post("/traces", openapi_extra=BODY)
async def export_traces(request: HttpRequest) -> HttpResponse:
    """Take the spans of any OpenTelemetry exporter: OTLP over HTTP, in protobuf or JSON, packed by gzip or not.

    A span that came before counts once. What cannot be used is told in ``partial_success``; the rest is stored when
    the answer comes.
    """
    return await _taken(request, "traces", ingest.take_spans)


@router.post("/metrics", openapi_extra=BODY)
async def export_metrics(request: HttpRequest) -> HttpResponse:
    """Take the data points of any OpenTelemetry exporter: OTLP over HTTP, in protobuf or JSON, packed by gzip or not.

    Gauges and sums become points of their metric; running totals become what was added since the last one. Histograms
    and summaries become ``<name>_count`` and ``<name>_sum``.
    """
    return await _taken(request, "metrics", ingest.take_samples)


@router.post("/telemetry/events")
async def log_event(request: HttpRequest, body: LogEventRequest) -> HttpResponse:
    """Log an event: the begin or end of a span, a line of text within one, or a value of a metric, in any order."""
    await events.log(body)
    return nothing()


async def _taken(request: HttpRequest, signal: str, take: Callable[..., Awaitable[Refused]]) -> HttpResponse:
    is_json = otlp_http.is_json(request)
    try:
        refused = await take(request.body, otlp_http.packing(request), is_json=is_json)
    except ConsoleError as error:
        if is_json:
            raise
        return otlp_http.failure(error)
    return otlp_http.accepted(refused, otlp_http.empty(signal), is_json=is_json)
