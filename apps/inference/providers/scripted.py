"""A model that plays a written script: for tests, demos and bug reports, the same every time. Without one it echoes."""

import asyncio
import hashlib
import re
import struct
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from apps.core.content import text_of
from apps.core.errors import ProviderError
from apps.inference.completions import Answer, Chunk, count, joined, last_question, new_call_id, text_completion
from apps.inference.sampling import refuse_grammar
from apps.providers.types import Config

WORDS = re.compile(r"\S+\s*")
DIMENSIONS = 8


class Call(BaseModel):
    """A tool call to make."""

    model_config = ConfigDict(extra="forbid")

    name: str
    arguments: dict[str, Any] | str = Field(default_factory=dict)


class Line(BaseModel):
    """One answer of the script."""

    model_config = ConfigDict(extra="forbid")

    text: str = ""
    tool_calls: list[Call] = Field(default_factory=list)
    delay_s: float = Field(default=0, ge=0, description="Wait before the first word.")
    pace_s: float = Field(default=0, ge=0, description="Wait before each further word.")
    error: str = Field(default="", description="Fail with this sentence, after the text has been said.")
    status: int = Field(default=502, ge=400, le=599, description="The status the error answers with.")
    finish_reason: str = ""


class ScriptedConfig(Config):
    """What the scripted model says."""

    script: list[Line] = Field(
        default_factory=list,
        description="Answers in order, the first for a conversation that has none yet; after the last it echoes.",
    )
    models: list[str] = Field(
        default_factory=lambda: ["scripted"], min_length=1, description="Names it answers to, one a line."
    )
    pace_s: float = Field(default=0, ge=0, description="Wait before each further word of an echo.")


class Scripted:
    """Answers the n-th assistant message of a conversation with the n-th line of its script."""

    Config = ScriptedConfig

    def __init__(self, provider_id: str, config: ScriptedConfig) -> None:
        self.provider_id = provider_id
        self.config = config
        self.at_once: int | None = None

    async def chat(self, body: dict[str, Any]) -> AsyncGenerator[Chunk]:
        """Yield the line whose turn it is, word by word; raises ProviderError where the script says so."""
        refuse_grammar(body, self.provider_id)
        line = self._line(body["messages"])
        answer = Answer(body["model"])
        words = WORDS.findall(line.text) or ([line.text] if line.text else [])
        await asyncio.sleep(line.delay_s)
        yield answer.delta({"role": "assistant", "content": ""})
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or len(words)
        for position, word in enumerate(words[:limit]):
            if line.pace_s and position:
                await asyncio.sleep(line.pace_s)
            yield answer.text(word)
        if line.error:
            raise ProviderError(line.error, status=line.status)
        for chunk in _calls(answer, line):
            yield chunk
        yield answer.delta({}, "length" if limit < len(words) else _finish(line))
        asked = sum(len(text_of(message.get("content")).split()) for message in body["messages"])
        yield answer.usage(count(asked, min(limit, len(words)) or 1))

    async def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the line as one answer."""
        return await joined(self.chat(body))

    async def text_completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the first line of the script, or the prompt once more, as what follows the prompt."""
        told = await self.complete({**body, "messages": [{"role": "user", "content": body["prompt"]}]})
        [choice] = told.pop("choices")
        return text_completion(choice["message"]["content"] or "", choice["finish_reason"], told)

    async def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a vector for each text: the same text has the same vector, everywhere."""
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        data = [
            {"object": "embedding", "index": index, "embedding": _vector(str(text))} for index, text in enumerate(texts)
        ]
        tokens = sum(len(str(text).split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": body["model"], "usage": usage}

    async def models(self) -> list[dict[str, Any]]:
        """Return the names of the configuration, and one embedding model."""
        chat = [{"id": name, "model_type": "llm", "metadata": {}} for name in self.config.models]
        return [*chat, {"id": "vectors", "model_type": "embedding", "metadata": {"embedding_dimension": DIMENSIONS}}]

    async def health(self) -> None:
        """Return at once: a script is always well."""

    async def close(self) -> None:
        """Return at once: nothing is held."""

    def _line(self, messages: list[dict[str, Any]]) -> Line:
        said = sum(message.get("role") == "assistant" for message in messages)
        if said < len(self.config.script):
            line: Line = self.config.script[said]
            return line
        return Line(text=_echo(messages), pace_s=self.config.pace_s)


def _echo(messages: list[dict[str, Any]]) -> str:
    last = messages[-1] if messages else {}
    if last.get("role") == "tool":
        return f"The tool says: {text_of(last.get('content'))}"
    return last_question(messages) or "…"


def _calls(answer: Answer, line: Line) -> Iterator[Chunk]:
    for index, call in enumerate(line.tool_calls):
        arguments = call.arguments if isinstance(call.arguments, str) else to_json(call.arguments).decode()
        yield from answer.call(index, new_call_id(), call.name, arguments)


def _finish(line: Line) -> str:
    return line.finish_reason or ("tool_calls" if line.tool_calls else "stop")


def _vector(text: str) -> list[float]:
    raw = struct.unpack(f"<{DIMENSIONS}i", hashlib.shake_256(text.encode()).digest(4 * DIMENSIONS))
    norm = sum(value * value for value in raw) ** 0.5 or 1.0
    return [value / norm for value in raw]
