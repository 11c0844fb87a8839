"""Answers in pieces and answers in one: OpenAI chunks made, joined and read."""

import secrets
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from apps.core.content import text_of

Chunk = dict[str, Any]


class Answer:
    """Makes the chunks of one answer: they share an id, a time and a model."""

    def __init__(self, model: str) -> None:
        self._frame = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }

    def delta(self, delta: dict[str, Any], finish_reason: str | None = None) -> Chunk:
        """Return a chunk with this delta."""
        return {**self._frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    def text(self, text: str) -> Chunk:
        """Return a chunk of text."""
        return self.delta({"content": text})

    def call(self, index: int, call_id: str, name: str, arguments: str) -> Iterator[Chunk]:
        """Yield the chunks of one tool call: its opening, then its arguments."""
        opening = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        yield self.delta({"role": "assistant", "content": None, "tool_calls": [opening]})
        yield self.delta({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})

    def usage(self, usage: dict[str, Any]) -> Chunk:
        """Return the last chunk, which carries what was counted."""
        return {**self._frame, "choices": [], "usage": usage}


def new_call_id() -> str:
    """Return a fresh id for a tool call."""
    return f"call_{secrets.token_hex(12)}"


def count(input_tokens: int, output_tokens: int) -> dict[str, int]:
    """Return token counts in OpenAI's shape."""
    total = input_tokens + output_tokens
    return {"prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": total}


class Joining:
    """Puts the chunks of one answer together, as they come."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._text: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish_reason: str | None = None

    def add(self, chunk: Chunk) -> None:
        """Take the next chunk; of several choices the first one is meant."""
        for key in ("id", "created", "model"):
            if key in chunk:
                self._head.setdefault(key, chunk[key])
        if chunk.get("usage"):
            self._head["usage"] = chunk["usage"]
        for choice in (chunk.get("choices") or ())[:1]:
            delta = choice.get("delta") or {}
            if delta.get("content"):
                self._text.append(delta["content"])
            for piece in delta.get("tool_calls") or ():
                _add_piece(self._calls, piece)
            self._finish_reason = choice.get("finish_reason") or self._finish_reason

    @property
    def has_begun(self) -> bool:
        """Whether any text or call has come."""
        return bool(self._text or self._calls)

    @property
    def message(self) -> dict[str, Any]:
        """The assistant's message so far."""
        text = "".join(self._text) or (None if self._calls else "")
        calls = {"tool_calls": [self._calls[index] for index in sorted(self._calls)]} if self._calls else {}
        return {"role": "assistant", "content": text, **calls}

    @property
    def completion(self) -> dict[str, Any]:
        """The whole chat completion."""
        choice = {"index": 0, "message": self.message, "finish_reason": self._finish_reason or "stop", "logprobs": None}
        return {"object": "chat.completion", **self._head, "choices": [choice]}


async def joined(chunks: AsyncIterator[Chunk]) -> dict[str, Any]:
    """Return the chunks of one answer as a whole chat completion."""
    answer = Joining()
    async for chunk in chunks:
        answer.add(chunk)
    return answer.completion


async def continued(chunks: AsyncIterator[Chunk]) -> dict[str, Any]:
    """Return the chunks of a text that was continued as a whole text completion."""
    told: dict[str, Any] = {}
    text: list[str] = []
    finish_reason = "stop"
    async for chunk in chunks:
        told |= {key: chunk[key] for key in ("id", "created", "model", "usage") if chunk.get(key)}
        for choice in (chunk.get("choices") or ())[:1]:
            text.append(choice.get("text") or "")
            finish_reason = choice.get("finish_reason") or finish_reason
    return text_completion("".join(text), finish_reason, told)


def text_completion(text: str, finish_reason: str, told: dict[str, Any]) -> dict[str, Any]:
    """Return a text completion: what follows the prompt, and what else is told of the answer."""
    choice = {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}
    return {**told, "object": "text_completion", "choices": [choice]}


def _add_piece(calls: dict[int, dict[str, Any]], piece: dict[str, Any]) -> None:
    function = piece.get("function") or {}
    call = calls.setdefault(
        piece.get("index", 0), {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
    )
    call["id"] = piece.get("id") or call["id"]
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""


def last_question(messages: list[dict[str, Any]]) -> str:
    """Return the words of the last message of a person."""
    return next((text_of(m.get("content")) for m in reversed(messages) if m.get("role") == "user"), "")
