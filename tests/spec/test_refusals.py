"""Every refusal and failure of the operations of agents: an Error body, its status, and a sentence naming the cause."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from apps.core import db
from tests import build
from tests.spec.calls import GONE, HELLO, Checked, answers_to


@pytest.mark.parametrize("query", ["limit=-2", "start_index=-1", "limit=many", "start_index=1.5"])
async def test_a_wrong_slice_is_refused(calls: Checked, query: str, agent: Any) -> None:
    for path in ("/agents", f"/agents/{agent.agent_id}/sessions"):
        refused = await calls.get(f"{path}?{query}", status=400)

        assert query.split("=")[0] in refused["detail"]


async def test_a_resume_that_does_not_fit_is_refused(calls: Checked, asking: Any) -> None:
    path = f"/agents/{asking.agent.agent_id}/session/{asking.session_id}/turn"
    waiting = await calls.post(path, HELLO)
    resume = f"{path}/{waiting['turn_id']}/resume"
    answers = answers_to(waiting)
    twice = {"tool_responses": [answers["tool_responses"][0]] * 2}
    strange = {"tool_responses": [*answers["tool_responses"], {"call_id": "x", "tool_name": "y", "content": ""}]}

    await calls.post(resume, twice, status=400)
    await calls.post(resume, strange, status=400)
    await calls.post(resume, {"tool_responses": {"a": "b"}}, status=400)
    await calls.post(f"{path}/{GONE}/resume", answers, status=404)
    await calls.post(resume, answers)
    await calls.post(resume, answers, status=409)


@pytest.mark.parametrize("left", ["agents/{GONE}", "agents/{agent}/session/{GONE}"])
async def test_what_does_not_exist_is_told_by_every_operation(
    calls: Checked, agent: Any, session: Any, left: str
) -> None:
    here = "/" + left.format(GONE=GONE, agent=agent.agent_id)
    agent_path = here if "session" not in here else f"/agents/{agent.agent_id}"
    path = here if "session" in here else f"{here}/session/{session.session_id}"
    answers = {"tool_responses": [{"call_id": "c", "tool_name": "t", "content": ""}]}

    if "session" not in left:
        await calls.get(agent_path, status=404)
        await calls.delete(agent_path, status=404)
        await calls.get(f"{agent_path}/sessions", status=404)
        await calls.post(f"{agent_path}/session", {"session_name": "S"}, status=404)
    await calls.get(path, status=404)
    await calls.delete(path, status=404)
    await calls.post(f"{path}/turn", HELLO, status=404)
    await calls.post(f"{path}/turn", {**HELLO, "stream": True}, status=404)
    await calls.get(f"{path}/turn/{GONE}", status=404)
    await calls.post(f"{path}/turn/{GONE}/resume", answers, status=404)
    await calls.get(f"{path}/turn/{GONE}/step/{GONE}", status=404)


async def test_a_turn_or_step_that_does_not_exist_is_told(calls: Checked, agent: Any, session: Any) -> None:
    path = f"/agents/{agent.agent_id}/session/{session.session_id}/turn"
    turn = await calls.post(path, HELLO)

    await calls.get(f"{path}/{GONE}", status=404)
    await calls.get(f"{path}/{GONE}/step/{turn['steps'][0]['step_id']}", status=404)
    await calls.get(f"{path}/{turn['turn_id']}/step/{GONE}", status=404)


BAD_AGENTS = [
    ({}, "agent_config"),
    ({"agent_config": {"instructions": "x"}}, "model"),
    ({"agent_config": build.config(instruction="x")}, "did you mean 'instructions'"),
    ({"agent_config": build.config(max_infer_iters="many")}, "max_infer_iters"),
    ({"agent_config": build.config(sampling_params={"strategy": {"type": "best"}})}, "strategy"),
    ({"agent_config": build.config(client_tools=[build.tool(), build.tool()])}, "get_weather"),
    ({"agent_config": build.config(tool_choice="none", tool_config={"tool_choice": "auto"})}, "deprecated"),
    ([], "body"),
]
PASSWD = {"content": {"uri": "file:///etc/passwd"}, "mime_type": "text/plain"}
BAD_TURNS = [
    ({}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, "role"),
    ({"messages": [{"role": "user"}]}, "content"),
    ({"messages": [build.said("x")], "streaming": True}, "did you mean 'stream'"),
    ({"messages": [build.said("x")], "documents": [PASSWD]}, "file"),
    ({"messages": [build.said("x")], "tool_config": {"tool_choice": "nobody"}}, "nobody"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "named"), BAD_AGENTS)
async def test_a_wrong_agent_is_refused_by_name(calls: Checked, body: Any, named: str) -> None:
    assert named in (await calls.post("/agents", body, status=400))["detail"]


@pytest.mark.parametrize(("body", "named"), BAD_TURNS)
async def test_a_wrong_turn_is_refused_by_name(calls: Checked, agent: Any, session: Any, body: Any, named: str) -> None:
    path = f"/agents/{agent.agent_id}/session/{session.session_id}/turn"

    assert named in (await calls.post(path, body, status=400))["detail"]
    assert named in (await calls.post(path, {**body, "stream": True}, status=400))["detail"]


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b'{"agent_config": NaN}', b'"\\u0000"', b"nonsense"])
async def test_what_is_not_json_is_refused(calls: Checked, body: bytes) -> None:
    refused = await calls.call(
        "POST", "/agents", status=400, content=body, headers={"content-type": "application/json"}
    )

    assert "Traceback" not in refused["detail"]


async def test_a_nul_is_refused_wherever_it_stands_in_a_body(calls: Checked) -> None:
    for fields in ({"name": "a\0b"}, {"instructions": "\\\0"}, {"toolgroups": [{"name": "a", "args": {"\0": 1}}]}):
        refused = await calls.post("/agents", {"agent_config": build.config(**fields)}, status=400)

        assert "NUL" in refused["detail"]


async def test_the_word_for_a_nul_is_no_nul(calls: Checked, model: str) -> None:
    made = await calls.post("/agents", {"agent_config": build.config(instructions=r"a\u0000b")})

    kept = await calls.get(f"/agents/{made['agent_id']}")
    assert kept["agent_config"]["instructions"] == r"a\u0000b"


async def test_an_unknown_toolgroup_shield_or_model_is_not_found(calls: Checked, model: str) -> None:
    for fields in ({"toolgroups": ["mcp::nowhere"]}, {"input_shields": ["nobody"]}, {"model": "no/where"}):
        made = await calls.post("/agents", {"agent_config": build.config(**fields)})
        path = f"/agents/{made['agent_id']}/session"
        opened = await calls.post(path, {"session_name": "S"})

        missing = await calls.post(f"{path}/{opened['session_id']}/turn", {**HELLO, "stream": True}, status=404)

        assert any(word in missing["detail"] for word in ("nowhere", "nobody", "no/where")), missing


async def test_a_model_that_fails_is_a_bad_gateway_and_an_error_frame(
    calls: Checked, scripted: Callable[..., str]
) -> None:
    await db.write(scripted, {"text": "I was about to ", "error": "The model server cut the line.", "status": 502})
    one, other = await db.write(lambda: [build.session(build.agent()) for _ in range(2)])

    failed = await calls.post(f"/agents/{one.agent.agent_id}/session/{one.session_id}/turn", HELLO, status=502)
    frames = await calls.frames(f"/agents/{other.agent.agent_id}/session/{other.session_id}/turn", HELLO)

    assert "cut the line" in failed["detail"]
    assert "cut the line" in frames[-1]["error"]["message"]
    for session in (one, other):
        # What was said before the failure is kept: nothing is lost.
        stored = await calls.get(f"/agents/{session.agent.agent_id}/session/{session.session_id}")
        assert "I was about to" in str(stored["turns"][0])


@pytest.mark.parametrize(("role", "status"), [("", 401), ("viewer", 403)])
async def test_who_may_not_write_is_told_so(
    client_for: Callable[..., httpx2.AsyncClient], agent: Any, session: Any, role: str, status: int
) -> None:
    for prefix in ("/v1alpha", "/v1"):
        calls = Checked(client_for(role), prefix)
        path = f"/agents/{agent.agent_id}/session/{session.session_id}"
        await calls.post("/agents", {"agent_config": build.config()}, status=status)
        await calls.post(f"/agents/{agent.agent_id}/session", {"session_name": "S"}, status=status)
        await calls.post(f"{path}/turn", HELLO, status=status)
        await calls.post(f"{path}/turn/{GONE}/resume", {"tool_responses": []}, status=status)
        await calls.delete(path, status=status)
        await calls.delete(f"/agents/{agent.agent_id}", status=status)


async def test_a_stranger_reads_nothing_and_a_viewer_everything(
    client_for: Callable[..., httpx2.AsyncClient], api: httpx2.AsyncClient, agent: Any, session: Any
) -> None:
    turn = await Checked(api).post(f"/agents/{agent.agent_id}/session/{session.session_id}/turn", HELLO)
    path = f"/agents/{agent.agent_id}/session/{session.session_id}"
    reads = [
        "/agents", f"/agents/{agent.agent_id}", f"/agents/{agent.agent_id}/sessions", path,
        f"{path}/turn/{turn['turn_id']}", f"{path}/turn/{turn['turn_id']}/step/{turn['steps'][0]['step_id']}",
    ]  # fmt: skip

    for read in reads:
        await Checked(client_for("viewer")).get(read)
        await Checked(client_for("")).get(read, status=401)


async def test_unknown_paths_and_methods_answer_with_an_error_body(api: httpx2.AsyncClient, agent: Any) -> None:
    for method, path, status in (
        ("GET", "/v1alpha/nothing", 404),
        ("POST", f"/v1alpha/agents/{agent.agent_id}/turns", 404),
        ("PUT", "/v1alpha/agents", 405),
        ("PATCH", f"/v1/agents/{agent.agent_id}", 405),
    ):
        answer = await api.request(method, path)

        assert answer.status_code == status
        assert answer.json()["status"] == status
        assert set(answer.json()) <= {"status", "title", "detail", "instance"}


async def test_turns_of_a_session_never_overlap(calls: Checked, scripted: Callable[..., str]) -> None:
    await db.write(scripted, {"text": "Slowly.", "delay_s": 0.4})
    session = await db.write(lambda: build.session(build.agent()))
    path = f"/agents/{session.agent.agent_id}/session/{session.session_id}/turn"

    answers = await _together(calls.api, calls.prefix + path)

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.headers["x-should-retry"] == "false"


async def _together(api: httpx2.AsyncClient, path: str) -> list[httpx2.Response]:
    return await asyncio.gather(*(api.post(path, json=HELLO) for _ in range(2)))
