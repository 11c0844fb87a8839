"""Tools of a turn: those that run here, and the answers of those the caller ran."""

from collections.abc import AsyncIterator
from typing import Any

from opentelemetry.trace import Span, Status, StatusCode
from pydantic_core import from_json

from apps.agents import schemas
from apps.agents.history import reads_as_object, tool_message
from apps.agents.turn_state import RUNS_AS, Event, Json, TurnState, as_json, stopping
from apps.core import redaction
from apps.inference.schemas import ToolCall, ToolCallDelta, ToolResponse


async def execute(turn: TurnState, call: ToolCall) -> AsyncIterator[Event]:
    """Run one call here; whatever goes wrong becomes an answer the model can read, and the turn goes on."""
    started = turn.start_step("tool_execution")
    yield Event(started)
    delta = ToolCallDelta(tool_call=call, parse_status="in_progress")
    yield Event(
        schemas.AgentTurnResponseStepProgressPayload(step_type="tool_execution", step_id=started.step_id, delta=delta)
    )
    began = turn.tick()
    named = {"tool_name": call.tool_name, "step_id": started.step_id, "gen_ai.tool.call.id": call.call_id}
    with turn.span("tool_execution", **named) as span:
        turn.note(span, "input", as_json({"role": "assistant", "tool_calls": [call]}))
        response = _response(call, "The turn was stopped while this tool ran.", {"error": True})
        with stopping(turn):
            response = _without_secrets(turn, await _run(turn, call))
        _describe(turn, span, response)
    yield _complete(turn, started.step_id, began, [call], [response])


async def answered_step(turn: TurnState) -> AsyncIterator[Event]:
    """Record the caller's answers to the calls the turn waited for, all in one step."""
    began = turn.waited_since or turn.tick()
    step_id = turn.start_step("tool_execution").step_id
    calls = {call.call_id: call for call in turn.answered_calls}
    for response in turn.answers:
        _record_answer(turn, step_id, calls.get(response.call_id), response)
    yield _complete(turn, step_id, began, turn.answered_calls, turn.answers)


def _record_answer(turn: TurnState, step_id: str, call: ToolCall | None, response: ToolResponse) -> None:
    """Leave a span of a call its caller ran: how long it was waited for is told, for that was before this trace."""
    named: Json = {"tool_name": response.tool_name, "step_id": step_id, "gen_ai.tool.call.id": response.call_id}
    if turn.waited_since:
        named["waited_s"] = round((turn.tick() - turn.waited_since).total_seconds(), 6)
    with turn.span("tool_execution", answered_by="caller", **named) as span:
        if call is not None:
            turn.note(span, "input", as_json({"role": "assistant", "tool_calls": [call]}))
        _describe(turn, span, response)


def _describe(turn: TurnState, span: Span, response: ToolResponse) -> None:
    turn.note(span, "output", as_json({"role": "tool", "call_id": response.call_id, "content": response.content}))
    if (response.metadata or {}).get("error"):
        # What the tool answered is content; that it failed is told without it too.
        span.set_status(Status(StatusCode.ERROR, str(response.content) if turn.capture_content else "It failed."))


def _complete(turn: TurnState, step_id: str, began: Any, calls: list[ToolCall], responses: list[ToolResponse]) -> Event:
    details = schemas.ToolExecutionStep(
        turn_id=turn.turn_id,
        step_id=step_id,
        started_at=began,
        completed_at=turn.tick(),
        tool_calls=calls,
        tool_responses=responses,
    )
    turn.messages += [tool_message(response.model_dump(mode="json")) for response in responses]
    return turn.complete_step(details)


async def _run(turn: TurnState, call: ToolCall) -> ToolResponse:
    if not reads_as_object(call.arguments):
        return _response(
            call, f"The arguments of '{call.tool_name}' are not a JSON object: {call.arguments[:200]}", {"error": True}
        )
    known = [tool.name for tool in turn.tools]
    name = RUNS_AS.get(call.tool_name, call.tool_name)
    if name not in known:
        return _response(
            call, f"There is no tool '{call.tool_name}'. Tools: {', '.join(known) or 'none'}.", {"error": True}
        )
    try:
        content, metadata = await turn.run_tool(name, from_json(turn.unveiled(call).arguments))
    except Exception as error:
        text = getattr(error, "detail", None) or f"{type(error).__name__}: {error}"
        return _response(call, f"The tool '{call.tool_name}' failed: {text}", {"error": True})
    if not content:
        return _response(call, f"The tool '{call.tool_name}' answered nothing.", {"error": True})
    return _response(call, content, metadata)


def _without_secrets(turn: TurnState, response: ToolResponse) -> ToolResponse:
    """Return a tool's answer without the secrets tools of this turn were given: some repeat what they are asked."""
    if not turn.secrets:
        return response
    told = redaction.without(response.model_dump(mode="json", include={"content", "metadata"}), turn.secrets)
    return ToolResponse.model_validate({"call_id": response.call_id, "tool_name": response.tool_name, **told})


def _response(call: ToolCall, content: Any, metadata: dict[str, Any]) -> ToolResponse:
    return ToolResponse(call_id=call.call_id, tool_name=call.tool_name, content=content, metadata=metadata or None)
