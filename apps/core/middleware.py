"""The boundary of a request: its id, its trace, and its failures in the shape the door promises."""

import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import BadRequest as DjangoBadRequest
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import Resolver404
from django.utils.decorators import sync_and_async_middleware
from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from pydantic_core import from_json

from apps.core.errors import INTERNAL, ConsoleError, error_response
from apps.core.ids import new_id

log = logging.getLogger("stack_console.request")
tracer = trace.get_tracer("stack_console")
Next = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
API_PATH = re.compile(r"/v1(alpha|beta)?(/|$)")
# Paths of the experimental API as older clients know them (SEMANTICS 10).
ALIAS_PATH = re.compile(
    r"/v1/(agents|datasets|datasetio|eval|post-training)(/|$)|/v1/telemetry/(traces|spans|metrics)(/|$)"
)
# Doors that are knocked at every few seconds, or that spans themselves come through: no span tells of them.
UNTRACED = {"/v1/health", "/v1/version", "/v1/traces", "/v1/metrics", "/v1/telemetry/events"}
STATUS_CODE = "http.response.status_code"
# What the reference calls these operations' root spans; every other root is named after its route.
NAMED_ROOTS = {"create_agent", "create_agent_session", "create_agent_turn", "resume_agent_turn"}


def is_api(path: str) -> bool:
    """Return whether a path belongs to the REST API."""
    return API_PATH.match(path) is not None


def api_boundary(get_response: Next) -> Next:
    """Return the handler that gives each API request an id and a trace, and answers every failure as an Error."""

    async def boundary(request: HttpRequest) -> HttpResponseBase:
        request.request_id = new_id()  # type: ignore[attr-defined]
        if request.path in UNTRACED:
            return _as_error(request, await _attempt(get_response, request))

        def owned() -> bool:
            # A turn goes on after its response has begun, or after its caller left, and ends the span itself.
            return getattr(request, "span_is_owned", False)

        caller = _caller(request)
        roots = {"__local_root_span__": True} | ({} if caller else {"__root__": True, "__root_span__": True})
        attributes: dict[str, Any] = {**roots, "__location__": "server", "raw_path": request.path}
        with tracer.start_as_current_span(
            request.path, context=caller, kind=SpanKind.SERVER, attributes=attributes, end_on_exit=False
        ) as span:
            began = time.perf_counter()
            try:
                response = _as_error(request, await _attempt(get_response, request))
            except BaseException as error:
                if not owned():
                    span.set_status(Status(StatusCode.ERROR, str(error)))
                    span.end()
                raise
            if not owned():
                _describe(span, request, response)
                span.end()
        response["x-trace-id"] = format(span.get_span_context().trace_id, "032x")
        if ALIAS_PATH.match(request.path):
            response["Deprecation"] = "true"
        log.debug(
            "%s %s %s %.1f ms", request.method, request.path, response.status_code, (time.perf_counter() - began) * 1e3
        )
        return response

    return boundary


async def _attempt(get_response: Next, request: HttpRequest) -> HttpResponseBase:
    try:
        refuse_nul(request)
        return await get_response(request)
    except Resolver404:
        return HttpResponse(status=404)
    except Exception as error:
        return answer_failure(request, error)


def refuse_nul(request: HttpRequest) -> None:
    """Raise Django's BadRequest for a NUL in the address: no database text holds one, and Postgres fails on asking."""
    if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
        raise DjangoBadRequest("The address holds a NUL character.")


def _caller(request: HttpRequest) -> Any:
    if "traceparent" not in request.headers:
        return None
    return extract({name.lower(): value for name, value in request.headers.items()})


def _describe(span: Span, request: HttpRequest, response: HttpResponseBase) -> None:
    """Name the span after its operation, or its route, and tell how it was answered."""
    match = request.resolver_match
    operation = match.url_name if match else None
    if match and operation in NAMED_ROOTS:
        span.update_name(operation)
        span.set_attributes(match.kwargs)  # of what was refused before its operation ran, too
    elif match:
        span.update_name("/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", match.route))
    span.set_attribute(STATUS_CODE, response.status_code)
    if response.status_code >= 400:
        span.set_status(Status(StatusCode.ERROR, _refusal(response)))


def _refusal(response: HttpResponseBase) -> str:
    """Return why a request was refused, in the words of its Error body."""
    if not isinstance(response, HttpResponse) or response.get("Content-Type", "").startswith("application/x-protobuf"):
        return response.reason_phrase
    try:
        detail = from_json(response.content).get("detail")
    except (ValueError, AttributeError):
        detail = None
    return str(detail or response.reason_phrase)


def _as_error(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Give Django's own refusals (404, 405, 400 …) the Error body; an Error body is left alone, in protobuf too."""
    status = response.status_code
    if status < 400 or response.get("Content-Type", "").startswith(("application/json", "application/x-protobuf")):
        return response
    detail = {
        404: f"No operation at {request.path}. The list of operations is at /v1/inspect/routes.",
        405: f"{request.method} is not possible at {request.path}. Possible: {response.get('Allow')}.",
        413: "The body is larger than this server takes.",
        500: INTERNAL,
    }.get(status, "The request could not be understood.")
    headers = {"Allow": response["Allow"]} if response.has_header("Allow") else None
    return error_response(status, detail, request.request_id, headers=headers)  # type: ignore[attr-defined]


@sync_and_async_middleware
def page_boundary(get_response: Any) -> Any:
    """Give each page request an id, shown on error pages and found in the log."""
    if iscoroutinefunction(get_response):

        async def boundary(request: HttpRequest) -> HttpResponseBase:
            request.request_id = new_id()  # type: ignore[attr-defined]
            refuse_nul(request)
            return _numbered(request, await get_response(request))

        return boundary

    def sync_boundary(request: HttpRequest) -> HttpResponseBase:
        request.request_id = new_id()  # type: ignore[attr-defined]
        refuse_nul(request)
        return _numbered(request, get_response(request))

    return sync_boundary


def _numbered(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    response["x-request-id"] = request.request_id  # type: ignore[attr-defined]
    return response


def answer_failure(request: HttpRequest, error: Exception) -> HttpResponse:
    """Return the Error body for an exception of an operation; bugs are logged and not told."""
    request_id = getattr(request, "request_id", None)
    if isinstance(error, ConsoleError):
        return error_response(error.status, error.detail, request_id, headers=error.headers)
    if isinstance(error, Http404):
        return error_response(404, str(error) or "Not found", request_id)
    if isinstance(error, RequestDataTooBig):
        return error_response(413, "The body is larger than this server takes.", request_id)
    if isinstance(error, DjangoBadRequest):
        return error_response(400, str(error), request_id)
    log.exception("request %s failed: %s %s", request_id, request.method, request.path, exc_info=error)
    return error_response(500, INTERNAL, request_id)
