"""A limit on request bodies that holds before anything is read into memory."""

from collections.abc import Awaitable, Callable
from typing import Any

from django.utils.datastructures import CaseInsensitiveMapping
from pydantic_core import to_json

from apps.core.errors import TITLES, Error
from apps.core.numbers import MOST_DIGITS

App = Callable[[Any, Any, Any], Awaitable[None]]


def limited(app: App, max_bytes: int) -> App:
    """Return the ASGI app behind a door that answers 413 to bodies over ``max_bytes``, announced or not."""

    async def door(scope: Any, receive: Any, send: Any) -> None:
        headers = CaseInsensitiveMapping({key.decode("latin1"): value for key, value in scope["headers"]})
        announced = headers.get("content-length", b"0")
        if announced.isdigit() and (len(announced) > MOST_DIGITS or int(announced) > max_bytes):
            await _refuse(send, max_bytes)
            return
        taken = 0

        async def counted() -> Any:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > max_bytes:
                    raise _Overflow
            return message

        try:
            await app(scope, counted, send)
        except _Overflow:
            await _refuse(send, max_bytes)

    return door


class _Overflow(Exception):
    pass


async def _refuse(send: Any, max_bytes: int) -> None:
    detail = f"The body is larger than {max_bytes:,} bytes, the most this server takes (setting MAX_BODY_BYTES)."
    body = to_json(Error(status=413, title=TITLES[413], detail=detail), exclude_none=True)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
