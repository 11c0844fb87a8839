"""Run shields over messages. No kind of shield is built in yet, so none can be registered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from apps.core.errors import NotFound
from apps.safety.schemas import SafetyViolation


@dataclass(frozen=True)
class Shield:
    """A shield that is ready to run."""

    shield_id: str
    run: Callable[[list[dict[str, Any]]], Awaitable[SafetyViolation | None]]


async def find(shield_ids: list[str]) -> list[Shield]:
    """Return the shields of these ids in order; raises NotFound for the first unknown one."""
    for shield_id in shield_ids:
        raise NotFound(f"Shield '{shield_id}' not found. No shields are registered.")
    return []
