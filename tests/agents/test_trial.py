"""Trying a configuration: it answers as an agent would, remembers the conversation, and leaves nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.test import AsyncClient

from apps.agents import live as session_live
from apps.agents import models, trial
from apps.agents.schemas import AgentConfig
from apps.core import db, live
from tests import build

pytestmark = pytest.mark.django_db(transaction=True)
BACKEND = "django.contrib.auth.backends.ModelBackend"
CALL = {"tool_calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}]}


Play = Callable[..., Awaitable[str]]


@pytest.fixture
def played(scripted: Callable[..., str]) -> Play:
    """Give the model its lines, from async code."""

    async def play(*lines: Any) -> str:
        return await db.write(lambda: scripted(*lines))

    return play


async def said(key: str, model: str, text: str = "Hello", **config: Any) -> trial.TrialTurn:
    """Say something and wait for the end."""
    await trial.say(key, AgentConfig.model_validate(build.config(model=model, **config)), text)
    conversation = trial.trial_of(key)
    assert conversation.task is not None
    await conversation.task
    return conversation.turns[-1]


async def test_a_configuration_answers_and_nothing_is_stored(played: Play) -> None:
    turn = await said("k1", await played("Hi there."))

    assert turn.answer == "Hi there."
    assert [step.kind for step in turn.steps] == ["inf"]
    assert not await db.read(models.Turn.objects.exists)


async def test_the_second_message_knows_the_first(played: Play) -> None:
    model = await played("First line.", "Second line.")
    await said("k2", model)

    assert (await said("k2", model)).answer == "Second line."
    assert (await said("k3", model)).answer == "First line."


async def test_a_call_for_a_person_is_shown_and_not_waited_for(played: Play) -> None:
    turn = await said("k4", await played(CALL), client_tools=[build.tool()])

    assert [call.name for call in turn.calls] == ["get_weather"]
    assert turn.is_over


async def test_a_failing_model_is_told(played: Play) -> None:
    assert "no power" in (await said("k5", await played({"error": "no power"}))).error


async def test_a_new_message_ends_the_answer_before_it(played: Play) -> None:
    model = await played({"text": "a b c d e f g h i j", "pace_s": 0.2}, "Next.")
    config = AgentConfig.model_validate(build.config(model=model))
    await trial.say("k6", config, "Hello")
    await asyncio.sleep(0.1)

    async with asyncio.timeout(1):
        turn = await said("k6", model)

    first = trial.trial_of("k6").turns[0]
    assert first.is_over
    assert len(first.answer) < 10
    assert turn.is_over


async def test_who_watches_sees_it_word_by_word(played: Play) -> None:
    topic = trial.topic_of("k7")
    number = await live.head(topic)
    await said("k7", await played({"text": "One two three.\n\nFour.", "pace_s": 0.04}))

    numbered = await live.since(topic, number) or []
    frames = [frame for at, event in numbered for frame in await session_live.frames(topic, at, event)]

    assert frames[0]["target"] == "#trial-turns"
    assert "".join(frame["d"] for frame in frames if frame["k"] == "delta") == "One two three.\n\nFour."
    assert "Four." in frames[-1]["h"]
    assert "aria-busy" not in frames[-1]["h"]


async def test_the_pane_refuses_what_the_form_would_refuse(played: Play) -> None:
    model = await played("Hi.")
    browser = AsyncClient()
    await browser.aforce_login(await db.write(build.user, "operator"), backend=BACKEND)
    form = {"model": model, "instructions": "", "trial_message": "Hello"}

    refused = await browser.post("/agents/try/k8/say/", form | {"toolgroups": "mcp::nowhere"})
    fine = await browser.post("/agents/try/k8/say/", form)

    assert refused.status_code == 422
    assert "mcp::nowhere" in refused.content.decode()
    assert fine["HX-Trigger"] == "trial-sent"
    task = trial.trial_of("k8").task
    assert task is not None
    await task
    page = await browser.get("/agents/try/k8/")
    assert "Hi." in page.content.decode()
