"""The scripted model: plays its lines in order, then echoes."""

from typing import Any

import pytest

from apps.core.errors import NotBuiltIn, ProviderError
from apps.inference.providers.scripted import Scripted, ScriptedConfig
from tests.inference.conftest import gathered, text_of

ASKED = [{"role": "user", "content": "ask"}]


def playing(*lines: dict[str, Any], **config: Any) -> Scripted:
    return Scripted("scripted", ScriptedConfig.model_validate({"script": list(lines), **config}))


async def test_lines_are_played_in_the_order_of_the_conversation() -> None:
    model = playing({"text": "first"}, {"text": "second"})
    said = [*ASKED, {"role": "assistant", "content": "first"}, *ASKED]

    first = await model.complete({"model": "m", "messages": ASKED})
    second = await model.complete({"model": "m", "messages": said})

    assert first["choices"][0]["message"]["content"] == "first"
    assert second["choices"][0]["message"]["content"] == "second"


async def test_after_the_last_line_it_echoes() -> None:
    whole = await playing().complete({"model": "m", "messages": ASKED})

    assert whole["choices"][0]["message"]["content"] == "ask"


async def test_a_tool_call_ends_the_answer_and_its_result_is_said() -> None:
    model = playing({"tool_calls": [{"name": "look", "arguments": {"at": "it"}}]})
    whole = await model.complete({"model": "m", "messages": ASKED})
    call = whole["choices"][0]["message"]["tool_calls"][0]
    said = [*ASKED, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": "found"}]

    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert call["function"] == {"name": "look", "arguments": '{"at":"it"}'}
    after = await model.complete({"model": "m", "messages": said})
    assert after["choices"][0]["message"]["content"] == "The tool says: found"


async def test_an_error_comes_after_what_was_said() -> None:
    said: list[Any] = []
    with pytest.raises(ProviderError, match="gone") as caught:
        async for chunk in playing({"text": "so far", "error": "gone", "status": 504}).chat(
            {"model": "m", "messages": ASKED}
        ):
            said.append(chunk)

    assert text_of(said) == "so far" and caught.value.status == 504


async def test_a_limit_of_tokens_cuts_words() -> None:
    chunks = await gathered(playing({"text": "one two three"}).chat({"model": "m", "messages": ASKED, "max_tokens": 2}))

    assert text_of(chunks).split() == ["one", "two"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"


async def test_the_same_text_has_the_same_vector() -> None:
    answer = await playing().embed({"model": "vectors", "input": ["a", "b", "a"]})

    first, other, again = (row["embedding"] for row in answer["data"])
    assert first == again != other
    assert sum(number * number for number in first) == pytest.approx(1)


async def test_a_grammar_is_not_built_in() -> None:
    body = {"model": "m", "messages": ASKED, "response_format": {"type": "grammar", "bnf": {"grammar": "root ::= x"}}}

    with pytest.raises(NotBuiltIn, match="takes no grammar"):
        await playing().complete(body)


async def test_a_text_is_continued_by_the_first_line() -> None:
    whole = await playing({"text": "and so on"}).text_completion({"model": "m", "prompt": "Once", "max_tokens": 2})

    assert whole["object"] == "text_completion" and whole["usage"]["prompt_tokens"] == 1
    assert whole["choices"][0]["text"] == "and so " and whole["choices"][0]["finish_reason"] == "length"
