"""How an agent takes a turn, on fakes: no database, no web, no model."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from apps.agents import schemas
from apps.agents.runtime import take_turn
from apps.agents.turn_state import Event, TurnState
from apps.inference.schemas import ToolCall, ToolDef, ToolResponse
from apps.safety.schemas import SafetyViolation

ADD = ToolDef(
    name="add", description="Add two numbers", input_schema={"type": "object", "properties": {"a": {"type": "number"}}}
)
ASK = {"name": "ask_person", "description": "Ask a person"}


def text(*words: str, finish: str = "stop", usage: bool = True) -> list[dict[str, Any]]:
    """A model's stream of words."""
    chunks: list[dict[str, Any]] = [{"choices": [{"delta": {"content": word}}]} for word in words]
    chunks.append({"choices": [{"delta": {}, "finish_reason": finish}]})
    return (
        [*chunks, {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": len(words)}}] if usage else chunks
    )


def calls(*wanted: tuple[str, str], finish: str = "tool_calls") -> list[dict[str, Any]]:
    """A model's stream of tool calls, each in three pieces, openings first."""
    chunks = [_part(i, id=f"call_{i}", function={"name": name}) for i, (name, _) in enumerate(wanted)]
    for i, (_, arguments) in enumerate(wanted):
        chunks += [_part(i, function={"arguments": part}) for part in (arguments[:3], arguments[3:]) if part]
    return [*chunks, {"choices": [{"delta": {}, "finish_reason": finish}]}]


def _part(index: int, **call: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"tool_calls": [{"index": index, **call}]}}]}


class World:
    """Plays the model's streams in order and remembers what it was asked."""

    def __init__(self, *streams: list[dict[str, Any]]) -> None:
        self.streams = list(streams)
        self.asked: list[dict[str, Any]] = []
        self.ran: list[tuple[str, dict[str, Any]]] = []
        self.verdicts: dict[str, SafetyViolation] = {}
        self.looked_at: list[list[dict[str, Any]]] = []
        self.tool_answer: Any = "4"

    async def chat(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        self.asked.append(body)
        for chunk in self.streams.pop(0):
            if chunk == {"hang": True}:
                await asyncio.sleep(60)
            yield chunk

    async def run_shields(self, ids: list[str], messages: list[dict[str, Any]]) -> list[SafetyViolation | None]:
        self.looked_at.append(messages)
        return [self.verdicts.get(name) for name in ids]

    async def run_tool(self, name: str, arguments: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        self.ran.append((name, arguments))
        if isinstance(self.tool_answer, Exception):
            raise self.tool_answer
        return self.tool_answer, {"source": "test"}


def turn(world: World, *, tools: list[ToolDef] | None = None, choice: str = "auto", **config: Any) -> TurnState:
    """A turn that asks "hi"."""
    return TurnState(
        turn_id="T",
        session_id="S",
        config=schemas.AgentConfig.model_validate({"model": "m", "instructions": "Be kind.", **config}),
        tool_config=schemas.ToolConfig(tool_choice=choice),
        input_messages=[schemas.UserMessage(content="hi")],
        messages=[{"role": "user", "content": "hi"}],
        chat=world.chat,
        run_shields=world.run_shields,
        run_tool=world.run_tool,
        server_tools=tools or [],
    )


async def take(state: TurnState) -> list[Any]:
    """All payloads of a turn."""
    return [event.payload async for event in take_turn(state)]


def kinds(payloads: list[Any]) -> list[str]:
    """Event types, with the step's type where there is one."""
    return [f"{p.event_type} {p.step_type}" if hasattr(p, "step_type") else p.event_type for p in payloads]


async def test_a_turn_ends_when_the_model_calls_no_tool() -> None:
    world = World(text("Hel", "lo"))

    payloads = await take(turn(world))

    progress = "step_progress inference"
    assert kinds(payloads) == [
        "turn_start",
        "step_start inference",
        progress,
        progress,
        "step_complete inference",
        "turn_complete",
    ]
    assert payloads[-1].turn.output_message.content == "Hello"
    assert payloads[-1].turn.output_message.stop_reason == "end_of_turn"
    assert world.asked[0]["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}]


async def test_no_instructions_no_system_message() -> None:
    world = World(text("ok"))

    await take(turn(world, instructions=""))

    assert world.asked[0]["messages"] == [{"role": "user", "content": "hi"}]


async def test_step_times_rise_strictly_and_step_ids_are_unique() -> None:
    world = World(calls(("add", '{"a":1}')), calls(("add", '{"a":2}')), text("done"))

    steps = (await take(turn(world, tools=[ADD])))[-1].turn.steps

    times = [moment for step in steps for moment in (step.started_at, step.completed_at)]
    assert len(steps) == 5
    assert times == sorted(set(times))
    assert len({step.step_id for step in steps}) == 5


async def test_a_server_tool_runs_and_the_model_goes_on() -> None:
    world = World(calls(("add", '{"a":1}')), text("4!"))

    payloads = await take(turn(world, tools=[ADD]))

    assert world.ran == [("add", {"a": 1})]
    assert [m["role"] for m in world.asked[1]["messages"]] == ["system", "user", "assistant", "tool"]
    executed = payloads[-1].turn.steps[1]
    assert executed.tool_responses[0].content == "4"
    assert executed.tool_responses[0].metadata == {"source": "test"}
    assert payloads[-1].turn.output_message.content == "4!"


async def test_fragments_of_a_call_join_to_name_and_arguments() -> None:
    world = World(calls(("add", '{"a":1}'), ("add", '{"a":2}')), text("ok"))

    payloads = await take(turn(world, tools=[ADD]))

    deltas = [
        p.delta
        for p in payloads
        if p.event_type == "step_progress" and p.step_type == "inference" and p.delta.type == "tool_call"
    ]
    assert [d.parse_status for d in deltas][-4:] == ["in_progress", "succeeded", "in_progress", "succeeded"]
    assert "".join(d.tool_call for d in deltas if isinstance(d.tool_call, str)) == 'add(add({"a":1}{"a":2}))'
    assert isinstance(deltas[-1].tool_call, ToolCall)
    assert deltas[-1].tool_call.arguments == '{"a":2}'


async def test_a_client_tool_makes_the_turn_wait_after_the_servers_tools_ran() -> None:
    world = World(calls(("add", '{"a":1}'), ("ask_person", "{}")))

    payloads = await take(turn(world, tools=[ADD], client_tools=[ASK]))

    last = payloads[-1]
    assert last.event_type == "turn_awaiting_input"
    assert world.ran == [("add", {"a": 1})]
    assert [call.tool_name for call in last.turn.output_message.tool_calls] == ["ask_person"]
    assert last.turn.output_message.stop_reason == "end_of_message"
    assert last.turn.completed_at is None
    assert len(last.turn.steps[0].model_response.tool_calls) == 2


async def test_a_resumed_turn_begins_with_the_answers_in_one_step() -> None:
    world = World(text("thanks"))
    state = turn(world, client_tools=[ASK])
    state.is_resumed = True
    state.answered_calls = [ToolCall(call_id="c1", tool_name="ask_person", arguments="{}")]
    state.answers = [ToolResponse(call_id="c1", tool_name="ask_person", content="yes")]
    state.messages.append({"role": "assistant", "content": "", "tool_calls": []})

    payloads = await take(state)

    assert kinds(payloads)[:2] == ["step_complete tool_execution", "step_start inference"]
    assert world.asked[0]["messages"][-1] == {"role": "tool", "tool_call_id": "c1", "content": "yes"}


async def test_iterations_used_up_end_the_turn_without_running_the_calls() -> None:
    world = World(calls(("add", '{"a":1}')), calls(("add", '{"a":2}')))

    payloads = await take(turn(world, tools=[ADD], max_infer_iters=2))

    assert payloads[-1].event_type == "turn_complete"
    assert len(world.ran) == 1
    output = payloads[-1].turn.output_message
    assert output.stop_reason == "end_of_turn"
    assert output.tool_calls[0].arguments == '{"a":2}'


@pytest.mark.parametrize(
    ("finish", "reason"), [("stop", "end_of_turn"), ("length", "out_of_tokens"), ("odd", "end_of_turn")]
)
async def test_stop_reasons_are_mapped(finish: str, reason: str) -> None:
    payloads = await take(turn(World(text("x", finish=finish))))

    assert payloads[-1].turn.output_message.stop_reason == reason


async def test_calls_of_a_message_cut_by_length_are_not_run() -> None:
    world = World(calls(("add", '{"a"'), finish="length"))

    payloads = await take(turn(world, tools=[ADD]))

    assert world.ran == []
    assert payloads[-1].turn.output_message.stop_reason == "out_of_tokens"


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", "nonsense"])
async def test_unreadable_arguments_are_told_to_the_model(arguments: str) -> None:
    world = World(calls(("add", arguments)), text("sorry"))

    payloads = await take(turn(world, tools=[ADD]))

    failed = [p.delta for p in payloads if getattr(getattr(p, "delta", None), "parse_status", "") == "failed"]
    response = payloads[-1].turn.steps[1].tool_responses[0]
    assert failed[0].tool_call == f"add({arguments})"
    assert world.ran == []
    assert response.metadata == {"error": True}
    assert world.asked[1]["messages"][-2]["tool_calls"][0]["function"]["arguments"] == "{}"


async def test_a_client_tool_with_unreadable_arguments_is_answered_here() -> None:
    world = World(calls(("ask_person", "{bad")), text("sorry"))

    payloads = await take(turn(world, client_tools=[ASK]))

    assert payloads[-1].event_type == "turn_complete"


@pytest.mark.parametrize("answer", [RuntimeError("broken"), "", None])
async def test_a_tool_that_fails_or_says_nothing_does_not_end_the_turn(answer: Any) -> None:
    world = World(calls(("add", '{"a":1}')), text("sorry"))
    world.tool_answer = answer

    payloads = await take(turn(world, tools=[ADD]))

    assert payloads[-1].turn.output_message.content == "sorry"
    assert payloads[-1].turn.steps[1].tool_responses[0].metadata == {"error": True}


async def test_an_unknown_tool_is_named_with_those_that_exist() -> None:
    world = World(calls(("subtract", "{}")), text("sorry"))

    payloads = await take(turn(world, tools=[ADD]))

    assert "There is no tool 'subtract'. Tools: add." in payloads[-1].turn.steps[1].tool_responses[0].content


async def test_a_forced_call_is_forced_once() -> None:
    world = World(calls(("add", '{"a":1}')), text("done"))

    await take(turn(world, tools=[ADD], choice="required"))

    assert [body["tool_choice"] for body in world.asked] == ["required", "auto"]


async def test_a_named_choice_is_sent_as_a_function_and_none_sends_no_tools() -> None:
    named, none = World(text("x")), World(text("x"))

    await take(turn(named, tools=[ADD], choice="add"))
    await take(turn(none, tools=[ADD], choice="none"))

    assert named.asked[0]["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert "tools" not in none.asked[0]


async def test_web_search_is_offered_as_brave_search_and_runs_as_web_search() -> None:
    world = World(calls(("brave_search", '{"query":"x"}')), text("found"))

    await take(turn(world, tools=[ToolDef(name="web_search")]))

    assert world.asked[0]["tools"][0]["function"]["name"] == "brave_search"
    assert world.ran == [("web_search", {"query": "x"})]


async def test_an_input_shield_blocks_before_the_model_is_asked() -> None:
    world = World()
    world.verdicts["guard"] = SafetyViolation(violation_level="error", metadata={}, user_message="No.")

    payloads = await take(turn(world, input_shields=["guard"]))

    assert kinds(payloads) == ["turn_start", "step_start shield_call", "step_complete shield_call", "turn_complete"]
    assert payloads[-1].turn.output_message.content == "No."
    assert payloads[1].metadata == {"touchpoint": "user-input"}


async def test_a_warning_is_recorded_and_does_not_block() -> None:
    world = World(text("fine"))
    world.verdicts["guard"] = SafetyViolation(violation_level="warn", metadata={}, user_message="Hm.")

    payloads = await take(turn(world, input_shields=["guard"]))

    assert payloads[-1].turn.output_message.content == "fine"
    assert payloads[-1].turn.steps[0].violation.violation_level == "warn"


async def test_an_output_shield_keeps_the_text_back_until_it_looked() -> None:
    world = World(text("se", "cret"))
    world.verdicts["guard"] = SafetyViolation(violation_level="error", metadata={})

    payloads = await take(turn(world, output_shields=["guard"]))

    assert not [p for p in payloads if p.event_type == "step_progress"]
    assert payloads[-1].turn.steps[0].model_response.content == "The answer was blocked by a safety shield."
    assert payloads[-1].turn.output_message.content == "The answer was blocked by a safety shield."
    assert world.looked_at[0][-1] == {"role": "assistant", "content": "secret"}


async def test_an_output_shield_lets_a_good_answer_out_whole() -> None:
    payloads = await take(turn(World(text("a", "b")), output_shields=["guard"]))

    assert kinds(payloads)[2:6] == ["step_progress inference"] * 2 + [
        "step_complete inference",
        "step_start shield_call",
    ]
    assert payloads[-1].turn.output_message.content == "ab"


async def test_a_blocked_answer_is_not_waited_for() -> None:
    world = World(calls(("ask_person", "{}")))
    world.verdicts["guard"] = SafetyViolation(violation_level="error", metadata={}, user_message="No.")

    payloads = await take(turn(world, client_tools=[ASK], output_shields=["guard"]))

    assert payloads[-1].event_type == "turn_complete"
    assert payloads[-1].turn.output_message.tool_calls == []


async def test_stop_keeps_the_text_written_so_far() -> None:
    state = turn(World([*text("half", usage=False)[:1], {"hang": True}]))
    seen: list[Event] = []

    async def run() -> None:
        async for event in take_turn(state):
            seen.append(event)

    task = asyncio.create_task(run())
    while len(seen) < 3:
        await asyncio.sleep(0)
    state.stop_asked = True
    task.cancel()
    await task

    assert state.is_stopped
    assert seen[-1].payload.event_type == "turn_complete"
    assert seen[-1].payload.turn.output_message.content == "half"


async def test_a_cancellation_nobody_asked_for_is_not_swallowed() -> None:
    state = turn(World([{"hang": True}]))
    task = asyncio.create_task(take(state))
    await asyncio.sleep(0.01)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_usage_and_first_token_are_facts_of_the_step() -> None:
    events = [event async for event in take_turn(turn(World(text("a", "b"))))]

    facts = next(event.facts for event in events if event.payload.event_type == "step_complete")
    assert facts["input_tokens"] == 7
    assert facts["output_tokens"] == 2
    assert facts["first_token_ms"] >= 0


async def test_call_ids_a_backend_leaves_out_or_repeats_are_made_unique() -> None:
    stream = calls(("add", '{"a":1}'))
    world = World(stream, calls(("add", '{"a":1}')), text("x"))

    steps = (await take(turn(world, tools=[ADD])))[-1].turn.steps

    ids = [call.call_id for step in steps if step.step_type == "tool_execution" for call in step.tool_calls]
    assert len(set(ids)) == 2


async def test_stop_leaves_the_remaining_tools_alone() -> None:
    world = World(calls(("add", '{"a":1}'), ("add", '{"a":2}'), ("add", '{"a":3}')))
    state = turn(world, tools=[ADD])

    async def stop_in_the_first(name: str, arguments: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        world.ran.append((name, arguments))
        state.stop_asked = True
        return "1", {}

    state.run_tool = stop_in_the_first

    payloads = await take(state)

    assert len(world.ran) == 1
    assert payloads[-1].turn.output_message.tool_calls == []


async def test_an_answer_no_shield_has_seen_is_not_let_out_by_a_stop() -> None:
    world = World(text("secret"))
    state = turn(world, output_shields=["guard"])

    async def look_for_ever(ids: list[str], messages: list[dict[str, Any]]) -> list[SafetyViolation | None]:
        await asyncio.sleep(60)
        return []

    state.run_shields = look_for_ever
    task = asyncio.create_task(take(state))
    await asyncio.sleep(0.05)
    state.stop_asked = True
    task.cancel()

    payloads = await task

    assert "secret" not in str([payload.model_dump() for payload in payloads])


async def test_calls_are_shown_and_text_before_them_is_not_while_shields_watch() -> None:
    stream = [{"choices": [{"delta": {"content": "hidden"}}]}, *calls(("add", '{"a":1}'))]
    world = World(stream, text("ok"))

    payloads = await take(turn(world, tools=[ADD], output_shields=["guard"]))

    deltas = [p.delta for p in payloads if p.event_type == "step_progress" and p.step_type == "inference"]
    assert (
        "".join(d.tool_call for d in deltas if d.type == "tool_call" and isinstance(d.tool_call, str)) == 'add({"a":1})'
    )
    assert "hidden" not in [d.text for d in deltas if d.type == "text"]
