"""The doors: REST, pages, and the live socket."""

import os

from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stack_console.settings")
pages = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.handlers.exception import convert_exception_to_response  # noqa: E402
from django.urls import path  # noqa: E402

from apps.core.bodies import limited  # noqa: E402
from apps.core.consumers import LiveConsumer  # noqa: E402
from apps.core.middleware import api_boundary, is_api  # noqa: E402
from apps.core.origins import same_origin  # noqa: E402


class ApiHandler(ASGIHandler):
    """Django without the middleware of pages: programs bring a key, not cookies."""

    def load_middleware(self, is_async: bool = False) -> None:
        """Put the API's one boundary around the views."""
        self._view_middleware = []
        self._template_response_middleware = []
        self._exception_middleware = []
        view = convert_exception_to_response(self._get_response_async)
        self._middleware_chain = convert_exception_to_response(api_boundary(view))


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
