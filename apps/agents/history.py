"""What the model is shown: stored turns, and this turn's own messages, as OpenAI messages (SEMANTICS 1.9, 1.10).

Works on the spec's plain JSON, because a long session is read again for each of its turns.
"""

from collections.abc import Iterable
from typing import Any

from pydantic_core import from_json, to_json

from apps.core.content import text_of

Json = dict[str, Any]
UNREADABLE = "{}"  # stands for arguments the model wrote badly: servers refuse a history that is not JSON


def replay(turns: Iterable[tuple[list[Json], list[Json], list[Json]]]) -> list[Json]:
    """Return the messages of earlier turns, each given as (input messages, documents' content, steps)."""
    messages: list[Json] = []
    for inputs, documents, steps in turns:
        messages += turn_messages(inputs, documents, steps)
    return messages


def turn_messages(
    inputs: list[Json], documents: list[Json], steps: list[Json], *, with_context: bool = False
) -> list[Json]:
    """Return one turn's messages; every tool call in them is followed by its answer, others are left out."""
    answered = {response["call_id"] for step in steps for response in step.get("tool_responses") or []}
    inputs = [message for message in inputs if message["role"] != "tool" or message["call_id"] not in answered]
    messages = [_input(message, with_context=with_context) for message in inputs]
    if documents and messages:
        messages[-1]["content"] = _joined(messages[-1]["content"], documents)
    for step in steps:
        messages += step_messages(step, answered)
    return messages


def conversation(messages: Iterable[Json]) -> list[Json]:
    """Return messages of every role that were written down in one list, answers among them, with their context.

    As in a turn, calls that no tool's message answers are left out.
    """
    messages = list(messages)
    answered = {message["call_id"] for message in messages if message["role"] == "tool"}
    told: list[Json] = []
    for one in messages:
        said = _assistant(one, answered) if one["role"] == "assistant" else [_input(one, with_context=True)]
        told += [message | ({"name": one["name"]} if one.get("name") else {}) for message in said]
    return told


def step_messages(step: Json, answered: set[str]) -> list[Json]:
    """Return what one step adds to the conversation."""
    kind = step["step_type"]
    if kind == "inference":
        return _assistant(step["model_response"], answered)
    if kind == "tool_execution":
        return [tool_message(response) for response in step["tool_responses"]]
    violation = step.get("violation")
    if kind == "shield_call" and violation and violation["violation_level"] == "error":
        return [{"role": "assistant", "content": violation.get("user_message") or ""}]
    return []


def tool_message(response: Json) -> Json:
    """Return a tool's response as the message that answers its call."""
    return {"role": "tool", "tool_call_id": response["call_id"], "content": text_of(response["content"])}


def call_json(call: Json) -> Json:
    """Return a tool call in OpenAI's form."""
    arguments = call["arguments"] if reads_as_object(call["arguments"]) else UNREADABLE
    return {"id": call["call_id"], "type": "function", "function": {"name": call["tool_name"], "arguments": arguments}}


def reads_as_object(arguments: str) -> bool:
    """Return whether the arguments a model wrote are a JSON object."""
    try:
        return isinstance(from_json(arguments), dict)
    except ValueError:
        return False


def _assistant(message: Json, answered: set[str]) -> list[Json]:
    calls = [call_json(call) for call in message.get("tool_calls") or [] if call["call_id"] in answered]
    content = text_of(message["content"])
    if calls:
        return [{"role": "assistant", "content": content, "tool_calls": calls}]
    return [{"role": "assistant", "content": content}] if content else []


def _input(message: Json, *, with_context: bool) -> Json:
    if message["role"] == "tool":
        return tool_message(message)
    content = to_openai(message["content"])
    context = message.get("context") if with_context else None
    if context:
        content = _joined(content, [context] if isinstance(context, dict) else _items(context))
    return {"role": message["role"], "content": content}


def _joined(content: Any, items: list[Json]) -> Any:
    """Append content items to a message's content, set off by a blank line."""
    if isinstance(content, str) and all(item["type"] == "text" for item in items):
        return "\n\n".join(filter(None, [content, "\n".join(item["text"] for item in items)]))
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    return parts + [_item(item) for item in items]


def to_openai(content: Any) -> Any:
    """Return the spec's content as OpenAI's: text stays text, items become parts."""
    if isinstance(content, str):
        return content
    items = _items(content)
    if all(item["type"] == "text" for item in items):
        return "\n".join(item["text"] for item in items)
    return [_item(item) for item in items]


def _items(content: Any) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content) if isinstance(content, list) else [content]


def _item(item: Json) -> Json:
    if item["type"] == "text":
        return {"type": "text", "text": item["text"]}
    image = item["image"]
    url = image["url"]["uri"] if image.get("url") else f"data:{_image_type(image['data'])};base64,{image['data']}"
    return {"type": "image_url", "image_url": {"url": url}}


def _image_type(data: str) -> str:
    """Return the media type by the first bytes of base64 data."""
    starts = {"/9j/": "image/jpeg", "iVBOR": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}
    return next((kind for start, kind in starts.items() if data.startswith(start)), "image/png")


def system_message(instructions: str, tools: list[Json], behavior: str) -> list[Json]:
    """Return the system message, if there are instructions; ``replace`` puts the tools where the text asks for them."""
    if behavior == "replace":
        instructions = instructions.replace("{{function_definitions}}", to_json(tools).decode())
    return [{"role": "system", "content": instructions}] if instructions else []
