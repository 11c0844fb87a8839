"""For whatever watches the process: is it up, and can it work. Answered before anything else looks at the request."""

import logging
from collections.abc import Callable
from functools import cache as once
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils.decorators import sync_and_async_middleware

from apps.core import db

log = logging.getLogger(__name__)
UP, READY = "/healthz", "/readyz"


@sync_and_async_middleware
def probes(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Return the handler that answers probes, whatever ``Host`` they name: they come by an address more often."""
    if iscoroutinefunction(get_response):

        async def async_probes(request: HttpRequest) -> HttpResponseBase:
            if request.path == UP:
                return up()
            return await db.read(ready) if request.path == READY else await get_response(request)

        return async_probes

    def sync_probes(request: HttpRequest) -> HttpResponseBase:
        if request.path == UP:
            return up()
        return ready() if request.path == READY else get_response(request)

    return sync_probes


def up() -> JsonResponse:
    """Answer 200 as long as the process answers at all."""
    return JsonResponse({"status": "ok"})


def ready() -> JsonResponse:
    """Answer 200 when database, migrations and cache are usable, else 503 naming the part that is not.

    Strangers may ask, so why it is not stands in the log alone.
    """
    checks: dict[str, Callable[[], None]] = {"database": _database, "migrations": _migrations, "cache": _cache}
    found = {name: _state(name, check) for name, check in checks.items()}
    is_ready = set(found.values()) == {"ok"}
    return JsonResponse({"status": "ok" if is_ready else "not ready", **found}, status=200 if is_ready else 503)


def _state(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except Exception as error:
        log.warning("not ready: %s: %s: %s", name, type(error).__name__, error)
        return "failed"
    return "ok"


def _database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception:
        connection.close()  # kept by this thread: the next probe tries a new one
        raise


@once  # an exception is not kept: asked again until all are applied, and then never
def _migrations() -> None:
    executor = MigrationExecutor(connection)
    if plan := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise RuntimeError(f"{len(plan)} not applied: run manage.py migrate")


def _cache() -> None:
    cache.set("readyz", "ok", 5)
    if cache.get("readyz") != "ok":
        raise RuntimeError("what was stored did not come back")
