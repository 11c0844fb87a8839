"""How an operation answers: a value as JSON, nothing as ``null``, a stream as server-sent events."""

from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from pydantic_core import to_json


def answer(value: Any) -> HttpResponse:
    """Return a schema, or plain data already in its shape, as the JSON body; unset optional fields are left out."""
    return HttpResponse(to_json(value, exclude_none=True), content_type="application/json")


def nothing() -> HttpResponse:
    """Return the body ``null``: the operation has no other answer."""
    return HttpResponse(b"null", content_type="application/json")


def sse(frames: AsyncIterator[bytes]) -> StreamingHttpResponse:
    """Return frames as a ``text/event-stream`` that no proxy buffers."""
    return StreamingHttpResponse(
        frames,
        content_type="text/event-stream; charset=utf-8",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )
