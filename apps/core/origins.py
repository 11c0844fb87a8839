"""Who may open the live socket: only pages of this console."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host

App = Callable[[Any, Any, Any], Awaitable[None]]


def same_origin(app: App) -> App:
    """Return the ASGI app for sockets whose ``Origin`` is the host they call, or a trusted origin by settings."""

    async def door(scope: Any, receive: Any, send: Any) -> None:
        headers = {key.decode("latin1").lower(): value.decode("latin1") for key, value in scope["headers"]}
        if _trusted(headers.get("origin", ""), headers.get("host", "")):
            await app(scope, receive, send)
            return
        denier: Any = WebsocketDenier()
        await denier(scope, receive, send)

    return door


def _trusted(origin: str, host: str) -> bool:
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    domain, _ = split_domain_port(host)
    allowed = settings.ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
    return bool(origin) and urlsplit(origin).netloc == host and validate_host(domain, allowed)
