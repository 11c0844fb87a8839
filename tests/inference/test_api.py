"""Models, chat completions and embeddings through HTTP."""

import base64
import struct
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx2
import openai
import pytest
from pydantic_core import from_json

from apps.accounts.models import AuditLine
from apps.core import db
from apps.inference import api as api_module
from apps.inference import chat
from apps.inference.models import Model, Source
from apps.providers import instances
from tests import build

Api = httpx2.AsyncClient
HI = [{"role": "user", "content": "hi"}]


def frames(response: httpx2.Response) -> list[Any]:
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [line[6:] for line in response.text.split("\n\n") if line]
    return [line if line == "[DONE]" else from_json(line) for line in lines]


def audited() -> list[tuple[str, str]]:
    return list(AuditLine.objects.filter(kind="model").order_by("id").values_list("action", "object_id"))


async def test_models_are_listed_as_the_contract_says(api: Api, model: str) -> None:
    listed = (await api.get("/v1/models")).json()

    assert listed == {
        "data": [
            {
                "identifier": model,
                "provider_resource_id": "scripted",
                "provider_id": "scripted",
                "type": "model",
                "metadata": {},
                "model_type": "llm",
            }
        ]
    }


@pytest.mark.parametrize("name", ["scripted/scripted", "scripted"])
async def test_a_model_is_read_by_either_name(api: Api, model: str, name: str) -> None:
    assert (await api.get(f"/v1/models/{name}")).json()["identifier"] == model


async def test_a_model_is_registered_used_and_deleted_by_a_name_with_signs(api: Api, model: str) -> None:
    body = {"model_id": "mine/a:b::c", "provider_model_id": "scripted", "provider_id": "scripted"}

    made = await api.post("/v1/models", json=body)
    answer = await api.post("/v1/chat/completions", json={"model": "mine/a:b::c", "messages": HI})
    gone = await api.delete("/v1/models/mine/a:b::c")

    assert made.json()["identifier"] == "mine/a:b::c" and answer.json()["model"] == "mine/a:b::c"
    assert (gone.status_code, gone.json()) == (200, None)
    assert (await api.get("/v1/models/mine/a:b::c")).status_code == 404
    assert await db.read(audited) == [("register", "mine/a:b::c"), ("unregister", "mine/a:b::c")]


async def test_a_model_registered_by_the_providers_name_gets_the_providers_before_it(api: Api, model: str) -> None:
    made = await api.post("/v1/models", json={"model_id": "other", "provider_id": "scripted"})

    assert made.json()["identifier"] == "scripted/other"


async def test_registering_again_is_fine_when_the_same_and_a_conflict_when_not(api: Api, model: str) -> None:
    body = {"model_id": "x", "provider_id": "scripted", "metadata": {"a": 1}}

    answers = [await api.post("/v1/models", json=body | extra) for extra in ({}, {}, {"metadata": {"a": 2}})]

    assert [answer.status_code for answer in answers] == [200, 200, 409]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model_id": "x", "provider_id": "nobody"}, 404),
        ({"model_id": ""}, 400),
        ({"model_id": "x", "model_type": "sound"}, 400),
        ({"model_id": "x", "colour": "red"}, 400),
        ({"provider_id": "scripted"}, 400),
    ],
)
async def test_a_registration_that_makes_no_sense_is_refused(api: Api, model: str, body: Any, status: int) -> None:
    assert (await api.post("/v1/models", json=body)).status_code == status


async def test_the_provider_must_be_named_when_there_are_several(api: Api, model: str) -> None:
    await db.write(build.provider, "second")

    refused = await api.post("/v1/models", json={"model_id": "x"})

    assert refused.status_code == 400 and "scripted, second" in refused.json()["detail"]


async def test_deleting_a_listed_model_switches_it_off_and_registering_brings_it_back(api: Api, model: str) -> None:
    await db.write(lambda: Model.objects.update(source=Source.LISTED))

    await api.delete(f"/v1/models/{model}")
    listed = (await api.get("/v1/models")).json()["data"]
    await api.post("/v1/models", json={"model_id": "scripted", "provider_id": "scripted"})

    assert listed == [] and (await api.get(f"/v1/models/{model}")).status_code == 200


async def test_a_viewer_reads_and_does_not_ask(client_for: Callable[..., Api], model: str) -> None:
    viewer = client_for("viewer")

    assert (await viewer.get("/v1/models")).status_code == 200
    asked = await viewer.post("/v1/chat/completions", json={"model": model, "messages": HI})
    assert asked.status_code == 403


async def test_a_chat_is_answered_whole(api: Api, scripted: Callable[..., str]) -> None:
    model = await db.write(scripted, "Good day.")

    answer = (await api.post("/v1/chat/completions", json={"model": model, "messages": HI})).json()

    assert (answer["object"], answer["model"]) == ("chat.completion", model)
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Good day."}


async def test_a_chat_is_streamed_to_its_done_line(api: Api, scripted: Callable[..., str]) -> None:
    body = {"model": await db.write(scripted, "one two"), "messages": HI, "stream": True}

    plain = frames(await api.post("/v1/chat/completions", json=body))
    counted = frames(await api.post("/v1/chat/completions", json=body | {"stream_options": {"include_usage": True}}))

    assert plain[-1] == "[DONE]" and all(frame["choices"] for frame in plain[:-1])
    assert {frame["model"] for frame in plain[:-1]} == {body["model"]}
    assert counted[-2]["usage"]["completion_tokens"] == 2 and counted[-2]["choices"] == []


async def test_a_failure_before_the_first_word_is_an_http_error(
    api: Api, model_server: Any, transactional_db: None
) -> None:
    row = await db.write(build.provider, "far", "remote::openai", config={"base_url": f"{model_server.url}/v1"})
    await db.write(build.model, row, "fake")
    body = {"model": "far/fake", "messages": [{"role": "user", "content": "fail:503"}], "stream": True}

    refused = await api.post("/v1/chat/completions", json=body)
    await instances.close()

    assert (refused.status_code, refused.json()["title"]) == (502, "Bad Gateway")


async def test_a_failure_in_the_middle_is_the_last_frame(api: Api, scripted: Callable[..., str]) -> None:
    model = await db.write(scripted, {"text": "so far", "error": "The backend broke."})

    told = frames(await api.post("/v1/chat/completions", json={"model": model, "messages": HI, "stream": True}))

    assert told[-1]["error"]["message"] == "The backend broke."


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model": "nope", "messages": HI}, 404),
        ({"model": "scripted/scripted", "messages": []}, 400),
        ({"model": "scripted/scripted"}, 400),
        ({"model": "scripted/scripted", "messages": HI, "max_tokens": 0}, 400),
    ],
)
async def test_a_chat_that_makes_no_sense_is_refused(api: Api, model: str, body: Any, status: int) -> None:
    refused = await api.post("/v1/chat/completions", json=body)

    assert refused.status_code == status and refused.json()["detail"]


async def test_a_reader_who_leaves_ends_the_generation(model: str) -> None:
    ended: list[bool] = []

    async def endless() -> AsyncGenerator[dict[str, Any]]:
        try:
            while True:
                yield {"choices": [{"delta": {"content": "on and "}}]}
        finally:
            ended.append(True)

    target = await chat.find(model)
    frames = api_module._frames(None, endless(), target, wants_usage=False)
    await anext(frames)
    await frames.aclose()  # type: ignore[attr-defined]

    assert ended == [True]


async def test_the_older_prefix_answers_the_same(api: Api, scripted: Callable[..., str]) -> None:
    model = await db.write(scripted, "Yes.")

    answer = await api.post("/v1/openai/v1/chat/completions", json={"model": model, "messages": HI})
    listed = (await api.get("/v1/openai/v1/models")).json()

    assert answer.json()["choices"][0]["message"]["content"] == "Yes."
    assert [entry["id"] for entry in listed["data"]] == [model]


async def vectors_model() -> str:
    row = await db.write(build.provider)
    made = await db.write(build.model, row, "vectors", "embedding", metadata={"embedding_dimension": 8})
    return str(made.identifier)


async def test_embeddings_are_numbers_or_base64_of_the_same(api: Api) -> None:
    body = {"model": await vectors_model(), "input": ["a", "b"]}

    numbers = (await api.post("/v1/embeddings", json=body)).json()
    coded = (await api.post("/v1/embeddings", json=body | {"encoding_format": "base64"})).json()

    assert [row["index"] for row in numbers["data"]] == [0, 1]
    assert numbers["model"] == body["model"] and numbers["usage"]["prompt_tokens"] == 2
    first = struct.unpack("<8f", base64.b64decode(coded["data"][0]["embedding"]))
    assert first == pytest.approx(numbers["data"][0]["embedding"])


@pytest.mark.parametrize(
    "wrong", [{"input": []}, {"input": ["a", ""]}, {"input": ""}, {"dimensions": 5}, {"encoding_format": "x"}]
)
async def test_embeddings_that_make_no_sense_are_refused(api: Api, wrong: Any) -> None:
    body = {"model": await vectors_model(), "input": "a", **wrong}

    assert (await api.post("/v1/embeddings", json=body)).status_code == 400


async def test_a_chat_model_gives_no_embeddings(api: Api, model: str) -> None:
    refused = await api.post("/v1/embeddings", json={"model": model, "input": "a"})

    assert refused.status_code == 400 and "for chat" in refused.json()["detail"]


async def test_the_openai_client_works_unchanged(client_for: Callable[..., Api], scripted: Callable[..., str]) -> None:
    model = await db.write(scripted, "Hello there.", {"tool_calls": [{"name": "look", "arguments": {"at": "it"}}]})
    http = client_for("operator")
    client = openai.AsyncOpenAI(
        base_url="http://testserver/v1", api_key=http.headers["authorization"].split()[1], http_client=http
    )

    whole = await client.chat.completions.create(model=model, messages=HI)  # type: ignore[arg-type]
    stream = await client.chat.completions.create(model=model, messages=HI, stream=True)  # type: ignore[call-overload]
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    called = await client.chat.completions.create(
        model=model, messages=[*HI, {"role": "assistant", "content": "x"}, *HI]
    )  # type: ignore[arg-type]

    assert whole.choices[0].message.content == text == "Hello there."
    assert called.choices[0].message.tool_calls[0].function.name == "look"  # type: ignore[index,union-attr]
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="nope", messages=HI)  # type: ignore[arg-type]


async def test_the_openai_client_reads_embeddings(client_for: Callable[..., Api]) -> None:
    http = client_for("operator")
    client = openai.AsyncOpenAI(
        base_url="http://testserver/v1", api_key=http.headers["authorization"].split()[1], http_client=http
    )

    made = await client.embeddings.create(model=await vectors_model(), input=["a"])

    assert len(made.data[0].embedding) == 8
