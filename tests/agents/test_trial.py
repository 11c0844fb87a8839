"""Trying a configuration: it answers as an agent would, remembers the conversation, and leaves nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import AsyncClient

from apps.agents import live as session_live
from apps.agents import models, trial
from apps.agents.schemas import AgentConfig
from apps.core import db, live
from apps.core.errors import Conflict
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
    await trial._running[key].task
    return trial.trial_of(key).turns[-1]


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
    browser, person = AsyncClient(), await db.write(build.user, "operator")
    await browser.aforce_login(person, backend=BACKEND)
    form = {"model": model, "instructions": "", "trial_message": "Hello"}

    refused = await browser.post("/agents/try/k8/say/", form | {"toolgroups": "mcp::nowhere"})
    fine = await browser.post("/agents/try/k8/say/", form)

    assert refused.status_code == 422
    assert "mcp::nowhere" in refused.content.decode()
    assert fine["HX-Trigger"] == "trial-sent"
    run = trial._running.get(trial.name_of(person.pk, "k8"))
    if run is not None:
        await run.task
    page = await browser.get("/agents/try/k8/")
    assert "Hi." in page.content.decode()


async def test_another_process_goes_on_with_the_conversation(played: Play) -> None:
    model = await played("First line.", {"text": "a b c d e f g h", "pace_s": 0.2}, "Third line.")
    await said("k9", model)
    config = AgentConfig.model_validate(build.config(model=model))
    await trial.say("k9", config, "Go on")
    elsewhere = trial._running.pop("k9")  # as if another process had it: this one knows only what the cache tells
    trial._running["k9-elsewhere"] = elsewhere

    shown = await trial.turn_of("k9", elsewhere.state.turn_id)
    assert shown is not None
    assert not shown.is_over

    async def look_there() -> None:
        while not await cache.aget(trial._asked_to_stop("k9")):
            await asyncio.sleep(0.01)
        trial._end(elsewhere)

    other = asyncio.create_task(look_there())
    turn = await said("k9", model)
    await other

    assert turn.answer == "Third line."
    assert [turn.is_over for turn in trial.trial_of("k9").turns] == [True, True, True]


async def test_two_messages_at_once_are_not_answered_at_once(played: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    model = await played({"text": "slow", "delay_s": 5})
    monkeypatch.setattr(trial, "WAIT_S", 0.2)
    await cache.aset(trial._busy("k10"), 1, 5)

    with pytest.raises(Conflict, match="still being answered"):
        await trial.say("k10", AgentConfig.model_validate(build.config(model=model)), "Hello")


async def test_a_trial_is_its_operators_own() -> None:
    one, other = await db.write(build.user, "operator"), await db.write(build.user, "operator", username="other")
    topic = trial.topic_of(trial.name_of(one.pk, "k11"))

    assert await session_live._may_try(one, topic)
    assert not await session_live._may_try(other, topic)


async def test_a_key_the_live_layer_would_refuse_is_no_trial() -> None:
    browser = AsyncClient()
    await browser.aforce_login(await db.write(build.user, "operator"), backend=BACKEND)

    for key in ("a b", "²", "x" * 41):
        assert (await browser.get(f"/agents/try/{key}/")).status_code == 404
        assert (await browser.post(f"/agents/try/{key}/say/", {"trial_message": "Hello"})).status_code == 404
