"""The backend for servers that speak OpenAI's API: what is sent, what comes back, what each failure is told as."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from pydantic_core import from_json

from apps.core.errors import NotBuiltIn, ProviderError, ProviderFailed
from apps.inference.providers.openai_compatible import OpenAICompatible, OpenAIConfig
from tests.inference.conftest import STREAM, Serve, answer, frame, gathered, text_of
from tests.processes import ModelServer

KEY = "sk-never-told-to-anybody"
SAID = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def backend(url: str, **config: Any) -> OpenAICompatible:
    return OpenAICompatible("far", OpenAIConfig(base_url=url, **{"api_key": KEY, **config}))


async def failure(url: str, **body: Any) -> ProviderError:
    """Return what a streamed call fails with."""
    one = backend(url)
    with pytest.raises(ProviderError) as caught:
        await gathered(one.chat({**SAID, **body}))
    await one.close()
    assert KEY not in caught.value.detail
    return caught.value


async def test_an_answer_comes_piece_by_piece_with_its_counts_last(model_server: ModelServer) -> None:
    one = backend(f"{model_server.url}/v1")

    chunks = await gathered(one.chat({**SAID, "model": "fake"}))

    assert text_of(chunks).split() == [f"tok{number}" for number in range(20)]
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 20
    await one.close()


async def test_a_whole_answer_is_asked_for_at_once(model_server: ModelServer) -> None:
    one = backend(f"{model_server.url}/v1")

    whole = await one.complete({**SAID, "model": "fake-n1"})

    assert whole["choices"][0]["message"]["content"] == "tok0 "
    await one.close()


async def test_models_are_listed_with_a_guess_of_what_they_are_for(model_server: ModelServer) -> None:
    one = backend(f"{model_server.url}/v1")

    kinds = {entry["id"]: entry["model_type"] for entry in await one.models()}

    assert kinds["fake"] == "llm" and kinds["fake-embed-e8"] == "embedding"
    await one.close()


async def test_only_the_models_of_the_settings_are_offered(model_server: ModelServer) -> None:
    one = backend(f"{model_server.url}/v1", models=["fake", "my-own"])

    assert [entry["id"] for entry in await one.models()] == ["fake", "my-own"]
    await one.close()


async def test_parameters_are_passed_on_and_the_key_is_sent(serve: Serve) -> None:
    async with serve(STREAM, frame("x", "stop"), b"data: [DONE]\n\n") as server:
        one = backend(server.url)
        await gathered(one.chat({**SAID, "top_k": 5, "seed": 7}))
        await one.close()

    request = server.asked[0]
    assert b'"top_k":5' in request and b'"seed":7' in request and b'"include_usage":true' in request
    assert b"Bearer " + KEY.encode() in request


async def test_a_grammar_is_refused_before_anything_is_sent(serve: Serve) -> None:
    grammar = {"type": "grammar", "bnf": {"grammar": 'root ::= "yes"'}}
    async with serve(STREAM) as server:
        one = backend(server.url)
        with pytest.raises(NotBuiltIn):
            await gathered(one.chat({**SAID, "response_format": grammar}))
        with pytest.raises(NotBuiltIn):
            await one.complete({**SAID, "response_format": grammar})
        await one.close()

    assert server.asked == []


def test_openai_itself_gets_no_parameter_it_refuses() -> None:
    one = backend("https://api.openai.com/v1")

    suited = one._suited({"top_k": 5, "repetition_penalty": 1.2, "max_tokens": 9})

    assert suited == {"max_completion_tokens": 9}


async def test_a_key_of_the_environment_goes_to_no_other_server(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    async with serve(answer({"data": []})) as server:
        one = backend(server.url, api_key=None)
        await one.models()
        await one.close()

    assert b"sk-of-somebody-else" not in server.asked[0]


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (401, 502, "refuses the key"),
        (403, 502, "refuses the key"),
        (404, 404, "no such model"),
        (400, 400, "no such model"),
        (422, 400, "no such model"),
        (429, 429, "too often"),
        (500, 502, "failed (500)"),
        (503, 502, "failed (503)"),
    ],
)
async def test_a_refusal_is_told_by_what_can_be_done(serve: Serve, said: int, status: int, words: str) -> None:
    body = {"error": {"message": f"no such model, and the key was {KEY}"}}
    async with serve(answer(body, said, "Retry-After: 7")) as server:
        error = await failure(server.url)

    assert (error.status, words in error.detail) == (status, True), error.detail
    assert error.headers == ({"Retry-After": "7"} if said == 429 else {})


async def test_a_conversation_that_is_too_long_is_told_in_tokens(serve: Serve) -> None:
    refusal = {"type": "exceed_context_size_error", "message": "x", "n_prompt_tokens": 5120, "n_ctx": 2048}
    async with serve(answer({"error": refusal}, 400)) as server:
        error = await failure(server.url)

    assert error.status == 400 and "5,120 tokens" in error.detail and "2,048" in error.detail


async def test_a_server_that_is_not_there_is_unreachable(unused_port: int) -> None:
    error = await failure(f"http://127.0.0.1:{unused_port}/v1")

    assert error.status == 502 and f"127.0.0.1:{unused_port}" in error.detail


@pytest.mark.parametrize("end", [b"", b"data: {"])
async def test_an_answer_cut_in_the_middle_is_a_failure(serve: Serve, end: bytes) -> None:
    async with serve(STREAM, frame("one"), frame("two"), end) as server:
        error = await failure(server.url)

    assert error.status == 502 and "cut" in error.detail


async def test_an_answer_may_end_without_the_done_line(serve: Serve) -> None:
    async with serve(STREAM, frame("one"), frame(None, "stop")) as server:
        one = backend(server.url)
        assert text_of(await gathered(one.chat(SAID))) == "one"
        await one.close()


async def test_frames_may_arrive_in_any_pieces(serve: Serve) -> None:
    whole = b": ping\r\n\r\nevent: x\r\n" + frame("zwölf").replace(b"\n", b"\r\n") + frame(None, "stop")
    async with serve(STREAM, *(bytes([byte]) for byte in whole)) as server:
        one = backend(server.url)
        assert text_of(await gathered(one.chat(SAID))) == "zwölf"
        await one.close()


async def test_an_error_frame_ends_the_answer(serve: Serve) -> None:
    async with serve(STREAM, frame("one"), b'data: {"error": {"message": "out of memory"}}\n\n') as server:
        error = await failure(server.url)

    assert error.status == 502 and "out of memory" in error.detail


@pytest.mark.parametrize("pieces", [(30.0,), (STREAM, frame("one"), 30.0)])
async def test_a_silent_server_is_given_up(serve: Serve, pieces: Any, settings: Any) -> None:
    settings.MODEL_TIMEOUT_S = 0.2
    async with serve(*pieces) as server:
        error = await failure(server.url)

    assert error.status == 504 and "silent" in error.detail


@pytest.mark.parametrize("body", [b"<html>", b'{"x": 1}'])
async def test_a_server_that_speaks_something_else_is_told_so(serve: Serve, body: bytes) -> None:
    async with serve(answer(body)) as server:
        one = backend(server.url)
        with pytest.raises(ProviderError):
            await one.models()
        with pytest.raises(ProviderError):
            await one.complete(SAID)
        with pytest.raises(ProviderError):
            await one.embed({"model": "m", "input": "x"})
        await one.close()


@pytest.mark.parametrize("choices", [[], None, 7, [7], [{}], [{"message": None}], [{"text": None}]])
async def test_an_answer_that_holds_nothing_is_a_failure(serve: Serve, choices: Any) -> None:
    async with serve(answer({"choices": choices})) as server:
        one = backend(server.url)
        with pytest.raises(ProviderFailed, match="'far' answered without choices that hold a message"):
            await one.complete(SAID)
        with pytest.raises(ProviderFailed, match="'far' answered without choices that hold a text"):
            await one.text_completion({"model": "m", "prompt": "x"})
        await one.close()


async def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure(serve: Serve) -> None:
    async with serve(
        answer({"choices": [{"message": {"content": "Yes."}}]})
    ) as server:  # closes after each answer without saying so
        one = backend(server.url)
        for _ in range(3):
            await one.complete(SAID)
        await one.close()

    assert len(server.asked) == 3


async def test_leaving_the_stream_leaves_the_server(serve: Serve) -> None:
    async with serve(STREAM, frame("one"), 30.0) as server:
        one = backend(server.url)
        async with aclosing(one.chat(SAID)) as chunks:
            await anext(chunks)
        await asyncio.wait_for(server.left.wait(), 2)
        await one.close()


async def test_a_cancelled_task_leaves_the_server(serve: Serve) -> None:
    async with serve(STREAM, frame("one"), 30.0) as server:
        one = backend(server.url)
        task = asyncio.create_task(gathered(one.chat(SAID)))
        while not server.asked:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait_for(server.left.wait(), 2)
        with pytest.raises(asyncio.CancelledError):
            await task
        await one.close()
        await one.close()


@pytest.mark.parametrize("url", ["ftp://x/v1", "localhost:8000", "http://ann:secret@host/v1"])
def test_an_address_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        OpenAIConfig(base_url=url)


@pytest.fixture
def unused_port() -> int:
    """A port nobody listens on."""
    from tests.processes import free_port

    return free_port()


async def test_a_text_is_continued_without_roles_and_with_the_limit_that_path_knows(serve: Serve) -> None:
    told = {"choices": [{"text": " Paris.", "finish_reason": "stop"}], "usage": {"prompt_tokens": 5}}
    body = {"model": "m", "prompt": "The capital of France is", "max_tokens": 4, "top_k": 3, "stop": ["\n"]}
    async with serve(answer(told)) as server:
        one = backend(server.url, max_tokens_name="max_completion_tokens", extra_parameters=False)
        whole = await one.text_completion(body)
        await one.close()

    head, _, sent = server.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/completions ") and whole == told
    assert from_json(sent) == {
        "model": "m", "prompt": "The capital of France is", "max_tokens": 4, "stop": ["\n"], "stream": False
    }  # fmt: skip


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_server_that_continues_no_text_is_told_as_lacking_it(serve: Serve, status: int) -> None:
    async with serve(answer({"error": {"message": "not here"}}, status)) as server:
        one = backend(server.url)
        with pytest.raises(ProviderError, match=f"answers {status}: not here") as caught:
            await one.text_completion({"model": "m", "prompt": "x"})
        await one.close()

    assert caught.value.status == 404
