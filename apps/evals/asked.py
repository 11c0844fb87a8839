"""What a row asks, and what a scoring function is shown of it (SEMANTICS 4.3)."""

from contextlib import suppress
from typing import Any

from pydantic_core import from_json

from apps.agents.history import to_openai
from apps.core.content import text_of
from apps.core.errors import BadRequest
from apps.core.fields import json_text

Json = dict[str, Any]
CONVERSATIONS = ("chat_completion_input", "messages")
QUESTIONS = ("question", "input_query")
ROLES = {"system", "user", "assistant", "tool"}


def messages_of(row: Json) -> list[Json]:
    """Return the conversation a row asks to go on with, in OpenAI's form; raises BadRequest when it asks nothing."""
    if row.get("completion_input") is not None:
        return [{"role": "user", "content": _prompt(row["completion_input"])}]
    for column in CONVERSATIONS:
        if row.get(column) is not None:
            return [_message(one, column) for one in _list(row[column], column)]
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


def _message(value: Any, column: str) -> Json:
    if not isinstance(value, dict) or str(value.get("role")) not in ROLES or "content" not in value:
        raise BadRequest(f"'{column}': each message needs a role ({', '.join(sorted(ROLES))}) and content.")
    message = {"role": value["role"], "content": _content(value["content"], column)}
    kept = ("tool_calls", "tool_call_id", "name")
    return message | {name: value[name] for name in kept if value.get(name)}


def _content(content: Any, column: str) -> Any:
    try:
        return to_openai(content) if content is not None else ""
    except (KeyError, TypeError, AttributeError) as error:
        raise BadRequest(f"'{column}': the content of a message must be text or content items.") from error


def _read(value: Any) -> Any:
    """Return a value, read from JSON text where a file brought it so."""
    if not isinstance(value, str):
        return value
    try:
        return from_json(value)
    except (ValueError, TypeError):  # TypeError: text that holds half a character
        return value
