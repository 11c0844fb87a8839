"""Real small models in real child processes: answers, cancelling, sharing, dying, idling."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from apps.core.errors import ProviderError
from apps.inference.providers.llama_cpp import LlamaCpp, LlamaCppConfig
from apps.inference.providers.llama_cpp_server import Load, ModelServer
from tests.inference.conftest import gathered, text_of, until

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(180)]
STORY = {"model": "smollm2-135m", "messages": [{"role": "user", "content": "Tell a long story."}], "temperature": 0}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def server_of(backend: LlamaCpp, name: str = "smollm2-135m") -> ModelServer:
    return next(server for server in backend._servers.values() if server.name == name)


def child_of(server: ModelServer) -> int:
    return int(server._alive.read_text())


def is_alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


async def busy_slots(server: ModelServer) -> int:
    async with server.in_use() as wire:
        slots = await wire.get("http://model/slots")
    return sum(slot["is_processing"] for slot in slots)


async def test_an_answer_is_streamed_with_its_counts(embedded: LlamaCpp) -> None:
    chunks = await gathered(embedded.chat({**STORY, "max_tokens": 12}))

    assert len(text_of(chunks)) > 10
    assert chunks[-1]["usage"]["completion_tokens"] == 12
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"


async def test_leaving_in_the_middle_frees_the_slot(embedded: LlamaCpp) -> None:
    async with aclosing(embedded.chat({**STORY, "max_tokens": 2000, "ignore_eos": True})) as chunks:
        for _ in range(5):
            await anext(chunks)
        assert await busy_slots(server_of(embedded)) == 1

    async def free() -> bool:
        return await busy_slots(server_of(embedded)) == 0

    await until(free, 5)


async def test_two_answers_come_at_once(embedded: LlamaCpp) -> None:
    together = await asyncio.gather(*(gathered(embedded.chat({**STORY, "max_tokens": 20})) for _ in range(2)))

    assert text_of(together[0]) == text_of(together[1]) != ""


async def test_after_its_child_is_killed_the_next_answer_comes_from_a_new_one(embedded: LlamaCpp) -> None:
    await embedded.complete({**STORY, "max_tokens": 2})
    first = child_of(server_of(embedded))
    os.kill(first, signal.SIGKILL)

    whole = await embedded.complete({**STORY, "max_tokens": 2})

    assert whole["choices"][0]["message"]["content"]
    assert child_of(server_of(embedded)) != first


async def test_an_answer_whose_child_is_killed_is_a_failure(embedded: LlamaCpp) -> None:
    async with aclosing(embedded.chat({**STORY, "max_tokens": 2000, "ignore_eos": True})) as chunks:
        await anext(chunks)
        os.kill(child_of(server_of(embedded)), signal.SIGKILL)
        with pytest.raises(ProviderError, match="cut") as caught:
            await gathered(chunks)

    assert caught.value.status == 502


async def test_a_tool_is_called_and_its_answer_told(embedded: LlamaCpp) -> None:
    question = {"role": "user", "content": "What is the weather in Lisbon right now?"}
    asked = {"model": "smollm2-135m", "messages": [question], "tools": [WEATHER], "temperature": 0}

    first = (await embedded.complete(asked))["choices"][0]
    call = first["message"]["tool_calls"][0]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "18 degrees and sunny"}
    second = (await embedded.complete({**asked, "messages": [question, first["message"], result]}))["choices"][0]

    assert first["finish_reason"] == "tool_calls"
    assert call["function"] == {"name": "get_weather", "arguments": '{"city":"Lisbon"}'}
    assert "tool_calls" not in second["message"] and "18" in second["message"]["content"]


async def test_small_talk_calls_no_tool(embedded: LlamaCpp) -> None:
    body = {**STORY, "messages": [{"role": "user", "content": "Hello, who are you?"}], "tools": [WEATHER]}

    choice = (await embedded.complete({**body, "max_tokens": 10}))["choices"][0]

    assert "tool_calls" not in choice["message"] and choice["message"]["content"]


async def test_a_schema_holds(embedded: LlamaCpp) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    whole = await embedded.complete({**STORY, "response_format": format_, "max_tokens": 40})

    assert whole["choices"][0]["message"]["content"].startswith("{")


async def test_a_grammar_holds(embedded: LlamaCpp) -> None:
    format_ = {"type": "grammar", "bnf": {"grammar": 'root ::= "yes" | "no"'}}

    whole = await embedded.complete({**STORY, "response_format": format_, "max_tokens": 10})

    assert whole["choices"][0]["message"]["content"] in ("yes", "no")


async def test_a_grammar_that_is_none_is_refused(embedded: LlamaCpp) -> None:
    format_ = {"type": "grammar", "bnf": {"grammar": "root ::= ("}}

    with pytest.raises(ProviderError) as refused:
        await embedded.complete({**STORY, "response_format": format_, "max_tokens": 10})

    assert refused.value.status == 400
    assert await embedded.complete({**STORY, "max_tokens": 2})


async def test_like_texts_have_like_vectors(embedded: LlamaCpp) -> None:
    texts = ["a cat on the mat", "a kitten on the rug", "the theory of money"]

    answer = await embedded.embed({"model": "all-minilm-l6-v2", "input": texts})

    cat, kitten, money = (row["embedding"] for row in answer["data"])
    assert len(cat) == 384 and sum(number * number for number in cat) == pytest.approx(1, abs=1e-3)
    assert likeness(cat, kitten) > 0.4 > likeness(cat, money)


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_too_much_text_is_refused_in_tokens(embedded: LlamaCpp) -> None:
    with pytest.raises(ProviderError, match=r"it reads at most 4,096") as chat:
        await embedded.complete({**STORY, "messages": [{"role": "user", "content": "word " * 6000}]})
    with pytest.raises(ProviderError, match=r"it reads at most 512") as embed:
        await embedded.embed({"model": "all-minilm-l6-v2", "input": "word " * 900})

    assert (chat.value.status, embed.value.status) == (400, 400)


async def test_a_model_that_is_not_here_is_told_with_those_that_are(embedded: LlamaCpp) -> None:
    with pytest.raises(ProviderError, match="smollm2-135m") as caught:
        await embedded.complete({**STORY, "model": "gpt-9"})

    assert caught.value.status == 404


async def test_two_backends_share_one_child(embedded: LlamaCpp) -> None:
    other = LlamaCpp("other", LlamaCppConfig())
    await asyncio.gather(*(one.complete({**STORY, "max_tokens": 2}) for one in (embedded, other)))

    assert child_of(server_of(embedded)) == child_of(server_of(other))
    await other.close()
    assert is_alive(child_of(server_of(embedded)))


async def test_a_child_nobody_uses_for_a_while_ends(embedded: LlamaCpp, settings: Any) -> None:
    settings.EMBEDDED_IDLE_S = 0.1
    await embedded.complete({**STORY, "max_tokens": 2})
    pid = child_of(server_of(embedded))

    async def gone() -> bool:
        return not is_alive(pid)

    await until(gone, 10)
    assert (await embedded.complete({**STORY, "max_tokens": 2}))["choices"]


async def test_a_child_ends_when_the_process_that_started_it_is_killed(weights: None, tmp_path: Path) -> None:
    script = Path(__file__).with_name("ask_and_wait.py")
    environment = {**os.environ, "STACK_CONSOLE_DATA_DIR": str(tmp_path), "PYTHONPATH": str(script.parents[2])}
    from apps.inference import catalog

    asker = subprocess.Popen(
        [sys.executable, str(script), str(catalog.SMOLLM2.path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert asker.stdout is not None
    pid = int(await asyncio.to_thread(asker.stdout.readline))
    assert is_alive(pid)

    asker.kill()
    asker.wait()
    asker.stdout.close()

    async def gone() -> bool:
        return not is_alive(pid)

    await until(gone, 10)


async def test_a_file_that_is_no_model_fails_with_its_reason_and_a_pause(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    server = ModelServer("broken", Load(broken, 512, 1, 1, False))

    for words in ("could not be loaded", "next try in"):
        with pytest.raises(ProviderError, match=words):
            async with server.in_use():
                pass

    await server.close()


async def test_the_socket_is_for_this_user_alone(embedded: LlamaCpp) -> None:
    await embedded.complete({**STORY, "max_tokens": 2})

    assert server_of(embedded)._socket.stat().st_mode & 0o777 == 0o600


async def test_a_text_is_continued_and_not_answered(embedded: LlamaCpp) -> None:
    body = {"model": "smollm2-135m", "prompt": "The capital of France is", "temperature": 0, "max_tokens": 12}

    whole = await embedded.text_completion({**body, "stop": ["."]})

    assert whole["choices"][0]["text"] == " Paris" and whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"]["prompt_tokens"] == 5  # no template was laid around it
