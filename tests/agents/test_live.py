"""What watchers of a session are sent: frames that can be painted twice, made once, allowed to those who may read."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser

from apps.agents import live as session_live
from apps.core import db, live
from apps.core.consumers import LiveConsumer
from tests import build
from tests.agents import past

pytestmark = pytest.mark.django_db(transaction=True)
numbers = count(1)


async def painted(event: dict[str, Any], topic: str = "session:s") -> list[dict[str, Any]]:
    """The frames of an event that comes next."""
    return await session_live.frames(topic, next(numbers), event)


async def begun(step_id: str, step_type: str = "inference", **metadata: Any) -> list[dict[str, Any]]:
    event = {"event_type": "step_start", "turn_id": "t", "step_id": step_id, "step_type": step_type}
    return await painted(event | {"metadata": metadata})


async def written(step_id: str, text: str, offset: int) -> list[dict[str, Any]]:
    delta = {"type": "text", "text": text}
    event = {"event_type": "step_progress", "turn_id": "t", "step_id": step_id, "step_type": "inference"}
    return await painted(event | {"delta": delta, "offset": offset})


async def test_a_step_appears_when_it_starts() -> None:
    row, answer = await begun("s-1")

    assert row["target"] == "#steps-t"
    assert row["swap"] == "append"
    assert 'id="step-s-1"' in row["h"]
    assert "data-since" in row["h"]
    assert 'data-live-text="s-1"' in answer["h"]
    assert (await begun("s-2", "shield_call", touchpoint="user-input"))[0]["h"].count("Input shield") == 1


async def test_text_is_sent_as_text_and_a_finished_block_once_as_html() -> None:
    await begun("s-3")

    assert await written("s-3", "One ", 0) == [{"k": "delta", "s": "s-3", "o": 0, "d": "One "}]
    assert len(await written("s-3", "**two**.\n", 4)) == 1
    delta, block = await written("s-3", "\nThree\n", 13)

    assert delta == {"k": "delta", "s": "s-3", "o": 13, "d": "\nThree\n"}
    assert block["h"] == "<p>One <strong>two</strong>.</p>\n"
    assert (block["f"], block["o"], block["d"]) == (0, 14, "Three\n")


async def test_text_whose_beginning_was_not_seen_here_is_only_text() -> None:
    await begun("s-4")

    assert [frame["k"] for frame in await written("s-4", "later\n\nstill\n", 100)] == ["delta"]
    assert [frame["k"] for frame in await written("never-begun", "a\n\nb\n", 0)] == ["delta"]


async def test_a_finished_step_replaces_what_was_painted() -> None:
    await begun("s-5")
    details = {
        "step_type": "inference", "turn_id": "t", "step_id": "s-5", "started_at": "2026-01-01T10:00:00.000000Z",
        "completed_at": "2026-01-01T10:00:01.500000Z", "model_response": past.answered("It *rains*."),
    }  # fmt: skip

    row, answer = await painted(
        {
            "event_type": "step_complete",
            "turn_id": "t",
            "step_id": "s-5",
            "step_details": details,
            "facts": {"input_tokens": 12, "output_tokens": 3},
        }
    )

    assert "12 in" in row["h"]
    assert "1.50 s" in row["h"]
    assert "data-open" not in row["h"]
    assert "<em>rains</em>" in answer["h"]
    assert "data-live-text" not in answer["h"]


async def test_a_tool_shows_its_arguments_while_it_runs() -> None:
    await begun("s-6", "tool_execution")
    event = {"event_type": "step_progress", "turn_id": "t", "step_id": "s-6", "step_type": "tool_execution"}

    (row,) = await painted(
        event | {"delta": {"type": "tool_call", "parse_status": "in_progress", "tool_call": past.call()}}
    )

    assert "get_weather" in row["h"]
    assert "&quot;Oslo&quot;" in row["h"]
    assert (
        await painted(event | {"delta": {"type": "tool_call", "parse_status": "in_progress", "tool_call": "get("}})
        == []
    )


async def test_the_end_of_a_turn_brings_the_whole_article_and_the_head() -> None:
    def make() -> Any:
        return past.turn(build.session(build.agent(), session_name="Boots"), answer="Done.")

    turn = await db.write(make)
    topic = turn.session.topic

    whole, title, state = await painted({"event_type": "turn_complete", "turn_id": turn.turn_id}, topic)

    assert whole["target"] == f"#turn-{turn.turn_id}"
    assert whole["e"] == "end"
    assert "Done." in whole["h"]
    assert "12 tokens" in title["h"]
    assert 'data-state="completed"' in state["h"]


async def test_frames_are_made_once_for_all_who_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    async def paint(event: Any, session_id: str) -> list[dict[str, Any]]:
        made.append(event)
        await asyncio.sleep(0)
        return [{"k": "state", "v": 1}]

    monkeypatch.setitem(session_live._PAINTERS, "turn_complete", paint)
    number = next(numbers)
    event = {"event_type": "turn_complete", "turn_id": "t"}

    watchers = [session_live.frames("session:s", number, event) for _ in range(20)]
    answers = await asyncio.gather(*watchers)

    assert len(made) == 1
    assert answers == [[{"k": "state", "v": 1}]] * 20


@pytest.fixture
async def sockets() -> AsyncIterator[Any]:
    """Open the live socket as somebody."""
    opened: list[WebsocketCommunicator] = []

    async def connect(user: Any) -> WebsocketCommunicator:
        socket = WebsocketCommunicator(LiveConsumer.as_asgi(), "/ws/live/")
        socket.scope["user"] = user
        opened.append(socket)
        assert (await socket.connect())[0] == (not isinstance(user, AnonymousUser))
        return socket

    yield connect
    for socket in opened:
        await socket.disconnect()


async def test_a_reader_hears_of_a_session_and_of_none_that_is_not_there(sockets: Any) -> None:
    session = await db.write(lambda: build.session(build.agent()))
    viewer = await db.write(build.user, "viewer")
    socket = await sockets(viewer)

    await socket.send_json_to({"sub": {session.topic: 0, "session:none": 0}})
    answers = [await socket.receive_json_from() for _ in range(2)]
    await live.publish(session.topic, {"event_type": "session_renamed"})
    frame = await socket.receive_json_from()

    assert {(answer["t"], answer["k"]) for answer in answers} == {(session.topic, "watching"), ("session:none", "gone")}
    assert frame["target"] == "#chat-title"


async def test_the_badge_and_the_lists_hear_of_changes(sockets: Any) -> None:
    socket = await sockets(await db.write(build.user, "viewer"))
    await socket.send_json_to({"sub": {"waiting": 0, "turns": 0}})
    for _ in range(2):
        await socket.receive_json_from()

    await live.publish("waiting", {"event_type": "waiting", "count": 3})
    assert (await socket.receive_json_from())["v"] == {"count": 3}
    await live.publish("turns", {"event_type": "turn_changed", "session_id": "s", "status": "running"})
    assert (await socket.receive_json_from())["v"]["session_id"] == "s"
