"""Every agents call of the published client, as a program would make it. Runs in a process with one client version."""

import os
import sys

import llama_stack_client
from llama_stack_client import (
    BadRequestError,
    ConflictError,
    LlamaStackClient,
    NotFoundError,
    PermissionDeniedError,
)

TOOL = {
    "name": "get_weather",
    "description": "Tell the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
OLD_TOOL = {
    "name": "get_weather",
    "description": "Tell the weather of a city.",
    "parameters": [{"name": "city", "parameter_type": "string", "description": "Where.", "required": True}],
}
is_new = llama_stack_client.__version__.startswith("0.3")
model = os.environ["MODEL"]
client = LlamaStackClient(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], timeout=60)
agents = client.alpha.agents if is_new else client.agents
can_read = hasattr(agents, "retrieve")  # the oldest of the three has no call for it


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def refused(kind: type[Exception], call, **arguments) -> str:
    try:
        call(**arguments)
    except kind as error:
        return str(error)
    raise AssertionError(f"{kind.__name__} was not raised")


def agents_and_sessions() -> tuple[str, str]:
    config = {
        "model": model,
        "instructions": "Be brief.",
        "name": "Raw",
        "client_tools": [TOOL if is_new else OLD_TOOL],
        "sampling_params": {"strategy": {"type": "top_p", "temperature": 0.5, "top_p": 0.9}, "max_tokens": 200},
    }
    agent_id = agents.create(agent_config=config).agent_id
    session_id = agents.session.create(agent_id, session_name="Raw").session_id
    if can_read:
        kept = agents.retrieve(agent_id)
        assert kept.agent_config.client_tools[0].name == "get_weather"
        assert kept.agent_config.max_infer_iters == 10
        assert agent_id in [one["agent_id"] for one in agents.list().data]
        assert [one["session_id"] for one in agents.session.list(agent_id).data] == [session_id]
    assert agents.session.retrieve(session_id, agent_id=agent_id).turns == []
    return agent_id, session_id


def a_turn(agent_id: str, session_id: str) -> None:
    where = {"agent_id": agent_id, "session_id": session_id}
    turn = agents.turn.create(**where, messages=[user("say:Hello from the model.")])
    assert turn.output_message.content == "Hello from the model.", turn
    again = agents.turn.retrieve(turn.turn_id, **where)
    assert again.steps[0].step_type == "inference"
    assert again.started_at < again.steps[0].started_at < again.steps[0].completed_at < again.completed_at
    step = agents.steps.retrieve(again.steps[0].step_id, **where, turn_id=turn.turn_id).step
    assert step.api_model_response.content == "Hello from the model."
    only = agents.session.retrieve(session_id, agent_id=agent_id, turn_ids=[turn.turn_id])
    assert [one.turn_id for one in only.turns] == [turn.turn_id]


def a_streamed_turn(agent_id: str, session_id: str) -> None:
    chunks = list(agents.turn.create(agent_id=agent_id, session_id=session_id, messages=[user("Count.")], stream=True))
    payloads = [chunk.event.payload for chunk in chunks]
    text = "".join(p.delta.text for p in payloads if p.event_type == "step_progress" and p.delta.type == "text")
    assert text.startswith("tok0 tok1 "), text
    assert payloads[-1].event_type == "turn_complete"
    assert payloads[-1].turn.output_message.content == text


def a_waiting_turn(agent_id: str, session_id: str) -> None:
    where = {"agent_id": agent_id, "session_id": session_id}
    asked = list(agents.turn.create(**where, messages=[user('call:get_weather {"city": "Porto"}')], stream=True))
    last = asked[-1].event.payload
    assert last.event_type == "turn_awaiting_input", last
    call = last.turn.output_message.tool_calls[0]
    assert (call.tool_name, call.arguments) == ("get_weather", '{"city": "Porto"}'), call
    answer = {"call_id": call.call_id, "tool_name": call.tool_name, "content": "sunny"}
    error = refused(BadRequestError, agents.turn.resume, **where, turn_id=last.turn.turn_id, tool_responses=[])
    assert call.call_id in error
    done = list(agents.turn.resume(**where, turn_id=last.turn.turn_id, tool_responses=[answer], stream=True))
    turn = done[-1].event.payload.turn
    assert turn.output_message.content == "get_weather returned: sunny", turn
    assert [step.step_type for step in turn.steps] == ["inference", "tool_execution", "inference"]
    error = refused(ConflictError, agents.turn.resume, **where, turn_id=turn.turn_id, tool_responses=[answer])
    assert "409" in error


def failures(agent_id: str, session_id: str) -> None:
    refused(NotFoundError, agents.session.create, agent_id="nobody", session_name="x")
    refused(BadRequestError, agents.create, agent_config={"model": model})
    where = {"agent_id": agent_id, "session_id": session_id}
    # The client hands a failure on as a chunk of its own, without an event.
    last = list(agents.turn.create(**where, messages=[user("drop:3")], stream=True))[-1]
    assert "openai" in last.error["message"], last
    reader = LlamaStackClient(base_url=os.environ["BASE_URL"], api_key=os.environ["VIEWER_KEY"])
    readers = reader.alpha.agents if is_new else reader.agents
    refused(PermissionDeniedError, readers.delete, agent_id=agent_id)


def gone(agent_id: str, session_id: str) -> None:
    agents.session.delete(session_id, agent_id=agent_id)
    refused(NotFoundError, agents.session.retrieve, session_id=session_id, agent_id=agent_id)
    agents.delete(agent_id)
    refused(NotFoundError, agents.delete, agent_id=agent_id)


ids = agents_and_sessions()
a_turn(*ids)
a_streamed_turn(*ids)
a_waiting_turn(*ids)
failures(*ids)
gone(*ids)
assert model in [one.identifier for one in client.models.list()]
assert client.models.retrieve(model).api_model_type == "llm" if is_new else client.models.retrieve(model)
assert "openai" in [one.provider_id for one in client.providers.list()]
assert client.inspect.health().status == "OK"
assert client.inspect.version().version
sys.stdout.write("all calls were answered as a client expects\n")
