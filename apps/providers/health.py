"""Whether backends are well: each is asked every few seconds, in the loop of the process that serves pages."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils.timezone import now

from apps.core import db, live
from apps.core.errors import ConsoleError
from apps.providers.instances import instance
from apps.providers.models import Health, Provider

log = logging.getLogger(__name__)
EVERY_S = 15.0
TIMEOUT_S = 5.0
TOPIC = "providers:all"

_after: dict[str, Callable[[Provider], Awaitable[None]]] = {}
_watchers: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}


def after_good_check(api: str, refresh: Callable[[Provider], Awaitable[None]]) -> None:
    """Call ``refresh`` with each provider of this API that was found well; a domain above registers itself so."""
    _after[api] = refresh


def watch() -> asyncio.Task[None]:
    """Start checking all providers in the running loop, unless it does so already; return the task."""
    loop = asyncio.get_running_loop()
    task = _watchers.get(loop)
    if task is None or task.done():
        task = _watchers[loop] = loop.create_task(_watch(), name="provider health")
    return task


async def check(provider: Provider) -> Provider:
    """Ask one provider now, store what it said and return its row; never raises for a provider that is not well."""
    error = await _ask(provider)
    state = {"health": Health.ERROR if error else Health.OK, "health_error": error, "checked_at": now()}
    changed = (provider.health, provider.health_error) != (state["health"], error)
    await db.write(_store, provider.pk, state)
    for name, value in state.items():
        setattr(provider, name, value)
    if changed:
        log.log(logging.WARNING if error else logging.INFO, "provider %s: %s", provider, error or "healthy")
        event = {"event_type": "provider_health", "provider_id": provider.provider_id, "health": provider.health}
        await live.publish(TOPIC, event)
    return provider


async def check_all() -> None:
    """Ask every enabled provider that nobody asked lately, all at once."""
    await asyncio.gather(*(check(provider) for provider in await db.write(_due)))


async def _watch() -> None:
    while True:
        try:
            await check_all()
        except Exception:  # the watch outlives a database that is away for a while
            log.exception("checking the health of providers failed; next try in %s s", EVERY_S)
        await asyncio.sleep(EVERY_S)


async def _ask(provider: Provider) -> str:
    """Return what is wrong, or nothing."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await instance(provider).health()
            if provider.api in _after:
                await _after[provider.api](provider)
    except TimeoutError:
        return f"No answer within {TIMEOUT_S:g} s."
    except ConsoleError as error:
        return error.detail
    except Exception as error:  # a backend may be anybody's code, and its failure is what we are asked for
        log.exception("the health check of provider %s failed in an unexpected way", provider)
        return f"{type(error).__name__}: see the log of the server."
    return ""


def _due() -> list[Provider]:
    """Claim the providers whose last check is old, so that several processes do not all ask."""
    old = now() - timedelta(seconds=EVERY_S * 0.9)
    rows = list(Provider.objects.filter(Q(checked_at=None) | Q(checked_at__lt=old), enabled=True))
    return [row for row in rows if _claim(row)]


def _claim(row: Provider) -> bool:
    seen: dict[str, Any] = {"checked_at": row.checked_at} if row.checked_at else {"checked_at__isnull": True}
    return Provider.objects.filter(pk=row.pk, **seen).update(checked_at=now()) == 1


def _store(pk: int, state: dict[str, Any]) -> None:
    Provider.objects.filter(pk=pk).update(**state)
