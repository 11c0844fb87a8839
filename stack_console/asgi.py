"""The doors: REST, pages, and the live socket."""

import asyncio
import os
from contextlib import closing, suppress
from typing import Any, cast

from django.core.asgi import get_asgi_application
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stack_console.settings")
pages = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.http import HttpResponseBase  # noqa: E402
from django.urls import path, set_script_prefix  # noqa: E402

from apps.core.bodies import limited  # noqa: E402
from apps.core.consumers import LiveConsumer  # noqa: E402
from apps.core.middleware import api_boundary, is_api  # noqa: E402
from apps.core.origins import same_origin  # noqa: E402
from stack_console import tracing  # noqa: E402

tracing.start()


class ApiHandler(ASGIHandler):
    """Django without the middleware of pages: programs bring a key, not cookies."""

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request on the event loop alone, without signals or threads; cancelled when the caller leaves."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        with closing(body):
            set_script_prefix(get_script_prefix(scope))
            request, refusal = self.create_request(scope, body)
            if request is None:
                await self.send_response(cast(HttpResponseBase, refusal), send)
                return
            answering = asyncio.create_task(self._answer(request, send))
            leaving = asyncio.create_task(receive())
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            for task in (leaving, answering):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await answering

    async def _answer(self, request: Any, send: Any) -> None:
        response = await self.run_get_response(request)
        try:
            await self.send_response(response, send)
        finally:
            response.close()

    def load_middleware(self, is_async: bool = False) -> None:
        """Put the API's one boundary around the views."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        self._middleware_chain = api_boundary(self._get_response_async)  # type: ignore[attr-defined]


api = ApiHandler()
api.load_middleware(is_async=True)


async def http(scope, receive, send):  # type: ignore[no-untyped-def]
    """Hand a request to the API or to the pages."""
    await (api if is_api(scope["path"]) else pages)(scope, receive, send)


application = ProtocolTypeRouter(
    {
        "http": limited(http, settings.MAX_BODY_BYTES),
        "websocket": same_origin(AuthMiddlewareStack(URLRouter([path("ws/live/", LiveConsumer.as_asgi())]))),
    }
)
