"""Tool calls on small models. Some write calls as plain JSON, some never: both are helped here.

A router compares the question with each tool by embeddings and decides whether one is wanted: left alone,
small models call a tool for anything, or for nothing. A model with a good template for tools then chooses and calls
natively, and calls it writes into its text are found there; another only fills in the arguments of the nearest tool,
under the tool's schema. A forced choice is kept to by schema on every model. A tool's answer is given to the model in
words, and it answers in words.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any

from pydantic_core import from_json, to_json

from apps.core.content import text_of
from apps.core.errors import BadRequest
from apps.inference.completions import Answer, Chunk, joined, last_question, new_call_id

Body = dict[str, Any]
Tool = dict[str, Any]  # the "function" of an OpenAI tool
Stream = Callable[[Body], AsyncGenerator[Chunk]]
Embed = Callable[[list[str]], Awaitable[list[list[float]] | None]]
LEAST_LIKENESS = 0.2
LONGEST_ARGUMENT = 200
ARGUMENT_TOKENS = 300
KEPT_VECTORS = 2_000
# What people say when they want no tool: a question nearer to these than to any tool is answered in words.
SMALL_TALK = (
    "hello",
    "who are you",
    "how are you today",
    "thank you, that is all",
    "tell me a joke",
    "write a sentence",
    "tell me a story",
    "say something nice",
)
EXAMPLES = (
    ("get_weather", "city", "What is the weather in Rome?", "Rome"),
    ("calculator", "expression", "What is 7 times 6?", "7*6"),
    ("search_documents", "query", "Look in my documents for the holiday rules", "holiday rules"),
)


class Router:
    """Chooses the tool a question asks for by comparing meanings."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._kept: dict[str, list[float]] = {}

    async def choose(self, question: str, tools: list[Tool], *, must: bool) -> Tool | None:
        """Return the tool nearest to the question; None when small talk is nearer, or nothing is near."""
        if must and len(tools) == 1:
            return tools[0]
        described = [f"{tool['name'].replace('_', ' ')}: {tool.get('description') or ''}" for tool in tools]
        vectors = await self._vectors([question[:1000], *described, *SMALL_TALK])
        if vectors is None:
            return tools[0] if must else None
        asked, rest = vectors[0], vectors[1:]
        likeness = [sum(a * b for a, b in zip(asked, other, strict=True)) for other in rest]
        best = max(range(len(tools)), key=likeness.__getitem__)
        if must or likeness[best] > max(LEAST_LIKENESS, *likeness[len(tools) :]):
            return tools[best]
        return None

    async def _vectors(self, texts: list[str]) -> list[list[float]] | None:
        new = [text for text in dict.fromkeys(texts) if text not in self._kept]
        made = await self._embed(new) if new else []
        if made is None:
            return None
        vectors = {**self._kept, **dict(zip(new, made, strict=True))}
        if len(vectors) < KEPT_VECTORS:
            self._kept.update(dict(zip(new[1:], made[1:], strict=True)))  # the question itself is asked once
        return [vectors[text] for text in texts]


async def answer(body: Body, stream: Stream, router: Router, *, native: bool) -> AsyncGenerator[Chunk]:
    """Yield the answer to a conversation with or without tools; raises BadRequest for a choice that does not exist."""
    tools = [tool["function"] for tool in body.get("tools") or ()]
    choice = body.get("tool_choice") or "auto"
    plain = {name: value for name, value in body.items() if name not in ("tools", "tool_choice", "parallel_tool_calls")}
    plain["messages"] = _told_in_words(body["messages"])
    if not tools or choice == "none" or body["messages"][-1].get("role") == "tool":
        chunks = stream(plain)
    elif choice != "auto":
        chunks = _forced(plain, tools, choice, stream, router)
    else:
        tool = await router.choose(last_question(plain["messages"]), tools, must=False)
        if tool is None:
            chunks = stream(plain)
        else:
            chunks = _native({**plain, "tools": body["tools"]}, stream) if native else _call(plain, tool, stream)
    async with aclosing(chunks):
        async for chunk in chunks:
            yield chunk


async def _forced(plain: Body, tools: list[Tool], choice: Any, stream: Stream, router: Router) -> AsyncGenerator[Chunk]:
    name = choice["function"]["name"] if isinstance(choice, dict) else None
    if name is None and choice != "required":
        name = choice
    named = [tool for tool in tools if tool["name"] == name] if name else tools
    if not named:
        raise BadRequest(f"tool_choice: no tool is named '{name}'")
    tool = await router.choose(last_question(plain["messages"]), named, must=True)
    async with aclosing(_call(plain, tool or named[0], stream)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _call(plain: Body, tool: Tool, stream: Stream) -> AsyncGenerator[Chunk]:
    """Yield one call of this tool, its arguments written by the model under the tool's schema."""
    schema = _bounded(tool.get("parameters") or {})
    maker = Answer(plain["model"])
    arguments, usage = "{}", None
    if schema.get("properties"):
        whole = await joined(stream(_arguments_request(plain, tool, schema)))
        usage = whole.get("usage")
        arguments = _object_in(whole["choices"][0]["message"]["content"] or "")
    for chunk in maker.call(0, new_call_id(), tool["name"], arguments):
        yield chunk
    yield maker.delta({}, "tool_calls")
    if usage:
        yield maker.usage(usage)


def _arguments_request(plain: Body, tool: Tool, schema: dict[str, Any]) -> Body:
    messages = [{"role": "system", "content": "Write the arguments of the tool as JSON, with words of the question."}]
    for name, argument, question, value in EXAMPLES:
        messages.append({"role": "user", "content": f"Tool: {name}({argument})\n{question}"})
        messages.append({"role": "assistant", "content": to_json({argument: value}).decode()})
    signature = f"{tool['name']}({', '.join(schema['properties'])})"
    question = last_question(plain["messages"])
    messages.append({"role": "user", "content": f"Tool: {signature}\n{question}"})
    format_ = {"type": "json_schema", "json_schema": {"name": "arguments", "schema": schema}}
    return {
        "model": plain["model"],
        "messages": messages,
        "temperature": 0,
        "max_tokens": ARGUMENT_TOKENS,
        "response_format": format_,
    }


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with an end to every text, so that a small model cannot go on for ever."""
    properties = {}
    for name, described in (schema.get("properties") or {}).items():
        limits = (
            {"maxLength": LONGEST_ARGUMENT} if described.get("type") == "string" and "enum" not in described else {}
        )
        properties[name] = {**limits, **{key: value for key, value in described.items() if key != "default"}}
    required = schema.get("required") or list(properties)
    wanted = {name: described for name, described in properties.items() if name in required}
    return {**schema, "type": "object", "properties": wanted, "required": list(wanted), "additionalProperties": False}


async def _native(body: Body, stream: Stream) -> AsyncGenerator[Chunk]:
    """Yield the answer of a model that knows tools; calls it wrote as text become calls."""
    names = {tool["function"]["name"] for tool in body["tools"]}
    maker = Answer(body["model"])
    held = _Held()
    last: list[Chunk] = []
    async with aclosing(stream(body)) as chunks:
        async for chunk in chunks:
            choice = (chunk.get("choices") or [{}])[0]
            delta = choice.get("delta") or {}
            if choice.get("finish_reason") or not chunk.get("choices"):
                last.append(chunk)
            elif delta.get("tool_calls"):
                held.pieces.append(chunk)
            elif text := held.let_through(delta.get("content") or ""):
                yield maker.text(text)
    calls = await _calls_of(held, names)
    if held.text and not calls:
        yield maker.text(held.text)
    for index, (name, arguments) in enumerate(calls):
        for chunk in maker.call(index, new_call_id(), name, arguments):
            yield chunk
    for chunk in last:
        yield _finished(chunk) if calls else chunk


class _Held:
    """Text is passed on until it may be a call; from there on it is kept back until the answer is whole."""

    OPENINGS = ("{", "[", "`", "<")

    def __init__(self) -> None:
        self.text = ""
        self.pieces: list[Chunk] = []

    def let_through(self, text: str) -> str:
        if self.text:
            self.text += text
            return ""
        starts = [text.index(opening) for opening in self.OPENINGS if opening in text]
        if not starts:
            return text
        cut = min(starts)
        self.text = text[cut:]
        return text[:cut]


async def _calls_of(held: _Held, names: set[str]) -> list[tuple[str, str]]:
    """Return the calls the model made, in its own way or in its text."""
    if not held.pieces:
        return list(_calls_in(held.text, names))

    async def pieces() -> AsyncGenerator[Chunk]:
        for piece in held.pieces:
            yield piece

    message = (await joined(pieces()))["choices"][0]["message"]
    return [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", ())]


def _calls_in(text: str, names: set[str]) -> Iterator[tuple[str, str]]:
    """Yield each JSON object in a text that names a known tool, as name and arguments."""
    decoder, position = json.JSONDecoder(), text.find("{")
    while position != -1:
        try:
            value, end = decoder.raw_decode(text, position)
        except ValueError:
            end = position + 1
        else:
            call = _as_call(value, names)
            if call:
                yield call
        position = text.find("{", end)


def _as_call(value: Any, names: set[str]) -> tuple[str, str] | None:
    if not isinstance(value, dict) or value.get("name") not in names:
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    return value["name"], arguments if isinstance(arguments, str) else to_json(arguments).decode()


def _finished(chunk: Chunk) -> Chunk:
    choices = [{**choice, "finish_reason": "tool_calls"} for choice in chunk.get("choices", ())]
    return {**chunk, "choices": choices}


def _object_in(text: str) -> str:
    try:
        value = from_json(text)
    except ValueError:
        return "{}"
    return text if isinstance(value, dict) else "{}"


def _told_in_words(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a conversation without calls: what a tool answered is told as part of the question.

    Raises BadRequest for pictures, which these models cannot see.
    """
    told: list[dict[str, Any]] = []
    for message in messages:
        role, words = message.get("role"), _words(message)
        if role == "tool":
            question = told.pop()["content"] if told and told[-1]["role"] == "user" else ""
            told.append(
                {"role": "user", "content": f"{question}\n\nFacts: {words}\n\nAnswer with these facts.".strip()}
            )
        elif role != "assistant" or words:
            told.append({"role": role, "content": words})
    return told


def _words(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") == "image_url" for part in content
    ):
        raise BadRequest("messages: the embedded models read text and no pictures; choose a model that sees")
    return text_of(content)
