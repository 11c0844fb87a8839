"""Start, resume, stop and watch a turn: what every door (REST, the chat page) calls."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from django.utils.timezone import now
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from pydantic import TypeAdapter

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.agents import documents, history, past, records, schemas
from apps.agents.models import Session, Status, Turn
from apps.agents.running import TURNS, Running, announce_waiting, running
from apps.agents.turn_state import TurnState, as_json
from apps.core import db, live
from apps.core.errors import BadRequest, Conflict
from apps.core.ids import new_id
from apps.inference import chat
from apps.inference.schemas import ToolConfig
from apps.safety import shields
from apps.tools import runtime as tools

log = logging.getLogger(__name__)
tracer = trace.get_tracer("apps.agents")
STOP_WAIT_S = 10.0
SWEEP_S = 10.0
_messages: TypeAdapter[list[schemas.InputMessage]] = TypeAdapter(list[schemas.InputMessage])
_steps: TypeAdapter[list[schemas.Step]] = TypeAdapter(list[schemas.Step])


async def start(agent_id: str, session_id: str, request: schemas.CreateAgentTurnRequest, actor: Principal) -> Running:
    """Start a turn and return it; it runs to its end whether or not anyone reads, or even stays for this answer.

    Raises NotFound (agent, session, model, tool group, shield), BadRequest, Conflict while another turn runs.
    """
    read_documents = await documents.read(request.documents or [])
    while True:
        loaded = await db.read(past.load, agent_id, session_id)
        session = loaded.session
        state = await prepared(session, request.messages, request.toolgroups, request.tool_config)
        inputs = [message.model_dump(mode="json", exclude_none=True) for message in request.messages]
        state.messages = [
            *history.replay(loaded.past),
            *history.turn_messages(inputs, read_documents, [], with_context=True),
        ]
        root = _root("create_agent_turn", session, state, request)
        row = Turn(
            turn_id=state.turn_id,
            input_messages=inputs,
            documents=[document.model_dump(mode="json", exclude_none=True) for document in request.documents or []],
            documents_content=read_documents,
            toolgroups=[_plain(group) for group in request.toolgroups or []],
            tool_config=_plain(request.tool_config),
            started_at=state.started_at,
            trace_id=format(root.get_span_context().trace_id, "032x"),
            live_from=await _topic_number(session.topic),
            created_by_id=actor.user_id,
        )
        if await db.write(_begin, loaded, row, actor):
            return Running(row.pk, session.topic, state, root).launch()


async def resume(
    agent_id: str, session_id: str, turn_id: str, request: schemas.ResumeAgentTurnRequest, actor: Principal
) -> Running:
    """Continue a waiting turn with its tools' answers and return it; like a new turn it needs nobody to stay.

    Raises NotFound, Conflict when the turn does not wait, BadRequest for unknown, missing or repeated call ids.
    """
    turn, earlier = await db.read(past.load_turn, agent_id, session_id, turn_id)
    calls = past.answered_calls(turn, request.tool_responses)
    toolgroups = TypeAdapter(list[schemas.AgentTool]).validate_python(turn.toolgroups)
    tool_config = ToolConfig.model_validate(turn.tool_config) if turn.tool_config else None
    inputs = _messages.validate_python(turn.input_messages)
    state = await prepared(turn.session, inputs, toolgroups, tool_config, turn_id=turn.turn_id)
    names = {call.call_id: call.tool_name for call in calls}
    state.answers = [
        response.model_copy(update={"tool_name": names.get(response.call_id, response.tool_name)})
        for response in request.tool_responses
    ]
    state.answered_calls, state.is_resumed = calls, True
    state.steps = _steps.validate_python([step.details for step in turn.steps.all()])
    state.infer_iters, state.started_at = turn.infer_iters, turn.started_at
    state.usage = {name: value for name, value in past.usage(turn).items() if value is not None}
    state.forced_call_done = True
    state.messages = [*history.replay(earlier), *past.own_messages(turn, calls)]
    root = _root("resume_agent_turn", turn.session, state, request)
    trace_id = format(root.get_span_context().trace_id, "032x")
    live_from = await _topic_number(turn.session.topic)
    await db.write(_resume, turn, live_from, trace_id, actor)
    return Running(turn.pk, turn.session.topic, state, root).launch()


async def stop(turn: Turn, actor: Principal) -> None:
    """End a running or waiting turn and wait until it is stored; raises Conflict when it is over already."""
    if turn.status == Status.WAITING:
        if not await db.write(_close, turn, actor):
            raise Conflict(f"Turn '{turn.turn_id}' was answered by somebody else just now.")
        await _announce_closed(turn)
        return
    if turn.is_over:
        raise Conflict(f"Turn '{turn.turn_id}' is over ({turn.get_status_display().lower()}).")
    here = running(turn.pk)
    await db.write(_ask_to_stop, turn, actor)
    if here is not None:
        here.stop()
        try:
            async with asyncio.timeout(STOP_WAIT_S):
                await here.done.wait()
        except TimeoutError:
            raise Conflict(f"Turn '{turn.turn_id}' was asked to stop and has not ended yet.") from None
        return
    await _wait_until_over(turn)


async def stop_all(turns: Iterable[Turn], actor: Principal) -> None:
    """Stop turns that still run, before what they belong to is deleted."""
    for turn in turns:
        try:
            await stop(turn, actor)
        except Conflict:
            continue  # it ended by itself meanwhile


async def recover() -> None:
    """End what a dead process left running, and show it to whoever watches."""
    for session_id, _ in await db.write(records.recover):
        await live.publish(f"session:{session_id}", {"event_type": "session_changed"})


async def watch() -> None:
    """End, every few seconds, what processes that died left running; runs as long as the process."""
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            await recover()
        except Exception:
            log.warning("looking for lost turns failed; next try in %s s", SWEEP_S, exc_info=True)


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
    ready = {
        shield.shield_id: shield
        for shield in await shields.find([*(config.input_shields or []), *(config.output_shields or [])])
    }
    by_name = {tool.definition.name: tool for tool in found}
    own = tool_config or config.tool_config or ToolConfig()
    _check_tools([tool.name for tool in config.client_tools or []] + [tool.definition.name for tool in found], own)

    async def run_shields(ids: list[str], seen: list[Any]) -> list[Any]:
        return list(await asyncio.gather(*(ready[shield_id].run(seen) for shield_id in ids)))

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
        run_shields=run_shields,
        run_tool=run_tool,
        server_tools=[tool.definition for tool in found],
        started_at=now(),
    )


def _check_tools(names: list[str], config: ToolConfig) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
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


def _begin(loaded: past.Loaded, row: Turn, actor: Principal) -> bool:
    begun = records.begin(loaded.session, loaded.newest, row)
    if begun:
        audit.note(actor, "create", "turn", row.turn_id, session=loaded.session.session_id)
    return begun


def _resume(turn: Turn, live_from: int, trace_id: str, actor: Principal) -> None:
    records.resume(turn, actor.name, live_from, trace_id)
    audit.note(actor, "resume", "turn", turn.turn_id)


def _close(turn: Turn, actor: Principal) -> bool:
    audit.note(actor, "stop", "turn", turn.turn_id)
    return records.close_waiting(turn.pk, f"Stopped by {actor.name}.")


def _ask_to_stop(turn: Turn, actor: Principal) -> None:
    Turn.objects.filter(pk=turn.pk, status=Status.RUNNING).update(stop_requested=True)
    audit.note(actor, "stop", "turn", turn.turn_id)


async def _announce_closed(turn: Turn) -> None:
    await live.publish(turn.session.topic, {"event_type": "turn_closed", "turn_id": turn.turn_id})
    await live.publish(TURNS, {"event_type": "turn_changed", "turn_id": turn.turn_id,
                               "session_id": turn.session.session_id, "status": "over"})  # fmt: skip
    await announce_waiting()


async def _wait_until_over(turn: Turn) -> None:
    """Wait for the process that runs the turn to end it; when that process is gone, end it here."""
    for _ in range(int(STOP_WAIT_S / 0.2)):
        status = await db.read(lambda: Turn.objects.filter(pk=turn.pk).values_list("status", flat=True).first())
        if status != Status.RUNNING:
            return
        await asyncio.sleep(0.2)
    await recover()


def _root(name: str, session: Session, state: TurnState, request: Any) -> trace.Span:
    """Return the turn's root span: the API request's own, or a new one when a page started the turn."""
    current = trace.get_current_span()
    root = current if current.is_recording() else tracer.start_span(name, kind=SpanKind.SERVER)
    root.update_name(name)
    root.set_attributes(
        {"session_id": session.session_id, "agent_id": session.agent.agent_id, "turn_id": state.turn_id}
    )
    if state.config.name:
        root.set_attribute("agent_name", state.config.name)
    state.note(root, "request", as_json(request))
    return root


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True) if hasattr(value, "model_dump") else value


async def result_of(run: Running) -> schemas.Turn:
    """Return a turn when it ended or waits; raises what made it fail."""
    await run.done.wait()
    if run.failure is not None:
        raise run.failure
    assert run.turn is not None
    return run.turn


async def _topic_number(topic: str) -> int:
    """Return where the topic stands; 0 when that cannot be told, for a turn does not depend on being watched."""
    try:
        return await live.head(topic)
    except Exception:
        log.warning("the live log does not answer", exc_info=True)
        return 0
