"""Tool calls on small models, with a model that is a function: who decides, what is asked, what comes out."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from apps.core.errors import BadRequest
from apps.inference.completions import Answer, Chunk, joined
from apps.inference.providers import tool_calls

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    {
        "type": "function",
        "function": {"name": "get_weather", "description": "weather of a city", "parameters": WEATHER},
    },
    {"type": "function", "function": {"name": "now", "description": "the time", "parameters": {"type": "object"}}},
]
WORDS = ("weather", "city", "time", "hello", "joke")


class Model:
    """Says what it is told to, and keeps what it was asked."""

    def __init__(self, *says: str) -> None:
        self.says = list(says)
        self.asked: list[dict[str, Any]] = []

    async def stream(self, body: dict[str, Any]) -> AsyncGenerator[Chunk]:
        self.asked.append(body)
        maker = Answer(body["model"])
        for letter in self.says.pop(0):
            yield maker.text(letter)
        yield maker.delta({}, "stop")
        yield maker.usage({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})


async def by_words(texts: list[str]) -> list[list[float]]:
    """Embed texts by the words they share."""
    return [[float(word in text) for word in WORDS] for text in texts]


async def ask(
    model: Model, question: str, *, native: bool = False, embed: Any = by_words, **body: Any
) -> dict[str, Any]:
    asked = {"model": "m", "messages": [{"role": "user", "content": question}], "tools": TOOLS, **body}
    whole = await joined(tool_calls.answer(asked, model.stream, tool_calls.Router(embed), native=native))
    return dict(whole["choices"][0])


def called(choice: dict[str, Any]) -> list[tuple[str, str]]:
    calls = choice["message"].get("tool_calls", [])
    return [(call["function"]["name"], call["function"]["arguments"]) for call in calls]


async def test_the_nearest_tool_is_called_with_arguments_under_its_schema() -> None:
    model = Model('{"city":"Oslo"}')

    choice = await ask(model, "weather in Oslo")

    assert called(choice) == [("get_weather", '{"city":"Oslo"}')] and choice["finish_reason"] == "tool_calls"
    schema = model.asked[0]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["city"]["maxLength"] and schema["additionalProperties"] is False


async def test_a_tool_without_arguments_needs_no_model() -> None:
    model = Model()

    assert called(await ask(model, "what time is it")) == [("now", "{}")]
    assert model.asked == []


async def test_small_talk_is_answered_in_words() -> None:
    model = Model("Hi!")

    choice = await ask(model, "hello")

    assert choice["message"]["content"] == "Hi!" and "tools" not in model.asked[0]


@pytest.mark.parametrize("choice", ["none", "auto"])
async def test_without_a_choice_or_a_router_nothing_is_called(choice: str) -> None:
    async def nothing(texts: list[str]) -> None:
        return None

    answered = await ask(Model("Words."), "weather in Oslo", embed=nothing, tool_choice=choice)

    assert called(answered) == []


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    "choice", ["required", "get_weather", {"type": "function", "function": {"name": "get_weather"}}]
)
async def test_a_forced_choice_is_kept_to(choice: Any, native: bool) -> None:
    answered = await ask(Model('{"city":"x"}'), "weather, hello, joke", native=native, tool_choice=choice)

    assert called(answered) == [("get_weather", '{"city":"x"}')]


async def test_a_choice_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadRequest, match="fly"):
        await ask(Model(), "weather", tool_choice="fly")


async def test_after_the_tools_answer_the_model_writes_words() -> None:
    model = Model("It rains.")
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
    ]

    choice = await ask(model, "", messages=messages, tool_choice="required")

    assert choice["message"]["content"] == "It rains."
    assert [message["role"] for message in model.asked[0]["messages"]] == ["user"]
    assert "Facts: rain" in model.asked[0]["messages"][0]["content"]


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "get_weather", "arguments": {"city": "Oslo"}}',
        'Sure.\n```json\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n```',
        '<tool_call>{"name": "get_weather", "parameters": {"city": "Oslo"}}',
    ],
)
async def test_a_call_written_as_text_is_found(text: str) -> None:
    choice = await ask(Model(text), "weather", native=True)

    assert called(choice) == [("get_weather", '{"city":"Oslo"}')] and choice["finish_reason"] == "tool_calls"


async def test_several_calls_in_one_text_are_all_found() -> None:
    text = '{"name": "get_weather", "arguments": {"city": "a"}}\n{"name": "now", "arguments": {}}'

    assert [name for name, _ in called(await ask(Model(text), "weather", native=True))] == ["get_weather", "now"]


@pytest.mark.parametrize("text", ["Plain words.", 'Look: {"name": "other"} and {broken', "a < b"])
async def test_text_that_is_no_call_arrives_whole(text: str) -> None:
    choice = await ask(Model(text), "weather", native=True)

    assert choice["message"]["content"] == text and choice["finish_reason"] == "stop"


async def test_plain_words_are_passed_on_as_they_come() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "weather"}], "tools": TOOLS}
    chunks = tool_calls.answer(body, Model("words").stream, tool_calls.Router(by_words), native=True)

    first = await anext(chunks)

    assert first["choices"][0]["delta"]["content"] == "w"
    await chunks.aclose()


async def test_arguments_that_are_no_object_become_an_empty_one() -> None:
    assert called(await ask(Model("nonsense"), "weather")) == [("get_weather", "{}")]


async def test_pictures_are_refused() -> None:
    content = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    with pytest.raises(BadRequest, match="pictures"):
        await ask(Model(), "", messages=[{"role": "user", "content": content}])


async def test_the_vectors_of_tools_are_made_once() -> None:
    asked: list[list[str]] = []

    async def counting(texts: list[str]) -> list[list[float]]:
        asked.append(texts)
        return await by_words(texts)

    router = tool_calls.Router(counting)
    tools = [tool["function"] for tool in TOOLS]
    for question in ("weather", "the time"):
        await router.choose(question, tools, must=False)

    assert len(asked[0]) > 3 and asked[1] == ["the time"]
