"""What a turn leaves behind as spans when it goes well, is refused, fails, is stopped or waits, by either door."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from apps.agents import running
from apps.agents.turn_state import SHUT_DOWN
from tests.agents.test_turn_views import Rooms
from tests.agents.test_turn_views import room as room
from tests.agents.test_turns import ASKING, CALL, Talk
from tests.agents.test_turns import talk as talk
from tests.conftest import turns_to_end

pytestmark = pytest.mark.django_db(transaction=True)
Ended = Callable[[str], Awaitable[list[ReadableSpan]]]


@pytest.fixture
def ended(api: httpx2.AsyncClient) -> Iterator[Ended]:
    """Return the ended spans of a name, told with their attributes."""
    provider: Any = trace.get_tracer_provider()
    exporter = InMemorySpanExporter()
    before = provider._active_span_processor._span_processors
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def named(name: str) -> list[ReadableSpan]:
        await turns_to_end()  # a turn ends its spans a moment after its last word
        return [span for span in exporter.get_finished_spans() if span.name == name]

    yield named
    provider._active_span_processor._span_processors = before


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_good_turn_tells_its_answers_status(talk: Callable[..., Talk], ended: Ended) -> None:
    session = await asyncio.to_thread(talk, "fine")

    await session.say()

    [root] = await ended("create_agent_turn")
    assert root.status.status_code is StatusCode.UNSET
    assert told(root)["http.response.status_code"] == 200


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"toolgroups": ["nobody::knows"]}, 404, "nobody::knows"),
        ({"tool_config": {"tool_choice": "no_such_tool"}}, 400, "no_such_tool"),
        ({"tool_config": {"tool_prompt_format": 7}}, 400, "tool_prompt_format"),
    ],
)
async def test_a_refused_turn_is_a_failed_trace_of_a_turn(
    talk: Callable[..., Talk], ended: Ended, body: dict[str, Any], status: int, words: str
) -> None:
    session = await asyncio.to_thread(talk, "fine")

    refused = await session.say(**body)

    [root] = await ended("create_agent_turn")
    assert refused.status_code == status
    assert root.status.status_code is StatusCode.ERROR
    assert words in str(root.status.description)
    attributes = told(root)
    assert attributes["http.response.status_code"] == status
    assert attributes["session_id"] == session.session.session_id
    assert attributes["agent_id"] == session.session.agent.agent_id
    if "tool_prompt_format" not in words:
        assert json.loads(attributes["request"])["messages"][0]["content"] == "hi"


async def test_an_answer_that_does_not_fit_is_a_failed_trace(talk: Callable[..., Talk], ended: Ended) -> None:
    session = await asyncio.to_thread(talk, CALL, "sunny", agent=ASKING)
    waiting = (await session.say()).json()

    await session.resume(waiting, {"call_id": "no-such-call", "tool_name": "x", "content": "y"})

    [root] = await ended("resume_agent_turn")
    assert "no-such-call" in str(root.status.description)
    assert told(root)["turn_id"] == waiting["turn_id"]
    assert told(root)["http.response.status_code"] == 400


async def test_a_turn_refused_on_the_chat_page_leaves_a_failed_trace(room: Rooms, ended: Ended) -> None:
    chat = await room("fine", toolgroups=["nobody::knows"], name="Ana")

    assert (await chat.say("Hello")).status_code == 422

    [root] = await ended("create_agent_turn")
    assert root.status.status_code is StatusCode.ERROR
    assert "nobody::knows" in str(root.status.description)
    assert told(root)["agent_name"] == "Ana"
    assert told(root)["session_id"] == chat.session.session_id


@pytest.mark.parametrize(("stream", "status"), [(False, 502), (True, 200)])
async def test_a_turn_that_fails_tells_what_its_caller_was_answered(
    talk: Callable[..., Talk], ended: Ended, stream: bool, status: int
) -> None:
    session = await asyncio.to_thread(talk, {"text": "half", "error": "It fell over.", "status": 502})

    answer = await session.say(stream=stream)
    await turns_to_end()

    [root] = await ended("create_agent_turn")
    assert answer.status_code == told(root)["http.response.status_code"] == status
    assert "fell over" in str(root.status.description)


async def test_what_any_operation_refuses_is_an_error_with_its_words(api: httpx2.AsyncClient, ended: Ended) -> None:
    answer = await api.get("/v1alpha/agents/nobody")

    [root] = await ended("/v1alpha/agents/{agent_id}")
    assert root.status.status_code is StatusCode.ERROR
    assert root.status.description == answer.json()["detail"]
    assert told(root)["http.response.status_code"] == 404


LONG = {"text": "word " * 100, "pace_s": 0.02}


async def test_a_stopped_turn_tells_it_and_what_was_written(room: Rooms, ended: Ended) -> None:
    chat = await room(LONG)
    await chat.say()
    await asyncio.sleep(0.2)

    await chat.post("stop/")

    [turn] = await chat.turns()
    [root], [inference] = await ended("create_agent_turn"), await ended("inference")
    assert told(root)["stopped"] is told(inference)["stopped"] is True
    assert root.status.status_code is StatusCode.UNSET
    written = json.loads(told(root)["output"])["content"]
    assert written == turn.output_message["content"] == json.loads(told(inference)["output"])["content"]
    assert written.startswith("word")


async def test_what_was_written_before_a_failure_is_told(talk: Callable[..., Talk], ended: Ended) -> None:
    session = await asyncio.to_thread(talk, {"text": "half", "error": "It fell over.", "status": 502})

    await session.say()

    for name in ("create_agent_turn", "inference"):
        [span] = await ended(name)
        assert json.loads(told(span)["output"])["content"] == "half"
        assert span.status.status_code is StatusCode.ERROR


async def test_a_turn_cut_short_by_the_end_of_its_process_says_so(room: Rooms, ended: Ended) -> None:
    chat = await room(LONG)
    await chat.say()
    await asyncio.sleep(0.2)

    await running.shut_down()

    [turn] = await chat.turns()
    assert (turn.status, turn.error) == ("failed", SHUT_DOWN)
    for name in ("create_agent_turn", "inference"):
        [span] = await ended(name)
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, SHUT_DOWN)
        assert json.loads(told(span)["output"])["content"].startswith("word")


@pytest.mark.parametrize("has_failed", [False, True])
async def test_a_call_its_caller_answered_is_a_span_of_the_resumed_trace(
    room: Rooms, ended: Ended, has_failed: bool
) -> None:
    chat = await room(CALL, "Sorry.", **ASKING)
    await chat.say()

    await chat.answer("rain", action="error" if has_failed else "result")

    [turn] = await chat.turns()
    [root], [span] = await ended("resume_agent_turn"), await ended("tool_execution")
    attributes = told(span)
    assert span.parent is not None and root.context is not None and root.context.span_id == span.parent.span_id
    assert root.start_time is not None and span.start_time is not None and span.start_time >= root.start_time
    assert (attributes["tool_name"], attributes["answered_by"]) == ("get_weather", "caller")
    assert attributes["step_id"] == turn.steps.all()[1].step_id
    assert 0 < attributes["waited_s"] < 60
    assert json.loads(attributes["input"])["tool_calls"][0]["call_id"] == attributes["gen_ai.tool.call.id"]
    assert json.loads(attributes["output"])["content"] == "rain"
    assert (span.status.status_code is StatusCode.ERROR) is has_failed


async def test_an_inference_tells_which_tools_were_offered(talk: Callable[..., Talk], ended: Ended) -> None:
    session = await asyncio.to_thread(talk, "fine", "fine", agent=ASKING)

    await session.say()
    await session.say(tool_config={"tool_choice": "none"})

    offered, none = (told(span).get("gen_ai.tool.definitions") for span in await ended("inference"))
    assert json.loads(str(offered)) == [{"type": "function", "name": "get_weather"}]
    assert none is None
