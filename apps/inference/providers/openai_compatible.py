"""Any server that speaks OpenAI's API: OpenAI itself, vLLM, Ollama, llama-server, another Stack Console."""

import re
from collections.abc import AsyncGenerator
from typing import Any, Literal
from urllib.parse import urlsplit

from django.conf import settings
from pydantic import Field, SecretStr, field_validator

from apps.core.errors import ProviderError, ProviderFailed
from apps.inference.completions import Chunk
from apps.inference.providers.wire import Wire
from apps.inference.sampling import refuse_grammar
from apps.providers.types import Config

HEALTH_S = 5.0
EMBEDDING_NAME = re.compile(r"embed|minilm|\bbge|\be5\b|\bgte", re.I)
RERANK_NAME = re.compile(r"rerank", re.I)
# Parameters that many servers take and OpenAI's own refuses.
EXTRA_PARAMETERS = ("top_k", "repetition_penalty")


class OpenAIConfig(Config):
    """Where the server is and what it is told."""

    base_url: str = Field(description="Address up to and with /v1, for example http://127.0.0.1:11434/v1.")
    api_key: SecretStr | None = Field(default=None, description="Sent as a bearer token.")
    models: list[str] = Field(
        default_factory=list, description="Offer only these models, one a line; empty offers all that the server lists."
    )
    max_tokens_name: Literal["auto", "max_tokens", "max_completion_tokens"] = Field(
        default="auto", description="How the server calls the limit of an answer; auto goes by the address."
    )
    extra_parameters: bool | None = Field(
        default=None, description="Whether it takes top_k and repetition_penalty; unset goes by the address."
    )

    @field_validator("base_url")
    @classmethod
    def an_address(cls, value: str) -> str:
        """Refuse what is not an http address."""
        parts = urlsplit(value.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an address such as http://127.0.0.1:8000/v1")
        if parts.username or parts.password:
            raise ValueError("must not hold a user name or password: the key has a field of its own")
        return value.strip().rstrip("/")

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI's own server, which is stricter than those that imitate it."""
        return urlsplit(self.base_url).hostname == "api.openai.com"


class OpenAICompatible:
    """Passes requests on and answers back, naming what failed."""

    Config = OpenAIConfig

    def __init__(self, provider_id: str, config: OpenAIConfig) -> None:
        self.provider_id = provider_id
        self.config = config
        self.at_once: int | None = None
        self._wire = Wire(
            f"Provider '{provider_id}'",
            config.base_url,
            config.api_key.get_secret_value() if config.api_key else "",
            connect_s=settings.MODEL_CONNECT_S,
            silence_s=settings.MODEL_TIMEOUT_S,
        )
        self._takes_extra = not config.is_openai if config.extra_parameters is None else config.extra_parameters
        name = config.max_tokens_name
        self._limit_name = ("max_completion_tokens" if config.is_openai else "") if name == "auto" else name

    def chat(self, body: dict[str, Any]) -> AsyncGenerator[Chunk]:
        """Yield the chunks as the server sends them, the counts last; raises NotBuiltIn when called with a grammar."""
        streamed = {**self._suited(body), "stream": True, "stream_options": {"include_usage": True}}
        return self._wire.stream("/chat/completions", streamed)

    async def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the server's answer, which holds a message; raises ProviderError."""
        answer = await self._wire.post("/chat/completions", {**self._suited(body), "stream": False})
        return self._with_choice(answer, "message", dict)

    async def text_completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the server's text completion, which holds a text; raises ProviderError, 404 when it serves none."""
        answer = await self._wire.post("/completions", {**self._known(body), "stream": False})
        return self._with_choice(answer, "text", str)

    async def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the server's vectors; raises ProviderError."""
        answer = await self._wire.post("/embeddings", body)
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
            raise ProviderError(f"Provider '{self.provider_id}' answered without vectors.")
        return answer

    async def models(self) -> list[dict[str, Any]]:
        """Return the server's list, or that part of it which the settings name."""
        answer = await self._wire.get("/models", timeout_s=HEALTH_S)
        listed = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(listed, list):
            raise ProviderError(f"Provider '{self.provider_id}' does not list its models as OpenAI does.")
        names = [entry["id"] for entry in listed if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
        wanted = self.config.models or names
        return [{"id": name, "model_type": _kind(name), "metadata": {}} for name in dict.fromkeys(wanted)]

    async def health(self) -> None:
        """Return when the server lists its models within five seconds."""
        await self._wire.get("/models", timeout_s=HEALTH_S)

    async def close(self) -> None:
        """Close the connections of this loop."""
        await self._wire.close()

    def _with_choice(self, answer: Any, part: str, kind: type) -> dict[str, Any]:
        """Return the answer when its first choice holds what was asked for; raises ProviderFailed."""
        whole: dict[str, Any] = answer if isinstance(answer, dict) else {}
        choices = whole.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(first, dict) or not isinstance(first.get(part), kind):
            raise ProviderFailed(f"Provider '{self.provider_id}' answered without choices that hold a {part}.")
        return whole

    def _known(self, body: dict[str, Any]) -> dict[str, Any]:
        unknown = () if self._takes_extra else EXTRA_PARAMETERS
        return {name: value for name, value in body.items() if name not in unknown}

    def _suited(self, body: dict[str, Any]) -> dict[str, Any]:
        refuse_grammar(body, self.provider_id)
        suited = self._known(body)
        if self._limit_name:
            for name in ("max_tokens", "max_completion_tokens"):
                limit = suited.pop(name, None)
                if limit:
                    suited[self._limit_name] = limit
        return suited


def _kind(name: str) -> str:
    """Guess what a model is for: OpenAI's list does not say."""
    if RERANK_NAME.search(name):
        return "rerank"
    return "embedding" if EMBEDDING_NAME.search(name) else "llm"
