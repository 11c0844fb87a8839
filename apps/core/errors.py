"""Everything that can go wrong, and the one place that answers it in the spec's Error shape."""

from typing import Any

from django.http import HttpResponse
from ninja.errors import ValidationError
from pydantic import ValidationError as ModelError
from pydantic_core import ErrorDetails, to_json

from apps.core.spec import SpecModel

TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Payload Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
# Clients retry these by themselves; the header keeps them from repeating work that may have had an effect.
NO_RETRY = {409, 500, 501}
INTERNAL = "The server hit a bug and logged it. Nothing more is told here; look for the request id in the log."


class Error(SpecModel):
    """The body of every answer that is not a success."""

    status: int
    title: str
    detail: str
    instance: str | None = None


class ConsoleError(Exception):
    """A failure with a status and a sentence that tells the operator what to do."""

    status = 500

    def __init__(self, detail: str, *, status: int | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status or self.status
        self.headers = headers or {}

    @property
    def title(self) -> str:
        """The standard words of the status."""
        return TITLES.get(self.status, "Error")


class BadRequest(ConsoleError):
    """The request cannot be understood or its values do not fit."""

    status = 400


class Unauthorized(ConsoleError):
    """Nobody known is asking."""

    status = 401


class Forbidden(ConsoleError):
    """Whoever asks may not do this."""

    status = 403


class NotFound(ConsoleError):
    """What was named does not exist."""

    status = 404


class Conflict(ConsoleError):
    """The thing named is in a state that does not allow this."""

    status = 409


class TooLarge(ConsoleError):
    """More was sent than the server takes."""

    status = 413


class NotBuiltIn(ConsoleError):
    """This server lacks the capability asked for."""

    status = 501


class ProviderError(ConsoleError):
    """A model, tool or shield behind this server failed; 504 when it was too slow, 400 when it refused the input."""

    status = 502


class ProviderFailed(ProviderError):
    """A backend that was reached and says that it failed itself; asked something else it may do better."""


def error_response(
    status: int, detail: str, request_id: str | None = None, *, headers: dict[str, str] | None = None
) -> HttpResponse:
    """Return the spec's Error body; ``instance`` carries the request id so that a log line can be found."""
    error = Error(
        status=status,
        title=TITLES.get(status, "Error"),
        detail=detail,
        instance=f"/errors/{request_id}" if request_id else None,
    )
    response = HttpResponse(to_json(error, exclude_none=True), status=status, content_type="application/json")
    if status in NO_RETRY:
        response["x-should-retry"] = "false"
    for name, value in (headers or {}).items():
        response[name] = value
    return response


def explain(errors: list[ErrorDetails] | list[dict[str, Any]]) -> str:
    """Return validation errors as ``where: what`` pairs in one line."""
    return "; ".join(dict.fromkeys(_pair(error) for error in errors))


def explain_model(error: ModelError) -> str:
    """Return a pydantic failure as ``where: what`` pairs, without the values that were sent."""
    return explain(error.errors(include_url=False, include_input=False, include_context=False))


def _pair(error: Any) -> str:
    # ninja puts the place ("body", "query") and the parameter's name before the path inside the value.
    place = [str(part) for part in error["loc"]]
    if place[:1] == ["body"]:
        place = place[2:] or ["body"]
    elif place[:1] in (["query"], ["path"], ["header"]):
        place = place[1:]
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(place)}: {message}" if place else message


def explain_request(error: ValidationError) -> str:
    """Return why a request was refused before its operation ran."""
    return explain(error.errors)
