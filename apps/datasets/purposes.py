"""What rows of each purpose hold, and under which other names real data brings it."""

from itertools import product
from typing import Any

from pydantic_core import from_json

Columns = tuple[str, ...]
# What functions score an answer by: a text, IFEval's instructions, BFCL's calls.
SCORED_BY = ("answer", "expected_answer", "instruction_id_list", "ground_truth")
# The first set of each purpose is the published one; the others are accepted because much data is written so.
ACCEPTED: dict[str, tuple[Columns, ...]] = {
    "post-training/messages": (
        ("messages",),
        ("chat_completion_input", "expected_answer"),
        ("dialog",),
        ("prompt", "chosen", "rejected"),
    ),
    "eval/question-answer": tuple(
        product(("question", "input_query", "completion_input", "chat_completion_input"), SCORED_BY)
    ),
    "eval/messages-answer": tuple(product(("messages", "chat_completion_input"), SCORED_BY)),
}
MESSAGE_COLUMNS = ("messages", "dialog", "chat_completion_input")
LOOKED_AT = 20  # rows of a new dataset that are held against its purpose


def problem(purpose: str, row: dict[str, Any]) -> str | None:
    """Return why a row does not fit its purpose, or None when it fits one of the accepted sets of columns."""
    sets = ACCEPTED[purpose]
    columns = next((columns for columns in sets if all(column in row for column in columns)), None)
    if columns is None:
        wanted = " + ".join(f"'{column}'" for column in sets[0])
        has = ", ".join(f"'{name}'" for name in list(row)[:8]) or "none"
        return f"{purpose} needs {wanted} (or another accepted set of columns); the row has {has}"
    for column in columns:
        if column in MESSAGE_COLUMNS and messages_of(row[column]) is None:
            return f"'{column}' must be a list of messages, each with role and content"
    return None


def messages_of(value: Any) -> list[dict[str, Any]] | None:
    """Return a column's messages, read from JSON text where a file brought them so; None when it holds none."""
    if isinstance(value, str):
        try:
            value = from_json(value)
        except ValueError:
            return None
    if not isinstance(value, list) or not value:
        return None
    fits = all(isinstance(one, dict) and isinstance(one.get("role"), str) and "content" in one for one in value)
    return value if fits else None
