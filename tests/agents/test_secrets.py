"""Secret arguments of tools: the tool gets them, and nobody else, however the turn goes. No database, no model."""

import json
from typing import Any

import pytest
from pydantic_core import to_json

from apps.agents.schemas import AgentTurnResponseTurnAwaitingInputPayload
from apps.agents.turn_state import TurnState
from apps.core.redaction import HIDDEN
from apps.inference.schemas import ToolDef
from tests.agents.test_runtime import World, calls, take, text, turn

SECRET = 'hunter"2-éclair'
SCHEMA = {
    "type": "object",
    "properties": {"user": {"type": "string"}, "password": {"type": "string", "format": "password"}},
}
LOG_IN = ToolDef(name="log_in", description="Log in", input_schema=SCHEMA)
ARGUMENTS = json.dumps({"user": "ana", "password": SECRET}, ensure_ascii=False)
SHOWN = {"user": "ana", "password": HIDDEN}


def everywhere(state: TurnState, payloads: list[Any]) -> str:
    """Everything that is told, stored and sent of a turn, as text."""
    told = [to_json(payload).decode() for payload in payloads]
    return "\n".join([*told, to_json(state.messages).decode(), to_json(state.steps).decode()])


def is_nowhere(told: str) -> bool:
    return not any(part in told for part in (SECRET, json.dumps(SECRET)[1:-1], "hunter", "éclair"))


async def test_the_tool_gets_the_secret_and_everybody_else_the_mask() -> None:
    world = World(calls(("log_in", ARGUMENTS)), text("done"))
    world.tool_answer = f"ana is in, with {SECRET}"
    state = turn(world, tools=[LOG_IN])

    payloads = await take(state)

    assert world.ran == [("log_in", {"user": "ana", "password": SECRET})]
    assert is_nowhere(everywhere(state, payloads)) and is_nowhere(json.dumps(world.asked, ensure_ascii=False))
    [call] = state.steps[1].tool_calls  # type: ignore[union-attr]
    assert json.loads(call.arguments) == SHOWN
    assert state.steps[1].tool_responses[0].content == f"ana is in, with {HIDDEN}"  # type: ignore[union-attr]


async def test_the_model_reads_its_own_call_with_the_mask() -> None:
    world = World(calls(("log_in", ARGUMENTS)), text("done"))

    await take(turn(world, tools=[LOG_IN]))

    [said] = [message for message in world.asked[1]["messages"] if message["role"] == "assistant"]
    assert json.loads(said["tool_calls"][0]["function"]["arguments"]) == SHOWN


async def test_the_pieces_of_such_a_call_are_shown_when_it_is_whole() -> None:
    state = turn(World(calls(("log_in", ARGUMENTS)), text("done")), tools=[LOG_IN])

    payloads = await take(state)

    deltas = [p.delta for p in payloads if p.event_type == "step_progress" and p.step_type == "inference"]
    pieces = [delta.tool_call for delta in deltas if delta.type == "tool_call" and isinstance(delta.tool_call, str)]
    assert pieces[0] == "log_in(" and pieces[-1] == ")"
    assert json.loads("".join(pieces[1:-1])) == SHOWN


async def test_other_tools_are_shown_as_they_are_written() -> None:
    other = ToolDef(name="add", description="Add", input_schema={"type": "object"})
    state = turn(World(calls(("add", '{"a": 1}')), text("done")), tools=[LOG_IN, other])

    payloads = await take(state)

    deltas = [p.delta for p in payloads if p.event_type == "step_progress" and p.step_type == "inference"]
    assert [delta.tool_call for delta in deltas[:4]] == ["add(", '{"a', '": 1}', ")"]


@pytest.mark.parametrize("arguments", ['{"password": "hunter', '["hunter"]'])
async def test_arguments_that_cannot_be_read_are_hidden_whole(arguments: str) -> None:
    world = World(calls(("log_in", arguments)), text("done"))
    state = turn(world, tools=[LOG_IN])

    payloads = await take(state)

    assert world.ran == []
    assert is_nowhere(everywhere(state, payloads))


async def test_a_failure_of_the_tool_does_not_tell_the_secret() -> None:
    world = World(calls(("log_in", ARGUMENTS)), text("done"))
    world.tool_answer = RuntimeError(f"wrong password {SECRET}")
    state = turn(world, tools=[LOG_IN])

    payloads = await take(state)

    assert is_nowhere(everywhere(state, payloads))
    assert HIDDEN in str(state.steps[1].tool_responses[0].content)  # type: ignore[union-attr]


async def test_the_caller_alone_gets_the_secret_of_a_tool_it_runs() -> None:
    state = turn(World(calls(("log_in", ARGUMENTS))), client_tools=[LOG_IN.model_dump()])

    payloads = await take(state)
    last = payloads[-1]
    for_caller = state.for_caller(last)

    assert isinstance(last, AgentTurnResponseTurnAwaitingInputPayload)
    assert is_nowhere(everywhere(state, payloads))
    assert json.loads(last.turn.output_message.tool_calls[0].arguments) == SHOWN  # type: ignore[index]
    assert for_caller.turn.output_message.tool_calls[0].arguments == ARGUMENTS  # type: ignore[union-attr,index]


async def test_a_turn_without_secrets_is_told_to_its_caller_as_it_is() -> None:
    state = turn(World(calls(("ask", "{}"))), client_tools=[{"name": "ask", "description": "Ask"}])

    payloads = await take(state)

    assert state.for_caller(payloads[-1]) is payloads[-1]
