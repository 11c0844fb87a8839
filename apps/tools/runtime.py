"""Find the tools an agent may use, and run them. No kind of tool group is built in yet, so none can be registered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from apps.core.content import InterleavedContent
from apps.core.errors import NotFound
from apps.inference.schemas import ToolDef


@dataclass(frozen=True)
class ToolResult:
    """What a tool answered; ``metadata`` is kept and not shown to the model."""

    content: InterleavedContent
    metadata: dict[str, Any] = field(default_factory=dict)


Run = Callable[[dict[str, Any]], Awaitable[ToolResult]]


@dataclass(frozen=True)
class ServerTool:
    """A tool that runs on this server: how it is shown to the model and what runs it."""

    definition: ToolDef
    run: Run
    args: dict[str, Any] = field(default_factory=dict)  # from the tool group: merged over the model's, hidden from it


async def collect(groups: dict[str, dict[str, Any]]) -> list[ServerTool]:
    """Return the tools of these groups, given as group name → arguments; raises NotFound for an unknown group."""
    for name in groups:
        raise NotFound(f"Tool group '{name.partition('/')[0]}' not found. No tool groups are registered.")
    return []
