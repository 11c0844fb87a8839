"""Models, chat completions and embeddings: OpenAI's shapes at /v1, and at the older /v1/openai/v1."""

import base64
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import Router
from pydantic_core import to_json

from apps.accounts.auth import caller
from apps.core import db
from apps.core.answers import answer, nothing, sse
from apps.core.errors import BadRequest, ConsoleError, ProviderError
from apps.inference import chat, registry, schemas, spans
from apps.inference.chat import Target
from apps.inference.completions import Chunk, Joining

router = Router(tags=["Inference"])
DONE = b"data: [DONE]\n\n"
F = TypeVar("F", bound=Callable[..., Any])


def both(method: str, path: str, **options: Any) -> Callable[[F], F]:
    """Serve an operation at its path and, deprecated, under the prefix older clients use."""

    def decorate(view: F) -> F:
        add = getattr(router, method)
        old = {**options, "operation_id": f"{options['operation_id']}_openai_v1", "deprecated": True}
        add(f"/openai/v1{path}", **old)(view)
        add(path, **options)(view)
        return view

    return decorate


@router.get("/models", response=schemas.ListModelsResponse, operation_id="list_models", url_name="list_models")
async def list_models(request: HttpRequest) -> HttpResponse:
    """List the models that can be addressed."""
    return answer(await db.read(registry.listed))


@router.post("/models", response=schemas.Model, operation_id="register_model")
async def register_model(request: HttpRequest, body: schemas.RegisterModelRequest) -> HttpResponse:
    """Register a model of a provider, under a name of its own when ``provider_model_id`` differs from ``model_id``."""
    row = await db.write(registry.register, body, caller(request))
    chat.forget()
    return answer(row.as_schema())


@router.get("/models/{path:model_id}", response=schemas.Model, operation_id="get_model", url_name="get_model")
async def get_model(request: HttpRequest, model_id: str) -> HttpResponse:
    """Read a model by its id, or by its provider's own name when that is unique."""
    return answer((await db.read(registry.named, model_id)).as_schema())


@router.delete("/models/{path:model_id}", operation_id="unregister_model")
async def unregister_model(request: HttpRequest, model_id: str) -> HttpResponse:
    """Take a model away: delete a registered one, switch off one its provider lists."""
    await db.write(registry.unregister, model_id, caller(request))
    chat.forget()
    return nothing()


@router.get("/openai/v1/models", operation_id="list_models_openai_v1", deprecated=True)
async def openai_list_models(request: HttpRequest) -> HttpResponse:
    """List the models in OpenAI's shape."""
    listed = (await db.read(registry.listed)).data
    data = [{"id": row.identifier, "object": "model", "created": 0, "owned_by": row.provider_id} for row in listed]
    return answer({"object": "list", "data": data})


@both("post", "/chat/completions", operation_id="openai_chat_completion", url_name="openai_chat_completion")
async def openai_chat_completion(
    request: HttpRequest, body: schemas.OpenaiChatCompletionRequest
) -> HttpResponse | StreamingHttpResponse:
    """Answer a conversation, whole or streamed; what this server does not know is passed to the model server."""
    target = await chat.find(body.model)
    sent = body.model_dump(exclude_unset=True, exclude={"stream", "stream_options"})
    if not body.stream:
        with spans.calling("chat", target, _asked(sent)) as span:
            whole = await chat.complete(target, sent)
            spans.count(span, whole.get("usage"))
            spans.note(span, "output", spans.without_secrets(_answered(whole), sent.get("tools")))
        return HttpResponse(to_json({**whole, "model": target.identifier}), content_type="application/json")
    chunks = _traced(target, sent)
    first = await anext(chunks, None)  # a refusal is told as an HTTP error while it still can be
    return sse(_frames(first, chunks, target, wants_usage=bool((body.stream_options or {}).get("include_usage"))))


async def _traced(target: Target, sent: dict[str, Any]) -> AsyncGenerator[Chunk]:
    """Yield a model's answer within a span of its own, which ends with the stream and tells what came until then."""
    told, asked = Joining(), time.perf_counter()
    with spans.calling("chat", target, _asked(sent)) as span:
        try:
            async with aclosing(chat.stream(target, sent)) as chunks:
                async for chunk in chunks:
                    if chunk.get("usage"):
                        spans.count(span, chunk["usage"])
                    had_begun = told.has_begun
                    told.add(chunk)
                    if told.has_begun and not had_begun:
                        span.set_attribute("time_to_first_token_s", round(time.perf_counter() - asked, 6))
                    yield chunk
        finally:
            if told.has_begun:
                spans.note(span, "output", spans.without_secrets(told.message, sent.get("tools")))


def _asked(sent: dict[str, Any]) -> list[Any]:
    return [spans.without_secrets(message, sent.get("tools")) for message in sent.get("messages") or ()]


def _answered(whole: dict[str, Any]) -> Any:
    choices = whole.get("choices") or [{}]
    return choices[0].get("message")


async def _frames(
    first: Chunk | None, chunks: AsyncGenerator[Chunk], target: Target, *, wants_usage: bool
) -> AsyncIterator[bytes]:
    """Yield the answer as OpenAI's frames; a failure in the middle is the last frame. Closing it cancels the model."""
    async with aclosing(chunks):
        try:
            if first is not None:
                yield _frame(first, target)
            async for chunk in chunks:
                if chunk.get("choices") or wants_usage:
                    yield _frame(chunk, target)
            yield DONE
        except ConsoleError as error:
            failure = {"message": error.detail, "type": error.title, "code": error.status}
            yield b"data: " + to_json({"error": failure}) + b"\n\n"


def _frame(chunk: Chunk, target: Target) -> bytes:
    chunk["model"] = target.identifier
    return b"data: " + to_json(chunk) + b"\n\n"


@both("post", "/embeddings", operation_id="openai_embeddings", url_name="openai_embeddings")
async def openai_embeddings(request: HttpRequest, body: schemas.OpenaiEmbeddingsRequest) -> HttpResponse:
    """Return one vector for each text, as numbers or as base64 of 32-bit floats."""
    target = await chat.find(body.model, "embedding")
    _check_input(body, target)
    sent = body.model_dump(exclude_unset=True, exclude={"encoding_format"})
    with spans.calling("embeddings", target, sent.get("input")) as span:
        result = await chat.embed(target, sent)
        spans.count(span, result.get("usage"))
    data = [_embedding(index, row, body) for index, row in enumerate(result["data"])]
    usage = result.get("usage") or {"prompt_tokens": 0, "total_tokens": 0}
    whole = {"object": "list", "data": data, "model": target.identifier, "usage": usage}
    return HttpResponse(to_json(whole), content_type="application/json")


def _check_input(body: schemas.OpenaiEmbeddingsRequest, target: Target) -> None:
    if not body.input:
        raise BadRequest("input: must not be empty")
    for index, text in enumerate(body.input):
        if text == "" or text == []:
            raise BadRequest(f"input.{index}: must not be empty")
    has = target.metadata.get("embedding_dimension")
    if body.dimensions and has and body.dimensions != has:
        raise BadRequest(f"dimensions: model '{target.identifier}' gives {has} and cannot give {body.dimensions}")


def _embedding(index: int, row: dict[str, Any], body: schemas.OpenaiEmbeddingsRequest) -> dict[str, Any]:
    vector = row.get("embedding")
    if not isinstance(vector, list):
        raise ProviderError(f"The provider of '{body.model}' answered a vector that is not a list of numbers.")
    if body.dimensions and len(vector) != body.dimensions:
        raise BadRequest(f"dimensions: model '{body.model}' gives {len(vector)} and cannot give {body.dimensions}")
    if body.encoding_format == "base64":
        vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return {"object": "embedding", "index": index, "embedding": vector}
