"""OTLP over HTTP: how a request's body is packed, and how it is answered: in the encoding it came in."""

import zlib
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from apps.core.answers import answer
from apps.core.errors import BadRequest, ConsoleError, TooLarge
from apps.telemetry.otlp.translate import Refused

PROTOBUF, JSON = "application/x-protobuf", "application/json"
PACKED = {"gzip": 31, "deflate": 15}  # what zlib calls them
RATIO = 12  # how much larger than its packed body a request is taken to be, before anybody looks
CODES = {400: 3, 413: 8, 429: 8, 503: 14}  # gRPC's numbers: INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE
INTERNAL = 13


def is_json(request: HttpRequest) -> bool:
    """Return whether the body is JSON rather than protobuf; raises ConsoleError with 415 when it is neither."""
    if request.content_type in (PROTOBUF, JSON):
        return request.content_type == JSON
    told = request.content_type or "nothing"
    raise ConsoleError(f"The Content-Type must be {PROTOBUF} or {JSON}, not {told[:80]}.", status=415)


def packing(request: HttpRequest) -> str:
    """Return how the body is packed, empty when it is not; raises ConsoleError with 415 when nobody can unpack it."""
    told = request.headers.get("Content-Encoding", "").strip().lower()
    if told in ("", "identity"):
        return ""
    if told not in PACKED:
        raise ConsoleError(f"The Content-Encoding must be gzip, deflate or none, not {told[:80]}.", status=415)
    return told


def weight(body: bytes, packed: str) -> int:
    """Return how many bytes a request may hold in memory while it is read."""
    return min(len(body) * RATIO, settings.MAX_BODY_BYTES) if packed else len(body)


def unpacked(body: bytes, packed: str) -> bytes:
    """Return the body as it was before it was packed; raises BadRequest, or TooLarge before it fills the memory."""
    if not packed:
        return body
    limit = settings.MAX_BODY_BYTES
    reader = zlib.decompressobj(PACKED[packed])
    try:
        found = reader.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadRequest(f"The body is not {packed}: {error}") from error
    if len(found) > limit:
        raise TooLarge(f"Unpacked, the body is larger than {limit:,} bytes (setting MAX_BODY_BYTES).")
    if not reader.eof or reader.unused_data:
        raise BadRequest(f"The {packed} body {'breaks off' if not reader.eof else 'goes on behind its end'}.")
    return found


def accepted(refused: Refused, response: Any, *, is_json: bool) -> HttpResponse:
    """Return the success, telling what was not kept; ``response`` is the answer's protobuf message, empty."""
    field = "rejected_spans" if isinstance(response, ExportTraceServiceResponse) else "rejected_data_points"
    if not is_json:
        if refused.message:
            setattr(response.partial_success, field, refused.count)
            response.partial_success.error_message = refused.message
        return HttpResponse(response.SerializeToString(), content_type=PROTOBUF)
    if not refused.message:
        return answer({})
    name = "rejectedSpans" if field == "rejected_spans" else "rejectedDataPoints"
    count = {name: str(refused.count)} if refused.count else {}  # 64-bit numbers are text in OTLP's JSON
    return answer({"partialSuccess": {**count, "errorMessage": refused.message}})


def failure(error: ConsoleError) -> HttpResponse:
    """Return what OTLP answers to a protobuf request that failed: a google.rpc.Status."""
    body = Status(code=CODES.get(error.status, INTERNAL), message=error.detail).SerializeToString()
    return HttpResponse(body, status=error.status, content_type=PROTOBUF, headers=error.headers)


def empty(signal: str) -> Any:
    """Return the answer to a request of ``traces`` or ``metrics``, with nothing in it."""
    return ExportTraceServiceResponse() if signal == "traces" else ExportMetricsServiceResponse()
