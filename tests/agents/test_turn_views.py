"""Forms of the chat: send, stop, send again, answer; with and without script, once and twice."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.test import AsyncClient

from apps.accounts.models import User
from apps.agents import models
from apps.core import db
from tests import build
from tests.agents import past
from tests.conftest import turns_to_end

pytestmark = pytest.mark.django_db(transaction=True)
BACKEND = "django.contrib.auth.backends.ModelBackend"
PART = {"HX-Request": "true"}
CALL = {"tool_calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}]}


class Room:
    """A browser in the chat of a session."""

    def __init__(self, browser: AsyncClient, session: Any) -> None:
        self.browser, self.session = browser, session
        self.path = f"/chat/{session.agent.agent_id}/{session.session_id}/"

    async def post(self, part: str, data: dict[str, Any] | None = None, **options: Any) -> Any:
        return await self.browser.post(self.path + part, data or {}, **options)

    async def say(self, text: str = "Hello", **fields: Any) -> Any:
        return await self.post("send/", {"message": text, **fields}, headers=PART)

    async def turns(self) -> list[models.Turn]:
        await turns_to_end()
        rows = self.session.turns.prefetch_related("steps", "pending").order_by("pk")
        return await db.read(lambda: list(rows))

    async def answer(self, text: str, **fields: Any) -> Any:
        turn = (await self.turns())[-1]
        typed = {f"c{call.pk}-{name}": value for call in turn.pending.all() for name, value in {"text": text}.items()}
        return await self.post(f"turn/{turn.turn_id}/answer/", {**typed, "action": "result", **fields}, headers=PART)


@pytest.fixture
async def room(scripted: Callable[..., str]) -> Callable[..., Any]:
    """Open a chat with an agent whose model plays these lines."""

    async def open_room(*lines: Any, **config: Any) -> Room:
        def make() -> tuple[Any, Any]:
            agent = build.agent(model=scripted(*lines), **config)
            return build.user("operator"), build.session(agent, session_name="New session")

        person, session = await db.write(make)
        browser = AsyncClient()
        await browser.aforce_login(person, backend=BACKEND)
        return Room(browser, session)

    return open_room


Rooms = Callable[..., Any]
ASKING = {"client_tools": [build.tool()]}


async def test_a_message_starts_a_turn_and_names_the_session(room: Rooms) -> None:
    here = await room("Hi.")

    answer = await here.say("  What is a   session, and why would I want more than one of them at the same time?  ")

    assert answer.status_code == 200
    assert answer["HX-Trigger"] == "chat-sent"
    assert [turn.status for turn in await here.turns()] == ["completed"]
    await db.read(here.session.refresh_from_db)
    assert here.session.session_name == "What is a session, and why would I want more than one of…"


async def test_without_script_one_lands_on_the_chat_again(room: Rooms) -> None:
    here = await room("Hi.")

    answer = await here.post("send/", {"message": "Hello"})

    assert answer.status_code == 302
    assert answer["Location"] == here.path
    assert (await here.turns())[0].output_message["content"] == "Hi."


async def test_a_form_sent_twice_starts_one_turn(room: Rooms) -> None:
    here = await room("One.", "Two.")

    for _ in range(2):
        assert (await here.say(once="k1")).status_code == 200
        await turns_to_end()

    assert len(await here.turns()) == 1


async def test_a_second_message_while_a_turn_runs_is_refused_beside_the_composer(room: Rooms) -> None:
    here = await room({"text": "a b c d e f g h", "pace_s": 0.05})
    await here.say("First")

    part = await here.say("Second")
    page = await here.post("send/", {"message": "Third, typed at length"})

    assert part.status_code == page.status_code == 409
    assert "409" in part.content.decode()
    assert "Third, typed at length</textarea>" in page.content.decode()
    assert len(await here.turns()) == 1


async def test_an_empty_message_is_refused_and_can_be_mended(room: Rooms) -> None:
    here = await room("Hi.")

    assert (await here.say("", once="k1")).status_code == 422
    assert (await here.post("send/", {"message": ""})).status_code == 400
    assert (await here.say("Hello", once="k1")).status_code == 200


async def test_stop_ends_the_turn_and_keeps_its_text(room: Rooms) -> None:
    here = await room({"text": "a b c d e f g h i j k l", "pace_s": 0.05})
    await here.say()
    await asyncio.sleep(0.15)

    answer = await here.post("stop/", headers=PART)

    assert answer.status_code == 204
    turn = (await here.turns())[0]
    assert turn.status == "cancelled"
    assert turn.output_message["content"].startswith("a b")
    assert (await here.post("stop/")).status_code == 302


async def test_a_turn_is_sent_again_with_all_it_carried(room: Rooms) -> None:
    here = await room({"error": "gone"}, "Hi.")
    await here.say("Look", tool_choice="")
    failed = (await here.turns())[0]
    assert failed.status == "failed"

    answer = await here.post(f"turn/{failed.turn_id}/again/", headers=PART)

    assert answer.status_code == 200
    assert (await here.turns())[1].input_messages == failed.input_messages


async def test_an_answer_lets_the_turn_go_on(room: Rooms) -> None:
    here = await room(CALL, "So it rains.", **ASKING)
    await here.say()
    assert (await here.turns())[0].status == "waiting"

    answer = await here.answer("rain")

    assert 'data-ui="answered"' in answer.content.decode()
    turn = (await here.turns())[0]
    assert turn.output_message["content"] == "So it rains."
    assert turn.answered_by == "operator"


async def test_an_error_is_told_to_the_model(room: Rooms) -> None:
    here = await room(CALL, "Sorry.", **ASKING)
    await here.say()

    await here.answer("the station is down", action="error")

    response = (await here.turns())[0].steps.all()[1].details["tool_responses"][0]
    assert response["content"] == "the station is down"
    assert response["metadata"] == {"error": True}


async def test_json_that_is_none_keeps_the_card_and_the_text(room: Rooms) -> None:
    here = await room(CALL, "So it rains.", **ASKING)
    await here.say()
    turn = (await here.turns())[0]
    call = turn.pending.all()[0]
    typed = {f"c{call.pk}-text": "{rain", f"c{call.pk}-as": "json", "action": "result"}

    part = await here.post(f"turn/{turn.turn_id}/answer/", typed, headers=PART)
    page = await here.post(f"turn/{turn.turn_id}/answer/", typed)

    for answer in (part, page):
        assert answer.status_code == 422
        assert "not JSON" in answer.content.decode()
        assert "{rain</textarea>" in answer.content.decode()
    assert (await here.turns())[0].status == "waiting"


async def test_the_second_answer_is_told_who_was_first(room: Rooms) -> None:
    here = await room(CALL, "So it rains.", **ASKING)
    await here.say()
    turn = (await here.turns())[0]
    typed = {f"c{turn.pending.all()[0].pk}-text": "snow", "action": "result"}
    await here.answer("rain")
    await turns_to_end()

    part = await here.post(f"turn/{turn.turn_id}/answer/", typed, headers=PART)
    page = await here.post(f"turn/{turn.turn_id}/answer/", typed)

    assert part.status_code == page.status_code == 409
    assert "operator</span> answered this turn first" in part.content.decode()
    assert "operator answered this turn first" in page.content.decode()
    assert len((await here.turns())[0].steps.all()) == 3


async def test_a_waiting_turn_can_be_stopped(room: Rooms) -> None:
    here = await room(CALL, **ASKING)
    await here.say()
    await turns_to_end()

    await here.post("stop/", headers=PART)

    turn = (await here.turns())[0]
    assert turn.status == "cancelled"
    assert not turn.pending.all()


async def test_the_inbox_shows_takes_and_releases(room: Rooms) -> None:
    here = await room(CALL, **ASKING)
    await here.say()
    turn = (await here.turns())[0]

    async def inbox(query: str = "") -> str:
        return str((await here.browser.get(f"/waiting/{query}")).content.decode())

    assert f'data-turn="{turn.turn_id}"' in await inbox()
    assert "No waiting turn matches" in await inbox("?mine=1")
    await here.browser.post(f"/waiting/{turn.turn_id}/take/")
    assert f'data-turn="{turn.turn_id}"' in await inbox("?mine=1")
    assert "Taken by operator" in await inbox()
    await here.browser.post(f"/waiting/{turn.turn_id}/release/")
    assert "No waiting turn matches" in await inbox("?mine=1")
    assert f'data-turn="{turn.turn_id}"' in await inbox("?tool=get_weather")
    assert "No waiting turn matches" in await inbox("?tool=other")

    await here.answer("rain")
    await turns_to_end()

    assert "Nobody is waiting" in await inbox()
    assert "operator</span> answered it" in await inbox(f"?turn={turn.turn_id}")


async def test_a_hundred_waiting_turns_cost_what_one_costs(room: Rooms) -> None:
    here = await room(CALL, **ASKING)

    def queries() -> int:
        from django.db import connection
        from django.test import Client
        from django.test.utils import CaptureQueriesContext

        browser = Client()
        browser.force_login(User.objects.get(), backend=BACKEND)
        with CaptureQueriesContext(connection) as seen:
            assert browser.get("/waiting/").status_code == 200
        connection.close()
        return len(seen)

    await db.write(past.waiting, here.session)
    few = await asyncio.to_thread(queries)
    for _ in range(60):
        await db.write(past.waiting, here.session)

    assert await asyncio.to_thread(queries) == few <= 15
