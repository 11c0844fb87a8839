"""One call to the model: what is asked, and how its stream becomes deltas and a message."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from opentelemetry.trace import Span

from apps.agents import schemas
from apps.agents.history import call_json, reads_as_object, system_message
from apps.agents.turn_state import OFFERED_AS, Event, TurnState, as_json, stopping
from apps.core.ids import new_id
from apps.inference.sampling import chat_parameters
from apps.inference.schemas import CompletionMessage, StopReason, TextDelta, ToolCall, ToolCallDelta, ToolDef

Json = dict[str, Any]
Piece = TextDelta | ToolCallDelta
STOP_REASONS: dict[str | None, StopReason] = {"tool_calls": "end_of_message", "length": "out_of_tokens"}


@dataclass
class Writing:
    """What the model has written so far in one message."""

    text: list[str] = field(default_factory=list)
    calls: dict[int, Json] = field(default_factory=dict)  # by the stream's index: id, name, arguments
    finish_reason: str | None = None
    usage: Json = field(default_factory=dict)
    first_token_ms: float | None = None
    confidential: frozenset[str] = frozenset()  # tools whose arguments are not shown while they are written

    def withholds(self, tool_name: str) -> bool:
        """Return whether the arguments of a call may be secret; a call without a name yet could be of any tool."""
        return tool_name in self.confidential or (not tool_name and bool(self.confidential))


async def infer(turn: TurnState) -> AsyncIterator[Event]:
    """Call the model once: step_start, a step_progress for each piece, step_complete."""
    started = turn.start_step("inference")
    yield Event(started)
    began, writing = turn.tick(), Writing(confidential=turn.confidential)
    turn.infer_iters += 1
    body = request_body(turn)
    hold = bool(turn.output_shields)  # show text only once the shields have seen it
    held: list[Event] = []
    with turn.span("inference", step_id=started.step_id, **_request_attributes(turn, body)) as span:
        turn.note(span, "input", as_json(body["messages"]))
        with stopping(turn), _told_if_broken(turn, span, writing):
            async with aclosing(_pieces(turn, body, writing)) as pieces:
                async for delta in pieces:
                    event = _progress(started.step_id, delta)
                    if hold:
                        held.append(event)
                    else:
                        yield event
        calls = _finished_calls(turn, writing)
        for delta in _closing_deltas(turn, calls):
            event = _progress(started.step_id, delta)
            if hold:
                held.append(event)
            else:
                yield event
        message = _message(turn, writing, calls)
        _describe(turn, span, message, writing)
    done = turn.complete_step(_details(turn, started.step_id, began, message), _facts(writing))
    if hold and turn.is_over:
        turn.held = [*held, done]  # the output shields look first, then let this out or replace it
        return
    for event in held:  # the text before the calls stays unseen; the calls themselves are no secret
        if event.payload.delta.type == "tool_call":  # type: ignore[union-attr]
            yield event
    yield done
    if calls and not turn.is_over:
        turn.messages.append(_as_message(calls))


@contextmanager
def _told_if_broken(turn: TurnState, span: Span, writing: Writing) -> Iterator[None]:
    """Tell on the span what was written until the model failed or was cut short; calls are whole, or nothing."""
    try:
        yield
    except BaseException:
        _count(span, writing)
        if writing.text:
            turn.note(span, "output", as_json({"content": "".join(writing.text), "tool_calls": []}))
        raise


async def _pieces(turn: TurnState, body: Json, writing: Writing) -> AsyncGenerator[Piece]:
    """Yield what the model writes as it comes, and keep all of it in ``writing``."""
    asked = time.perf_counter()
    async with aclosing(turn.chat(body)) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            for delta in read_chunk(writing, chunk):
                if writing.first_token_ms is None:
                    writing.first_token_ms = (time.perf_counter() - asked) * 1000
                yield delta


def _details(turn: TurnState, step_id: str, began: datetime, message: CompletionMessage) -> schemas.InferenceStep:
    turn.answer = message
    return schemas.InferenceStep(
        turn_id=turn.turn_id, step_id=step_id, started_at=began, completed_at=turn.tick(), model_response=message
    )


def request_body(turn: TurnState) -> Json:
    """Return the OpenAI request of the turn's next call to the model."""
    tools = [_offer(tool) for tool in turn.tools] if turn.tool_config.tool_choice != "none" else []
    system = system_message(turn.config.instructions, tools, turn.tool_config.system_message_behavior)
    body: Json = {
        "messages": [*system, *turn.messages],
        **chat_parameters(turn.config.sampling_params, turn.config.response_format),
    }
    if tools:
        body["tools"] = tools
        body["tool_choice"] = _tool_choice(turn)
    return body


def _tool_choice(turn: TurnState) -> Any:
    choice = turn.tool_config.tool_choice
    # Once a forced call was answered the model is free again, else the turn would call for ever.
    if choice == "auto" or turn.forced_call_done:
        return "auto"
    if choice == "required":
        return "required"
    return {"type": "function", "function": {"name": OFFERED_AS.get(choice, choice)}}


def _offer(tool: ToolDef) -> Json:
    schema = tool.input_schema or {"type": "object", "properties": {}}
    function = {
        "name": OFFERED_AS.get(tool.name, tool.name),
        "description": tool.description or "",
        "parameters": schema,
    }
    return {"type": "function", "function": function}


def read_chunk(writing: Writing, chunk: Json) -> Iterator[TextDelta | ToolCallDelta]:
    """Take one piece of an OpenAI stream into account and yield what it adds."""
    if chunk.get("usage"):
        writing.usage = chunk["usage"]
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        text = delta.get("content")
        if text:
            text = text.replace("\0", "")
            writing.text.append(text)
            yield TextDelta.model_construct(text=text)
        for position, part in enumerate(delta.get("tool_calls") or ()):
            yield from _read_call(writing, position, part)
        writing.finish_reason = choice.get("finish_reason") or writing.finish_reason


def _read_call(writing: Writing, position: int, part: Json) -> Iterator[ToolCallDelta]:
    index = part.get("index")
    index = index if isinstance(index, int) else position
    function = part.get("function") or {}
    call = writing.calls.setdefault(index, {"id": None, "name": "", "arguments": ""})
    call["id"] = call["id"] or (part.get("id") or "").replace("\0", "") or None
    if function.get("name") and not call["name"]:
        call["name"] = function["name"].replace("\0", "")
        yield _fragment(call["name"] + "(")
    arguments = (function.get("arguments") or "").replace("\0", "")
    if arguments:
        call["arguments"] += arguments
        if not writing.withholds(call["name"]):
            yield _fragment(arguments)


def _fragment(text: str) -> ToolCallDelta:
    return ToolCallDelta.model_construct(tool_call=text, parse_status="in_progress")


def _finished_calls(turn: TurnState, writing: Writing) -> list[ToolCall]:
    if turn.is_stopped or writing.finish_reason == "length":
        return []
    taken = {call.call_id for step in turn.steps if step.step_type == "tool_execution" for call in step.tool_calls}
    calls = []
    for _, call in sorted(writing.calls.items()):
        call_id = call["id"] if call["id"] and call["id"] not in taken else f"call_{new_id()}"
        taken.add(call_id)
        arguments = call["arguments"] if call["arguments"].strip() else "{}"
        calls.append(turn.veiled(ToolCall(call_id=call_id, tool_name=call["name"] or "unnamed", arguments=arguments)))
    return calls


def _closing_deltas(turn: TurnState, calls: list[ToolCall]) -> Iterator[ToolCallDelta]:
    """For each call its closing bracket, followed at once by the verdict whether its arguments can be read."""
    for call in calls:
        if call.tool_name in turn.confidential:
            yield _fragment(call.arguments)
        yield _fragment(")")
        if reads_as_object(call.arguments):
            yield ToolCallDelta.model_construct(tool_call=call, parse_status="succeeded")
        else:
            turn.failed_calls.add(call.call_id)
            yield ToolCallDelta.model_construct(tool_call=f"{call.tool_name}({call.arguments})", parse_status="failed")


def _message(turn: TurnState, writing: Writing, calls: list[ToolCall]) -> CompletionMessage:
    """Return the message of the step, and settle whether the turn is over with it."""
    reason = STOP_REASONS.get(writing.finish_reason, "end_of_turn")
    if calls:
        # Backends also end a message with calls by "stop"; what counts is that there are calls to run.
        used_up = turn.infer_iters >= turn.config.max_infer_iters
        turn.is_over = turn.is_over or used_up
        turn.forced_call_done = True
        return CompletionMessage(
            content="", stop_reason="end_of_turn" if used_up else "end_of_message", tool_calls=calls
        )
    turn.is_over = True
    if reason == "end_of_message":
        reason = "end_of_turn"
    return CompletionMessage(content="".join(writing.text), stop_reason=reason, tool_calls=[])


def _as_message(calls: list[ToolCall]) -> Json:
    return {"role": "assistant", "content": "", "tool_calls": [call_json(call.model_dump()) for call in calls]}


def _progress(step_id: str, delta: TextDelta | ToolCallDelta) -> Event:
    construct = schemas.AgentTurnResponseStepProgressPayload.model_construct
    return Event(construct(step_type="inference", step_id=step_id, delta=delta))


def _facts(writing: Writing) -> Json:
    facts = {
        "input_tokens": writing.usage.get("prompt_tokens"),
        "output_tokens": writing.usage.get("completion_tokens"),
        "first_token_ms": writing.first_token_ms,
        "finish_reason": writing.finish_reason,
    }
    # Servers have told negative and absurd numbers; those are not known.
    return {name: value for name, value in facts.items() if isinstance(value, str) or _is_sane(value)}


def _is_sane(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value < 2**31


def _request_attributes(turn: TurnState, body: Json) -> Json:
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": turn.model_id or turn.config.model}
    if turn.provider_id:
        attributes["gen_ai.provider.name"] = turn.provider_id
    if body.get("tools"):
        offered = [{"type": "function", "name": tool["function"]["name"]} for tool in body["tools"]]
        attributes["gen_ai.tool.definitions"] = as_json(offered)
    numbers = {name: body[name] for name in ("temperature", "top_p", "max_tokens") if name in body}
    return attributes | {f"gen_ai.request.{name}": value for name, value in numbers.items()}


def _describe(turn: TurnState, span: Span, message: CompletionMessage, writing: Writing) -> None:
    span.set_attribute("stop_reason", message.stop_reason)
    if turn.is_stopped:
        span.set_attribute("stopped", True)
    _count(span, writing)
    turn.note(span, "output", as_json({"content": message.content, "tool_calls": message.tool_calls or []}))


def _count(span: Span, writing: Writing) -> None:
    for name, key in (("input", "prompt_tokens"), ("output", "completion_tokens")):
        if _is_sane(writing.usage.get(key)):
            span.set_attribute(f"gen_ai.usage.{name}_tokens", writing.usage[key])
    if writing.first_token_ms is not None:
        span.set_attribute("time_to_first_token_s", round(writing.first_token_ms / 1000, 6))
