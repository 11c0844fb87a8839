"""Turns through the API on a scripted model: what is stored, who may go on, what the model gets to read."""

import asyncio
import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from django.utils.timezone import now

from apps.agents import models, preparation, records, turns
from apps.core import db, live
from tests import build

Api = httpx2.AsyncClient
CALL = {"tool_calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}]}


class Talk:
    """A session and the calls on it."""

    def __init__(self, api: Api, session: Any) -> None:
        self.api, self.session = api, session
        self.path = f"/v1alpha/agents/{session.agent.agent_id}/session/{session.session_id}"

    async def say(self, text: str = "hi", **body: Any) -> httpx2.Response:
        return await self.api.post(f"{self.path}/turn", json={"messages": [build.said(text)], **body})

    async def resume(self, turn: dict[str, Any], *answers: Any, **body: Any) -> httpx2.Response:
        responses = [answer if isinstance(answer, dict) else reply(turn, answer) for answer in answers]
        return await self.api.post(
            f"{self.path}/turn/{turn['turn_id']}/resume", json={"tool_responses": responses, **body}
        )

    async def turns(self) -> list[dict[str, Any]]:
        return list((await self.api.get(self.path)).json()["turns"])


def reply(turn: dict[str, Any], text: str) -> dict[str, Any]:
    """An answer to the turn's first open call."""
    call = turn["output_message"]["tool_calls"][0]
    return {"call_id": call["call_id"], "tool_name": call["tool_name"], "content": text}


@pytest.fixture
def talk(api: Api, scripted: Callable[..., str]) -> Callable[..., Talk]:
    """Open a session with an agent whose model plays these lines."""

    def open_session(*lines: Any, agent: dict[str, Any] | None = None, **config: Any) -> Talk:
        model = scripted(*lines, **config)
        return Talk(api, build.session(build.agent(model=model, **(agent or {}))))

    return open_session


ASKING = {"client_tools": [build.tool()]}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the model is asked, call by call."""
    asked: list[dict[str, Any]] = []
    stream = preparation.chat.stream

    def remember(target: Any, body: dict[str, Any]) -> Any:
        asked.append({**body, "messages": list(body["messages"])})
        return stream(target, body)

    monkeypatch.setattr(preparation.chat, "stream", remember)
    return asked


@pytest.fixture(autouse=True)
def kept(transactional_db: None) -> None:
    """Rows outlive the test's own transaction: the console writes on threads of its own."""


async def test_earlier_turns_are_part_of_the_next(talk: Callable[..., Talk], shown: list[dict[str, Any]]) -> None:
    session = await asyncio.to_thread(talk, "one", "two")

    await session.say("first")
    await session.say("second")

    said = [(message["role"], message["content"]) for message in shown[-1]["messages"]]
    assert said == [("system", "Be brief."), ("user", "first"), ("assistant", "one"), ("user", "second")]


async def test_a_call_and_its_answer_are_shown_to_the_model(
    talk: Callable[..., Talk], shown: list[dict[str, Any]]
) -> None:
    session = await asyncio.to_thread(talk, CALL, "sunny", agent=ASKING)
    waiting = (await session.say()).json()

    done = (await session.resume(waiting, "22 degrees")).json()

    assert [message["role"] for message in shown[-1]["messages"]] == ["system", "user", "assistant", "tool"]
    assert shown[-1]["messages"][2]["tool_calls"][0]["function"]["name"] == "get_weather"
    assert done["turn_id"] == waiting["turn_id"]
    assert done["started_at"] == waiting["started_at"]
    assert [step["step_type"] for step in done["steps"]] == ["inference", "tool_execution", "inference"]
    assert done["output_message"]["content"] == "sunny"
    assert len(await session.turns()) == 1


async def test_times_keep_rising_over_a_resume(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, CALL, "sunny", agent=ASKING)
    waiting = (await session.say()).json()

    steps = (await session.resume(waiting, "x")).json()["steps"]

    times = [step[name] for step in steps for name in ("started_at", "completed_at")]
    assert times == sorted(set(times))


async def test_of_two_answers_at_once_one_counts(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, CALL, "sunny", agent=ASKING)
    waiting = (await session.say()).json()

    answers = await asyncio.gather(*(session.resume(waiting, f"answer {n}") for n in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    steps = (await session.turns())[0]["steps"]
    assert [step["step_type"] for step in steps].count("tool_execution") == 1


async def test_only_the_newest_turn_can_be_resumed(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, CALL, "later", agent=ASKING)
    waiting = (await session.say()).json()
    await session.say("never mind")

    late = await session.resume(waiting, "x")

    assert late.status_code == 409
    assert late.headers["x-should-retry"] == "false"


async def test_a_new_message_closes_a_waiting_turn(talk: Callable[..., Talk], shown: list[dict[str, Any]]) -> None:
    session = await asyncio.to_thread(talk, CALL, "later", agent=ASKING)
    await session.say("first")

    await session.say("never mind")

    closed, newest = await session.turns()
    assert "completed_at" in closed
    assert "completed_at" not in newest
    assert [message["content"] for message in shown[-1]["messages"][1:]] == ["first", "never mind"]
    pending = await db.read(lambda: list(models.Pending.objects.values_list("turn__turn_id", flat=True)))
    assert pending == [newest["turn_id"]]


async def test_answers_to_calls_the_client_parsed_itself_are_taken(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, "Action: look it up", "thanks")
    finished = (await session.say()).json()

    resumed = await session.resume(finished, {"call_id": "own-1", "tool_name": "look", "content": "found"})

    assert resumed.status_code == 200
    step = resumed.json()["steps"][1]
    assert step["tool_calls"] == []
    assert step["tool_responses"][0]["content"] == "found"
    again = await session.resume(resumed.json(), {"call_id": "own-1", "tool_name": "look", "content": "found"})
    assert again.status_code == 409 or again.json()["turn_id"] == finished["turn_id"]


async def test_a_renamed_answer_keeps_the_calls_name(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, CALL, "ok", agent=ASKING)
    waiting = (await session.say()).json()

    done = (await session.resume(waiting, {**reply(waiting, "x"), "tool_name": "other"})).json()

    assert done["steps"][1]["tool_responses"][0]["tool_name"] == "get_weather"


async def test_documents_reach_the_model_and_stay_in_history(
    talk: Callable[..., Talk], shown: list[dict[str, Any]]
) -> None:
    session = await asyncio.to_thread(talk, "one", "two")
    coded = base64.b64encode(b"from data").decode()
    documents = [
        {"content": "literal", "mime_type": "text/plain"},
        {"content": {"uri": f"data:text/plain;base64,{coded}"}, "mime_type": "text/plain"},
        {"content": {"type": "url", "uri": "data:,plain%20words"}, "mime_type": "text/plain"},
    ]

    turn = (await session.say("read", documents=documents)).json()
    await session.say("more")

    assert turn["input_messages"] == [build.said("read")]
    assert shown[0]["messages"][-1]["content"] == "read\n\nliteral\nfrom data\nplain words"
    assert shown[1]["messages"][1]["content"] == shown[0]["messages"][1]["content"]


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"content": {"uri": "file:///etc/passwd"}, "mime_type": "text/plain"}, 400),
        ({"content": {"uri": "http://127.0.0.1:1/"}, "mime_type": "text/plain"}, 400),
        ({"content": {"uri": "data:text/plain;base64,@@"}, "mime_type": "text/plain"}, 400),
        ({"content": {"uri": "data:application/zip,x"}, "mime_type": "application/zip"}, 400),
        ({"content": {"uri": "data:nothing"}, "mime_type": "text/plain"}, 400),
    ],
)
async def test_documents_that_cannot_be_read_are_refused(talk: Callable[..., Talk], document: Any, status: int) -> None:
    session = await asyncio.to_thread(talk)

    refused = await session.say("read", documents=[document])

    assert refused.status_code == status
    assert await session.turns() == []


async def test_pictures_are_sent_as_parts(talk: Callable[..., Talk], shown: list[dict[str, Any]]) -> None:
    session = await asyncio.to_thread(talk, "seen")
    picture = {"type": "image", "image": {"data": "iVBORw0KGgo="}}
    content = [{"type": "text", "text": "what is it"}, picture]

    turn = (await session.say(messages=[{"role": "user", "content": content}])).json()

    assert shown[0]["messages"][-1]["content"][1]["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgo="
    assert turn["input_messages"][0]["content"] == content


@pytest.mark.parametrize(
    ("sampling", "sent"),
    [
        ({"strategy": {"type": "greedy"}}, {"temperature": 0}),
        ({"strategy": {"type": "top_p", "temperature": 0.5}}, {"temperature": 0.5, "top_p": 0.95}),
        ({"strategy": {"type": "top_k", "top_k": 5}}, {"top_k": 5}),
        ({"strategy": {"type": "greedy"}, "max_tokens": 9, "stop": ["x"]}, {"max_tokens": 9, "stop": ["x"]}),
        ({"strategy": {"type": "greedy"}, "repetition_penalty": 1.2}, {"repetition_penalty": 1.2}),
    ],
)
async def test_sampling_is_sent_in_the_servers_words(
    talk: Callable[..., Talk], shown: list[dict[str, Any]], sampling: Any, sent: dict[str, Any]
) -> None:
    session = await asyncio.to_thread(talk, "ok", agent={"sampling_params": sampling})

    await session.say()

    assert sent.items() <= shown[0].items()
    assert ("max_tokens" in shown[0]) == ("max_tokens" in sent)


async def test_a_schema_is_wrapped_as_servers_want_it(talk: Callable[..., Talk], shown: list[dict[str, Any]]) -> None:
    schema = {"title": "An answer", "type": "object"}
    session = await asyncio.to_thread(
        talk, "{}", agent={"response_format": {"type": "json_schema", "json_schema": schema}}
    )

    await session.say()

    wrapped = {"name": "An_answer", "schema": schema, "strict": True}
    assert shown[0]["response_format"] == {"type": "json_schema", "json_schema": wrapped}


async def test_older_forms_of_tools_are_converted(api: Api, model: str) -> None:
    parameters = [{"name": "city", "parameter_type": "string", "description": "Where", "required": True}]
    old = {"name": "get_weather", "description": "Weather", "parameters": parameters}

    made = await api.post("/v1/agents", json={"agent_config": build.config(model=model, client_tools=[old])})
    agent = (await api.get(f"/v1/agents/{made.json()['agent_id']}")).json()

    tool = agent["agent_config"]["client_tools"][0]
    assert tool["input_schema"]["properties"]["city"] == {"type": "string", "description": "Where"}
    assert tool["input_schema"]["required"] == ["city"]
    assert "parameters" not in tool


async def test_this_turns_tool_config_overrides_the_agents(
    talk: Callable[..., Talk], shown: list[dict[str, Any]]
) -> None:
    session = await asyncio.to_thread(talk, "ok", agent=ASKING)

    refused = await session.say(tool_config={"tool_choice": "no_such_tool"})
    await session.say(tool_config={"tool_choice": "none"})

    assert refused.status_code == 400
    assert "no_such_tool" in refused.json()["detail"]
    assert "tools" not in shown[-1]


async def test_what_is_unknown_is_refused_before_anything_is_stored(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk)

    refused = await session.say(toolgroups=["builtin::nothing"])

    assert refused.status_code == 404
    assert "builtin::nothing" in refused.json()["detail"]
    assert await session.turns() == []


async def test_a_waiting_turn_can_be_stopped_once(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, CALL, agent=ASKING)
    waiting = (await session.say()).json()
    path = f"{session.path}/turn/{waiting['turn_id']}/cancel"

    stopped, again = await session.api.post(path), await session.api.post(path)

    assert stopped.status_code == 200
    assert "completed_at" in stopped.json()
    assert again.status_code == 409


async def test_deleting_a_session_stops_its_turn(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, {"text": "word " * 200, "pace_s": 0.05})
    running = asyncio.create_task(session.say())
    while not await db.read(models.Turn.objects.exists):
        await asyncio.sleep(0.01)

    deleted = await session.api.delete(session.path)

    assert deleted.status_code == 200
    assert (await running).status_code == 200
    assert not await db.read(models.Turn.objects.exists)


async def test_a_turn_left_by_a_dead_process_is_ended_with_its_text(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, "next")

    def leave() -> models.Turn:
        return models.Turn.objects.create(
            session=session.session, input_messages=[build.said("x")], process="elsewhere:1:1",
            partial={"step_id": records.new_id(), "text": "half an ans"}, heartbeat_at=now() - timedelta(minutes=1),
        )  # fmt: skip

    lost = await db.write(leave)
    await turns.recover()

    told = (await session.turns())[0]
    assert told["steps"][0]["model_response"]["content"] == "half an ans"
    assert told["output_message"]["content"] == records.LOST
    row = await db.read(lambda: models.Turn.objects.get(pk=lost.pk))
    assert row.status == models.Status.FAILED
    assert (await session.say()).status_code == 200


async def test_a_lost_turn_does_not_block_its_session(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, "next")
    await db.write(
        lambda: models.Turn.objects.create(
            session=session.session, input_messages=[build.said("x")], heartbeat_at=now() - timedelta(minutes=1)
        )
    )

    assert (await session.say()).status_code == 200


async def test_every_turn_is_its_own_trace(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk)

    answers = [await session.say(), await session.say()]

    stored = await db.read(lambda: list(models.Turn.objects.values_list("trace_id", flat=True)))
    assert [answer.headers["x-trace-id"] for answer in answers] == stored
    assert len(set(stored)) == 2


async def test_a_traceparent_is_honoured(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk)
    session.api.headers["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    answer = await session.say()

    assert answer.headers["x-trace-id"] == "0af7651916cd43dd8448eb211c80319c"


async def test_a_failed_turn_says_why_and_the_session_goes_on(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, {"text": "half", "error": "The model fell over.", "status": 502}, "fine")

    failed = await session.say()
    fine = await session.say("again")

    assert failed.status_code == 502
    assert fine.json()["output_message"]["content"]
    first = (await session.turns())[0]
    assert "fell over" in first["output_message"]["content"]
    assert first["steps"][0]["model_response"]["content"] == "half"


async def test_every_write_leaves_an_audit_line(talk: Callable[..., Talk]) -> None:
    from apps.accounts.models import AuditLine

    session = await asyncio.to_thread(talk, CALL, "ok", agent=ASKING)
    waiting = (await session.say()).json()
    await session.resume(waiting, "x")
    await session.api.delete(session.path)

    lines = await db.read(lambda: list(AuditLine.objects.order_by("id").values_list("action", "kind")))
    assert lines[-3:] == [("create", "turn"), ("resume", "turn"), ("delete", "session")]


async def test_a_picture_that_failed_does_not_spoil_the_session(
    talk: Callable[..., Talk], shown: list[dict[str, Any]]
) -> None:
    session = await asyncio.to_thread(talk, {"error": "This model reads text only.", "status": 400}, "fine")
    picture = {"type": "image", "image": {"data": "iVBORw0KGgo="}}
    await session.say(messages=[{"role": "user", "content": [{"type": "text", "text": "see"}, picture]}])

    await session.say("only words")

    assert [message["content"] for message in shown[-1]["messages"][1:]] == ["see", "only words"]


async def test_a_turn_that_failed_is_not_asked_again_by_clients(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, {"error": "It fell over.", "status": 502})

    failed = await session.say()

    assert failed.status_code == 502
    assert failed.headers["x-should-retry"] == "false"


async def test_a_turn_of_this_process_is_not_lost_by_a_slow_clock(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, {"text": "word " * 40, "pace_s": 0.02})
    running = asyncio.create_task(session.say())
    while not await db.read(models.Turn.objects.exists):
        await asyncio.sleep(0.01)
    await db.write(lambda: models.Turn.objects.update(heartbeat_at=now() - timedelta(minutes=5)))

    await turns.recover()
    second = await session.say("meanwhile")

    assert second.status_code == 409
    assert (await running).json()["output_message"]["content"].count("word") == 40


async def test_a_turn_ended_elsewhere_is_not_told_as_complete(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, {"text": "word " * 20, "pace_s": 0.02})
    running = asyncio.create_task(session.say())
    while not await db.read(models.Turn.objects.exists):
        await asyncio.sleep(0.01)

    await db.write(lambda: models.Turn.objects.update(process="another:1:1"))

    assert (await running).status_code == 409


async def test_a_closed_waiting_turn_is_announced(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, CALL, "ok", agent=ASKING)
    waiting = (await session.say()).json()
    topic = f"session:{session.session.session_id}"
    before = await live.head(topic)

    await session.say("never mind")

    events = [event for _, event in await live.since(topic, before) or []]
    assert {"event_type": "turn_closed", "turn_id": waiting["turn_id"]} in events


async def test_a_running_turn_is_not_told_as_complete_when_the_log_is_short(
    talk: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "KEEP_EVENTS", 2)
    session = await asyncio.to_thread(talk, {"text": "word " * 60, "pace_s": 0.02})
    running = asyncio.create_task(session.say())
    while not await db.read(models.Turn.objects.exists):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    turn = (await session.turns())[0]

    watched = await session.api.get(f"{session.path}/turn/{turn['turn_id']}/events")

    frames = [line for line in watched.text.splitlines() if line.startswith("data:")]
    assert '"turn_complete"' in frames[-1]
    assert frames[-1].count("word") >= 60
    await running


async def test_the_answer_of_a_person_took_as_long_as_it_was_waited_for(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, CALL, "ok", agent=ASKING)
    waiting = (await session.say()).json()
    await asyncio.sleep(0.2)

    step = (await session.resume(waiting, "x")).json()["steps"][1]

    assert datetime.fromisoformat(step["completed_at"]) - datetime.fromisoformat(step["started_at"]) >= timedelta(
        seconds=0.2
    )


async def test_nul_characters_of_a_model_are_left_out(talk: Callable[..., Talk]) -> None:
    session = await asyncio.to_thread(talk, "a\0b")

    turn = (await session.say()).json()

    assert turn["output_message"]["content"] == "ab"


@pytest.mark.parametrize("start", [2**63, 10**30])
async def test_a_page_beyond_all_numbers_is_empty(api: Api, model: str, start: int) -> None:
    answer = await api.get(f"/v1alpha/agents?start_index={start}&limit=1")

    assert answer.json()["data"] == []
