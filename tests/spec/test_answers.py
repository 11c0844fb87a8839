"""Every success of every operation of agents, held against the contract, under both prefixes."""

from typing import Any

import httpx2
import pytest

from tests import build
from tests.spec.calls import GONE, HELLO, Checked, answers_to, kinds, text_of


async def test_an_agent_is_made_read_listed_and_deleted(calls: Checked) -> None:
    made = await calls.post("/agents", {"agent_config": build.config(name="Ana")})
    read = await calls.get(f"/agents/{made['agent_id']}")
    listed = await calls.get("/agents")

    assert read["agent_config"]["max_infer_iters"] == 10
    assert read["agent_config"]["tool_config"] == {"tool_choice": "auto", "system_message_behavior": "append"}
    assert read["agent_config"]["sampling_params"]["strategy"] == {"type": "greedy"}
    assert listed["data"] == [read]
    assert listed["url"] == f"{calls.prefix}/agents"
    assert await calls.delete(f"/agents/{made['agent_id']}") is None
    await calls.get(f"/agents/{made['agent_id']}", status=404)


async def test_every_part_of_a_configuration_comes_back(calls: Checked) -> None:
    config = build.config(
        name="Full",
        sampling_params={
            "strategy": {"type": "top_p", "temperature": 0.7, "top_p": 0.9},
            "max_tokens": 50,
            "repetition_penalty": 1.1,
            "stop": ["END"],
        },
        toolgroups=["builtin::rag", {"name": "mcp::files", "args": {"root": "/", "deep": [1, None]}}],
        client_tools=[build.tool()],
        input_shields=["a"],
        output_shields=["b"],
        tool_config={"tool_choice": "required", "tool_prompt_format": "json", "system_message_behavior": "replace"},
        max_infer_iters=3,
        enable_session_persistence=True,
        response_format={"type": "json_schema", "json_schema": {"type": "object"}},
    )

    made = await calls.post("/agents", {"agent_config": config})
    read = (await calls.get(f"/agents/{made['agent_id']}"))["agent_config"]

    assert {name: read[name] for name in config} == config


@pytest.mark.parametrize(
    ("query", "found", "more"),
    [("", [0, 1, 2], False), ("limit=2", [0, 1], True), ("start_index=1&limit=2", [1, 2], False),
     ("limit=0", [], True), ("limit=-1&start_index=2", [2], False), ("start_index=3&limit=1", [], False),
     ("start_index=1", [1, 2], False)],
)  # fmt: skip
async def test_lists_are_sliced(calls: Checked, query: str, found: list[int], more: bool) -> None:
    made = [(await calls.post("/agents", {"agent_config": build.config()}))["agent_id"] for _ in range(3)]
    sessions = [(await calls.post(f"/agents/{made[0]}/session", {"session_name": "S"}))["session_id"] for _ in range(3)]

    agents = await calls.get(f"/agents?{query}")
    of_agent = await calls.get(f"/agents/{made[0]}/sessions?{query}")

    assert [one["agent_id"] for one in agents["data"]] == [made[index] for index in found]
    assert [one["session_id"] for one in of_agent["data"]] == [sessions[index] for index in found]
    assert agents["has_more"] == of_agent["has_more"] == more


async def test_a_session_is_opened_read_and_deleted(calls: Checked, agent: Any) -> None:
    made = await calls.post(f"/agents/{agent.agent_id}/session", {"session_name": "Trip"})
    path = f"/agents/{agent.agent_id}/session/{made['session_id']}"
    turns = [await calls.post(f"{path}/turn", HELLO) for _ in range(2)]

    whole = await calls.get(path)
    listed = await calls.get(f"/agents/{agent.agent_id}/sessions")

    assert whole["session_name"] == "Trip"
    assert whole["turns"] == turns
    assert listed["data"] == [{**whole, "turns": []}]
    ids = [turn["turn_id"] for turn in turns]
    for query, kept in (
        (f"turn_ids={ids[1]}", [turns[1]]),
        (f"turn_ids={ids[1]},{ids[0]},{GONE}", turns),
        (f"turn_ids={ids[1]}&turn_ids={ids[0]}", turns),
        (f"turn_ids[]={ids[0]}", [turns[0]]),
        ("turn_ids=", turns),
        (f"turn_ids={GONE}", []),
    ):
        assert (await calls.get(f"{path}?{query}"))["turns"] == kept, query
    assert await calls.delete(path) is None
    await calls.get(path, status=404)


async def test_deleting_an_agent_takes_everything_of_it_along(calls: Checked, agent: Any, session: Any) -> None:
    path = f"/agents/{agent.agent_id}/session/{session.session_id}"
    turn = await calls.post(f"{path}/turn", HELLO)

    await calls.delete(f"/agents/{agent.agent_id}")

    await calls.get(path, status=404)
    await calls.get(f"{path}/turn/{turn['turn_id']}", status=404)


async def test_a_turn_is_answered_whole(calls: Checked, agent: Any, session: Any) -> None:
    path = f"/agents/{agent.agent_id}/session/{session.session_id}/turn"

    turn = await calls.post(path, HELLO)
    step = await calls.get(f"{path}/{turn['turn_id']}/step/{turn['steps'][0]['step_id']}")

    assert turn["output_message"]["content"] == "Hello there"
    assert turn["output_message"]["stop_reason"] == "end_of_turn"
    assert turn["input_messages"] == HELLO["messages"]
    assert turn["started_at"] < turn["steps"][0]["started_at"] < turn["steps"][0]["completed_at"] < turn["completed_at"]
    assert await calls.get(f"{path}/{turn['turn_id']}") == turn
    assert step == {"step": turn["steps"][0]}


async def test_a_turn_is_streamed(calls: Checked, agent: Any, session: Any) -> None:
    path = f"/agents/{agent.agent_id}/session/{session.session_id}/turn"

    payloads = await calls.payloads(path, HELLO)

    assert kinds(payloads) == [
        "turn_start", "step_start inference", "step_progress inference", "step_complete inference", "turn_complete",
    ]  # fmt: skip
    assert text_of(payloads) == "Hello there"
    assert await calls.get(f"{path}/{payloads[0]['turn_id']}") == payloads[-1]["turn"]


async def test_a_turn_waits_for_the_callers_tools_and_is_resumed(calls: Checked, asking: Any) -> None:
    path = f"/agents/{asking.agent.agent_id}/session/{asking.session_id}/turn"

    waiting = await calls.post(path, HELLO)
    refused = await calls.post(f"{path}/{waiting['turn_id']}/resume", {"tool_responses": []}, status=400)
    done = await calls.post(f"{path}/{waiting['turn_id']}/resume", answers_to(waiting))

    assert waiting["output_message"]["stop_reason"] == "end_of_message"
    assert "completed_at" not in waiting
    assert all(isinstance(call["arguments"], str) for call in waiting["output_message"]["tool_calls"])
    assert waiting["output_message"]["tool_calls"][0]["call_id"] in refused["detail"]
    assert [step["step_type"] for step in done["steps"]] == ["inference", "tool_execution", "inference"]
    assert done["steps"][0] == waiting["steps"][0]
    assert len(done["steps"][1]["tool_responses"]) == 2
    assert done["output_message"]["content"] == "Sunny in Porto."
    assert (done["turn_id"], done["started_at"]) == (waiting["turn_id"], waiting["started_at"])


async def test_a_streamed_turn_waits_and_its_resume_is_streamed(calls: Checked, asking: Any) -> None:
    path = f"/agents/{asking.agent.agent_id}/session/{asking.session_id}/turn"

    asked = await calls.payloads(path, HELLO)
    turn = asked[-1]["turn"]
    resumed = await calls.payloads(
        f"{path}/{turn['turn_id']}/resume", answers_to(turn, [{"type": "text", "text": "sun"}])
    )

    assert kinds(asked)[-1] == "turn_awaiting_input"
    parsed = [p["delta"] for p in asked if p.get("delta", {}).get("parse_status") == "succeeded"]
    assert [delta["tool_call"]["tool_name"] for delta in parsed] == ["get_weather"] * 2
    assert kinds(resumed) == [
        "step_complete tool_execution", "step_start inference", "step_progress inference", "step_complete inference",
        "turn_complete",
    ]  # fmt: skip


async def test_cancel_and_events_are_ours(api: httpx2.AsyncClient, agent: Any, session: Any) -> None:
    path = f"/v1alpha/agents/{agent.agent_id}/session/{session.session_id}/turn"
    turn = await Checked(api).post(path.removeprefix("/v1alpha"), HELLO)

    over = await api.post(f"{path}/{turn['turn_id']}/cancel")
    events = await api.get(f"{path}/{turn['turn_id']}/events")

    assert over.status_code == 409
    assert events.headers["content-type"].startswith("text/event-stream")
    assert "turn_complete" in events.text
