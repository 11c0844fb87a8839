"""Start, resume, stop and watch a turn: what every door (REST, the chat page) calls."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace import Status as SpanStatus
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.agents import documents, history, past, preparation, records, schemas
from apps.agents.models import Session, Status, Turn
from apps.agents.running import TURNS, Running, announce_waiting, running, running_here
from apps.agents.turn_state import TurnState, as_json
from apps.core import db, live
from apps.core.errors import INTERNAL, Conflict
from apps.core.ids import new_id
from apps.core.middleware import STATUS_CODE
from apps.core.redaction import HIDDEN
from apps.inference.schemas import ToolConfig

log = logging.getLogger(__name__)
tracer = trace.get_tracer("apps.agents")
MODEL = "gen_ai.request.model"
STOP_WAIT_S = 10.0
SWEEP_S = 10.0
_messages: TypeAdapter[list[schemas.InputMessage]] = TypeAdapter(list[schemas.InputMessage])
_steps: TypeAdapter[list[schemas.Step]] = TypeAdapter(list[schemas.Step])


async def start(agent_id: str, session_id: str, request: schemas.CreateAgentTurnRequest, actor: Principal) -> Running:
    """Start a turn and return it; it runs to its end whether or not anyone reads, or even stays for this answer.

    Raises NotFound (agent, session, model, tool group, shield), BadRequest, Conflict while another turn runs.
    """
    turn_id = new_id()
    with _root("create_agent_turn", request, agent_id=agent_id, session_id=session_id, turn_id=turn_id) as root:
        loaded = await db.read(past.load, agent_id, session_id)
        _name_agent(root, loaded.session)
        papers = await documents.read(request.documents or [])
        while True:
            state = await preparation.prepared(
                loaded.session, request.messages, request.toolgroups, request.tool_config, turn_id=turn_id
            )
            root.set_attribute(MODEL, state.model_id or state.config.model)
            inputs = [message.model_dump(mode="json", exclude_none=True) for message in request.messages]
            state.messages = [
                *history.replay(loaded.past),
                *history.turn_messages(inputs, papers, [], with_context=True),
            ]
            row = _row(request, state, inputs, papers, root, actor)
            row.live_from = await _topic_number(loaded.session.topic)
            closed = await db.write(_begin, loaded, row, running_here(), actor)
            if closed is not None:
                break
            loaded = await db.read(past.load, agent_id, session_id)
        run = _launch(row.pk, loaded.session, state, root, request)
    for turn_id in closed:
        await _announce_closed(loaded.session, turn_id)
    return run


def _row(
    request: schemas.CreateAgentTurnRequest,
    state: TurnState,
    inputs: list[Any],
    papers: list[Any],
    root: trace.Span,
    actor: Principal,
) -> Turn:
    return Turn(
        turn_id=state.turn_id,
        input_messages=inputs,
        documents=[document.model_dump(mode="json", exclude_none=True) for document in request.documents or []],
        documents_content=papers,
        toolgroups=[_plain(group) for group in request.toolgroups or []],
        tool_config=_plain(request.tool_config),
        started_at=state.started_at,
        trace_id=format(root.get_span_context().trace_id, "032x"),
        created_by_id=actor.user_id,
    )


async def resume(
    agent_id: str, session_id: str, turn_id: str, request: schemas.ResumeAgentTurnRequest, actor: Principal
) -> Running:
    """Continue a waiting turn with its tools' answers and return it; like a new turn it needs nobody to stay.

    Raises NotFound, Conflict when the turn does not wait, BadRequest for unknown, missing or repeated call ids.
    """
    with _root("resume_agent_turn", request, agent_id=agent_id, session_id=session_id, turn_id=turn_id) as root:
        turn, earlier = await db.read(past.load_turn, agent_id, session_id, turn_id)
        _name_agent(root, turn.session)
        state = await _resumed(turn, earlier, request)
        root.set_attribute(MODEL, state.model_id or state.config.model)
        trace_id = format(root.get_span_context().trace_id, "032x")
        live_from = await _topic_number(turn.session.topic)
        await db.write(_resume, turn, live_from, trace_id, actor)
        run = _launch(turn.pk, turn.session, state, root, request)
    await announce_waiting()
    return run


async def _resumed(turn: Turn, earlier: list[past.Said], request: schemas.ResumeAgentTurnRequest) -> TurnState:
    """Return a waiting turn as it goes on: with its steps so far and its tools' answers."""
    calls = past.answered_calls(turn, request.tool_responses)
    toolgroups = TypeAdapter(list[schemas.AgentTool]).validate_python(turn.toolgroups)
    tool_config = ToolConfig.model_validate(turn.tool_config) if turn.tool_config else None
    inputs = _messages.validate_python(turn.input_messages)
    state = await preparation.prepared(turn.session, inputs, toolgroups, tool_config, turn_id=turn.turn_id)
    names = {call.call_id: call.tool_name for call in calls}
    state.answers = [
        response.model_copy(update={"tool_name": names.get(response.call_id, response.tool_name)})
        for response in request.tool_responses
    ]
    state.answered_calls, state.is_resumed = calls, True
    state.waited_since = turn.waiting_since
    state.steps = _steps.validate_python([step.details for step in turn.steps.all()])
    state.infer_iters, state.started_at = turn.infer_iters, turn.started_at
    state.usage = {name: value for name, value in past.usage(turn).items() if value is not None}
    state.forced_call_done = True
    state.messages = [*history.replay(earlier), *past.own_messages(turn, calls)]
    return state


async def stop(turn: Turn, actor: Principal) -> None:
    """End a running or waiting turn and wait until it is stored; raises Conflict when it is over already."""
    if turn.status == Status.WAITING:
        if not await db.write(_close, turn, actor):
            raise Conflict(f"Turn '{turn.turn_id}' was answered by somebody else just now.")
        await _announce_closed(turn.session, turn.turn_id)
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
            if await _status(turn) == Status.RUNNING:
                raise


async def recover() -> None:
    """End what a dead process left running, and show it to whoever watches."""
    for session_id, _ in await db.write(records.recover, running_here()):
        await live.publish(f"session:{session_id}", {"event_type": "session_changed"})


async def watch() -> None:
    """End, every few seconds, what processes that died left running; runs as long as the process."""
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            await recover()
        except Exception:
            log.warning("looking for lost turns failed; next try in %s s", SWEEP_S, exc_info=True)


def _begin(loaded: past.Loaded, row: Turn, here: set[int], actor: Principal) -> list[str] | None:
    closed = records.begin(loaded.session, loaded.newest, row, here)
    if closed is not None:
        audit.note(actor, "create", "turn", row.turn_id, session=loaded.session.session_id)
    return closed


def _resume(turn: Turn, live_from: int, trace_id: str, actor: Principal) -> None:
    records.resume(turn, actor.name, live_from, trace_id)
    audit.note(actor, "resume", "turn", turn.turn_id)


def _close(turn: Turn, actor: Principal) -> bool:
    closed = records.close_waiting(turn.pk, f"Stopped by {actor.name}.")
    if closed:
        audit.note(actor, "stop", "turn", turn.turn_id)
    return closed


def _ask_to_stop(turn: Turn, actor: Principal) -> None:
    if Turn.objects.filter(pk=turn.pk, status=Status.RUNNING).update(stop_requested=True):
        audit.note(actor, "stop", "turn", turn.turn_id)


async def _announce_closed(session: Session, turn_id: str) -> None:
    changed = {
        "event_type": "turn_changed",
        "turn_id": turn_id,
        "session_id": session.session_id,
        "status": "over",
    }
    await live.publish(session.topic, {"event_type": "turn_closed", "turn_id": turn_id})
    await live.publish(TURNS, changed)
    await announce_waiting()


async def _wait_until_over(turn: Turn) -> None:
    """Wait for the process that runs the turn to end it; when that process is gone, end it here. Raises Conflict."""
    for _ in range(int(STOP_WAIT_S / 0.2)):
        if await _status(turn) != Status.RUNNING:
            return
        await asyncio.sleep(0.2)
    await recover()
    if await _status(turn) == Status.RUNNING:
        raise Conflict(f"Turn '{turn.turn_id}' was asked to stop and has not ended yet.")


async def _status(turn: Turn) -> str | None:
    return await db.read(lambda: Turn.objects.filter(pk=turn.pk).values_list("status", flat=True).first())


@contextmanager
def _root(name: str, request: Any, **ids: str) -> Iterator[trace.Span]:
    """Give the turn's root span: the API request's own, or a new one when a page started the turn.

    The running turn ends it; a new one is ended here when no turn comes of it, for then nobody else tells why.
    """
    current = trace.get_current_span()
    root = current if current.is_recording() else tracer.start_span(name, kind=SpanKind.SERVER)
    root.update_name(name)
    root.set_attributes(ids)
    if settings.TELEMETRY_CONTENT:
        root.set_attribute("request", _as_told(request))
    try:
        yield root
    except BaseException as error:
        if root is not current:
            root.set_status(SpanStatus(StatusCode.ERROR, getattr(error, "detail", None) or INTERNAL))
            root.end()
        raise


def _name_agent(root: trace.Span, session: Session) -> None:
    name = session.agent.agent_config.name
    if name:
        root.set_attribute("agent_name", name)


def _launch(row: int, session: Session, state: TurnState, root: trace.Span, request: Any) -> Running:
    """Start the turn; a root that is the API's tells what the caller is answered, and a stream has begun well."""
    is_api = trace.get_current_span() is root
    if is_api:
        root.set_attribute(STATUS_CODE, 200)
    return Running(row, session.topic, state, root, is_awaited=is_api and not request.stream).launch()


def _as_told(request: Any) -> str:
    """Return a request as its span tells it: arguments of tool groups may be credentials."""
    told = to_jsonable_python(request, exclude_none=True)
    for group in told.get("toolgroups") or ():
        if isinstance(group, dict):
            group["args"] = dict.fromkeys(group.get("args") or (), HIDDEN)
    return as_json(told)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True) if hasattr(value, "model_dump") else value


async def result_of(run: Running) -> schemas.Turn:
    """Return a turn when it ended or waits; raises what made it fail."""
    await run.done.wait()
    if run.failure is not None:
        run.failure.headers["x-should-retry"] = "false"  # the turn is stored: asking again would be a second one
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
