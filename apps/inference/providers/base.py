"""What the console asks of anything that runs models; messages, parameters and answers are OpenAI's."""

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from apps.providers.types import Config


class InferenceProvider(Protocol):
    """A backend of models; built with its provider id and its checked settings.

    Every method raises ProviderError: 400 when the backend refuses the input, 404 when it lacks the model, 429 when it
    is asked too often, 502 when it cannot be reached, fails, or stops in the middle, 504 when it is silent too long.
    """

    Config: type[Config]
    at_once: int | None  # answers it works on at the same time; None when that is its own affair

    def __init__(self, provider_id: str, config: Any) -> None: ...

    def chat(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """Yield the chunks of an answer; closing the iterator, or cancelling its task, cancels the generation."""
        ...

    async def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the whole answer at once."""
        ...

    async def text_completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return how the text of ``body["prompt"]`` goes on, whole: OpenAI's text completion. 404 when it cannot."""
        ...

    async def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return one vector for each text of ``body["input"]``."""
        ...

    async def models(self) -> list[dict[str, Any]]:
        """Return what can be used now: ``id``, ``model_type`` (llm, embedding, rerank) and ``metadata`` of each."""
        ...

    async def health(self) -> None:
        """Return when all is well."""
        ...

    async def close(self) -> None:
        """Let go of connections and children; the backend may be used again."""
        ...
