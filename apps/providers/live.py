"""The topic of the provider list: any signed-in person may watch it."""

from typing import Any

from apps.core.live import Event, Topic, register


async def _may_watch(user: Any, topic: str) -> bool:
    return bool(user.is_authenticated)


async def _frames(topic: str, number: int, event: Event) -> list[dict[str, Any]]:
    return [{"k": "state", "provider": event["provider_id"], "health": event["health"]}]


register("providers", Topic(_may_watch, _frames))
