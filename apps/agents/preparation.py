"""What a turn may call: its model, tools and shields, found before anything is stored."""

import asyncio
from collections import Counter
from typing import Any

from django.conf import settings
from django.utils.timezone import now
from opentelemetry import trace

from apps.agents import schemas
from apps.agents.models import Session
from apps.agents.turn_state import RunShields, TurnState, as_json
from apps.core.errors import BadRequest
from apps.core.ids import new_id
from apps.core.redaction import hide
from apps.inference import chat
from apps.inference.schemas import ToolConfig
from apps.safety import shields
from apps.tools import runtime as tools

tracer = trace.get_tracer("apps.agents")


async def prepared(
    session: Session,
    messages: list[schemas.InputMessage],
    toolgroups: list[schemas.AgentTool] | None,
    tool_config: ToolConfig | None,
    **known: Any,
) -> TurnState:
    """Return a turn with everything it may call; raises NotFound or BadRequest before anything is stored."""
    config = session.agent.agent_config
    target = await chat.find(config.model)
    found = await tools.collect(_groups([*(config.toolgroups or []), *(toolgroups or [])]))
    looking = await shields.find([*(config.input_shields or []), *(config.output_shields or [])])
    by_name = {tool.definition.name: tool for tool in found}
    own = tool_config or config.tool_config or ToolConfig()
    _check_tools([tool.name for tool in config.client_tools or []] + [tool.definition.name for tool in found], own)

    async def run_tool(name: str, arguments: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        tool = by_name[name]
        result = await tool.run({"session_id": session.session_id, **arguments, **tool.args})
        return result.content, result.metadata

    return TurnState(
        turn_id=known.get("turn_id") or new_id(),
        session_id=session.session_id,
        config=config,
        tool_config=own,
        input_messages=messages,
        messages=[],
        chat=lambda body: chat.stream(target, body),
        run_shields=_together(looking),
        run_tool=run_tool,
        agent_id=session.agent.agent_id,
        model_id=target.identifier,
        provider_id=target.provider_id,
        capture_content=settings.TELEMETRY_CONTENT,
        server_tools=[tool.definition for tool in found],
        secrets=[text for tool in found for text in hide(as_json(tool.args), tool.definition.input_schema)[1]],
        started_at=now(),
    )


def _together(ready: list[shields.Shield]) -> RunShields:
    """Return what runs some of these shields at once, each in a span of its own."""
    by_id = {shield.shield_id: shield for shield in ready}

    async def run_shield(shield_id: str, seen: list[Any]) -> Any:
        with tracer.start_as_current_span(f"run_shield_{shield_id}"):
            return await by_id[shield_id].run(seen)

    async def run_shields(ids: list[str], seen: list[Any]) -> list[Any]:
        return list(await asyncio.gather(*(run_shield(shield_id, seen) for shield_id in ids)))

    return run_shields


def _check_tools(names: list[str], config: ToolConfig) -> None:
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise BadRequest(f"Two tools are named '{twice}'; a tool's name must be unique within an agent.")
    choice = config.tool_choice
    if choice not in ("auto", "required", "none", *names):
        raise BadRequest(f"tool_config.tool_choice: there is no tool '{choice}'. Tools: {', '.join(names) or 'none'}.")


def _groups(groups: list[schemas.AgentTool]) -> dict[str, dict[str, Any]]:
    """Return group name → arguments; the same group twice is one, its later arguments win."""
    merged: dict[str, dict[str, Any]] = {}
    for group in groups:
        name, args = (group, {}) if isinstance(group, str) else (group.name, group.args)
        merged[name] = merged.get(name, {}) | args
    return merged
