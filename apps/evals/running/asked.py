"""What a row asks, and what a scoring function is shown of it (SEMANTICS 4.3)."""

from contextlib import suppress
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from apps.agents import history
from apps.core.content import text_of
from apps.core.errors import BadRequest
from apps.core.fields import json_text
from apps.inference.schemas import ToolCall

Json = dict[str, Any]
CONVERSATIONS = ("chat_completion_input", "messages")
QUESTIONS = ("question", "input_query")
ROLES = {"system", "user", "assistant", "tool"}
SAID = {"content", "tool_calls"}
NO_CONTENT = "the content of a message must be text or content items."


def prompt_of(row: Json) -> str | None:
    """Return the text a row asks to go on with, None when it asks by messages or a question."""
    value = row.get("completion_input")
    return None if value is None else _prompt(value)


def messages_of(row: Json) -> list[Json]:
    """Return the conversation a row asks to go on with, in OpenAI's form; raises BadRequest when it asks nothing."""
    prompt = prompt_of(row)
    if prompt is not None:
        return [{"role": "user", "content": prompt}]
    for column in CONVERSATIONS:
        if row.get(column) is not None:
            return _conversation(row[column], column)
    for column in QUESTIONS:
        if row.get(column) is not None:
            return [{"role": "user", "content": _text(row[column])}]
    columns = ", ".join(f"'{name}'" for name in list(row)[:8]) or "none"
    wanted = ", ".join(("completion_input", *CONVERSATIONS, *QUESTIONS))
    raise BadRequest(f"The row asks nothing: it needs one of {wanted}. Its columns: {columns}.")


def expected_of(row: Json) -> Any:
    """Return the answer a row expects, None when it tells none."""
    return row["expected_answer"] if row.get("expected_answer") is not None else row.get("answer")


def shown(row: Json, generation: Json) -> Json:
    """Return the row as scoring functions read it: with the answer, and under the names they know."""
    return {**row, "input_query": question_of(row), "expected_answer": expected_of(row), **generation}


def question_of(row: Json) -> str:
    """Return the words of a person a row ends with, empty when it has none."""
    if isinstance(row.get("input_query"), str):
        return str(row["input_query"])
    try:
        messages = messages_of(row)
    except BadRequest:
        return ""
    return next((text_of(one["content"]) for one in reversed(messages) if one["role"] == "user"), "")


def _prompt(value: Any) -> str:
    """Return a completion's prompt: plain text, or JSON that holds one."""
    read = _read(value)
    if isinstance(read, dict):
        read = read.get("content", read.get("prompt", read.get("text")))
    return _words(read) or _text(value)


def _text(value: Any) -> str:
    """Return a value as words; what holds none, as it is written in JSON."""
    return value if isinstance(value, str) else _words(value) or json_text(value)


def _words(value: Any) -> str:
    if not isinstance(value, str | list | dict):
        return ""
    with suppress(TypeError):  # content items whose text is none
        return text_of(value)
    return ""


def _list(value: Any, column: str) -> list[Any]:
    messages = _read(value)
    if isinstance(messages, dict):
        messages = [messages]
    if not isinstance(messages, list) or not messages:
        raise BadRequest(f"'{column}' must be a list of messages, or JSON text of one.")
    return messages


def _conversation(value: Any, column: str) -> list[Json]:
    messages = [_message(one, column) for one in _list(value, column)]
    try:
        told = history.conversation(messages)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadRequest(f"'{column}': {NO_CONTENT}") from error
    if not told:
        raise BadRequest(f"'{column}' asks nothing: its messages are empty, or calls of tools that nobody answered.")
    return told


def _message(value: Any, column: str) -> Json:
    """Return a message in the API's form; it may come in OpenAI's."""
    if not isinstance(value, dict) or str(value.get("role")) not in ROLES or not value.keys() & SAID:
        raise BadRequest(f"'{column}': each message needs a role ({', '.join(sorted(ROLES))}) and content.")
    content = "" if value.get("content") is None else value["content"]
    if not isinstance(content, str | list | dict):
        raise BadRequest(f"'{column}': {NO_CONTENT}")
    message = {**value, "content": content}
    if value["role"] == "tool":
        message["call_id"] = value.get("call_id") or value.get("tool_call_id") or ""
    if value.get("tool_calls"):
        message["tool_calls"] = [_call(one, column) for one in _list(value["tool_calls"], column)]
    return message


def _call(value: Any, column: str) -> Json:
    """Return a tool call in the API's form; it may come in OpenAI's, and from files without an id."""
    try:
        if "function" in value:
            name, arguments = value["function"]["name"], value["function"]["arguments"]
            value = {"call_id": value.get("id") or "", "tool_name": name, "arguments": arguments}
        return ToolCall.model_validate(value).model_dump()
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise BadRequest(
            f"'{column}': a tool call needs call_id, tool_name and arguments, or OpenAI's form."
        ) from error


def _read(value: Any) -> Any:
    """Return a value, read from JSON text where a file brought it so."""
    if not isinstance(value, str):
        return value
    try:
        return from_json(value)
    except (ValueError, TypeError):  # TypeError: text that holds half a character
        return value
