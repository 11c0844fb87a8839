"""Models that run on this machine: llama.cpp, a child process for each loaded file, asked like any OpenAI server."""

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from pydantic import Field

from apps.core.errors import BadRequest, ProviderError
from apps.inference import catalog
from apps.inference.completions import Chunk, continued, joined
from apps.inference.providers import tool_calls
from apps.inference.providers.llama_cpp_server import Load, ModelServer
from apps.inference.providers.wire import Unreachable
from apps.inference.sampling import grammar_of
from apps.providers.types import Config

MOST_THREADS = 8
# What the console calls differently than the runtime.
RENAMED = {"repetition_penalty": "repeat_penalty", "max_completion_tokens": "max_tokens"}


class LlamaCppConfig(Config):
    """How much of the machine the models get."""

    threads: int = Field(default=0, ge=0, description="Threads of each model; 0 uses every core but one.")
    slots: int = Field(default=2, ge=1, le=16, description="Answers a model works on at once.")
    context: int = Field(default=4096, ge=512, description="Tokens a conversation may have, for each slot.")


class LlamaCpp:
    """Runs the weights that are present: those of the catalog, and any GGUF file an operator puts beside them."""

    Config = LlamaCppConfig

    def __init__(self, provider_id: str, config: LlamaCppConfig) -> None:
        self.provider_id = provider_id
        self.config = config
        self.at_once: int | None = config.slots
        self._servers: dict[Path, ModelServer] = {}
        self._router = tool_calls.Router(self._vectors)

    async def chat(self, body: dict[str, Any]) -> AsyncGenerator[Chunk]:
        """Yield the chunks of an answer; tool calls work also on models that cannot write them by themselves."""
        model = self._find(body["model"], "llm")
        suited = _suited(body, model.metadata)
        chunks = tool_calls.answer(suited, self._stream, self._router, native=bool(model.metadata.get("native_tools")))
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the whole answer; raises ProviderError."""
        return await joined(self.chat(body))

    async def text_completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return how a text goes on; raises ProviderError."""
        model = self._find(body["model"], "llm")
        return await continued(self._stream(_suited(body, model.metadata), "/completions"))

    async def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a vector for each text; raises BadRequest for tokens, which are another model's."""
        model = self._find(body["model"], "embedding")
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if not all(isinstance(text, str) for text in texts):
            raise BadRequest("input: embedded models take text, not tokens of another model")
        answer: dict[str, Any] = await self._ask(model, "/embeddings", {"input": texts})
        return answer

    async def models(self) -> list[dict[str, Any]]:
        """Return the weights that are present."""
        return [
            {"id": model.name, "model_type": model.model_type, "metadata": _told(model)}
            for model in _present().values()
        ]

    async def health(self) -> None:
        """Return when there is a model to run; whether one can be loaded shows when it is asked."""
        if not _present():
            raise ProviderError(
                "No weights are here yet. Fetch the small ones: manage.py pull_model --starters", status=404
            )

    async def close(self) -> None:
        """Let go of every loaded model."""
        for server in self._servers.values():
            await server.close()

    async def _stream(self, body: dict[str, Any], path: str = "/chat/completions") -> AsyncGenerator[Chunk]:
        server = self._server(self._find(body["model"], "llm"))
        streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
        for is_second_try in (False, True):
            async with server.in_use(anew=is_second_try) as wire:
                chunks = wire.stream(path, streamed)
                try:
                    async with aclosing(chunks):
                        async for chunk in chunks:
                            yield chunk
                    return
                except Unreachable:  # its child died since the last call: nothing was sent, so start it and ask again
                    if is_second_try:
                        raise

    async def _ask(self, model: catalog.Weights, path: str, body: dict[str, Any]) -> Any:
        server = self._server(model)
        try:
            async with server.in_use() as wire:
                return await wire.post(path, body)
        except Unreachable:
            async with server.in_use(anew=True) as wire:
                return await wire.post(path, body)

    async def _vectors(self, texts: list[str]) -> list[list[float]] | None:
        """Return vectors for choosing a tool; None without an embedding model."""
        model = next((model for model in _present().values() if model.model_type == "embedding"), None)
        if model is None:
            return None
        answer = await self._ask(model, "/embeddings", {"input": texts})
        return [row["embedding"] for row in answer["data"]]

    def _find(self, name: str, model_type: str) -> catalog.Weights:
        present = _present()
        model = present.get(name)
        if model is None or model.model_type != model_type:
            known = ", ".join(found.name for found in present.values() if found.model_type == model_type) or "none"
            raise ProviderError(f"Model '{name}' is not on this machine. Here: {known}.", status=404)
        return model

    def _server(self, model: catalog.Weights) -> ModelServer:
        server = self._servers.get(model.path)
        if server is None:
            is_embedding = model.model_type == "embedding"
            longest = model.metadata.get("context_length") or self.config.context
            load = Load(
                path=model.path,
                context=longest if is_embedding else min(longest, self.config.context),
                slots=self.config.slots,
                threads=self.config.threads or _spare_cores(),
                is_embedding=is_embedding,
            )
            server = self._servers[model.path] = ModelServer(model.name, load)
        return server


def _present() -> dict[str, catalog.Weights]:
    """Return what the folder of weights holds, the best chat model first."""
    found = {weights.name: weights for weights in catalog.CATALOG if weights.is_present}
    known = {weights.file for weights in catalog.CATALOG}
    for path in sorted(catalog.folder().glob("*.gguf")):
        if path.name not in known:
            other = catalog.unknown(path)
            found.setdefault(other.name, other)
    return found


def _spare_cores() -> int:
    """Return every core but one: threads wait for each other, so a single busy neighbour slows all of them down.

    Measured on two cores: 122 tokens/s with one thread, 140 with two; beside a busy process 120 and 10 to 35.
    """
    return max(1, min((os.cpu_count() or 1) - 1, MOST_THREADS))


def _told(model: catalog.Weights) -> dict[str, Any]:
    return {**model.metadata, "title": model.title, "size": model.path.stat().st_size, "licence": model.licence}


def _suited(body: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    suited = {RENAMED.get(name, name): value for name, value in body.items()}
    grammar = grammar_of(body)
    if grammar is not None:
        del suited["response_format"]
        suited["grammar"] = grammar
    if metadata.get("max_tokens"):
        suited.setdefault("max_tokens", metadata["max_tokens"])
    return suited
