"""Three agents to begin with: what the empty list and the form offer."""

from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

ASK_A_PERSON = [
    {
        "name": "ask_a_person",
        "description": "Ask a person to decide or to look something up. Use it whenever you are not sure.",
        "input_schema": {
            "type": "object",
            "properties": {"question": {"type": "string", "description": "What the person has to answer"}},
            "required": ["question"],
        },
    }
]
ANSWER_SHAPE = {
    "type": "json_schema",
    "json_schema": {
        "type": "object",
        "properties": {"summary": {"type": "string"}, "topics": {"type": "array", "items": {"type": "string"}}},
        "required": ["summary", "topics"],
    },
}


@dataclass(frozen=True)
class Starter:
    """A form that is filled already."""

    title: str
    text: str
    icon: str
    initial: dict[str, Any]


STARTERS = {
    "assistant": Starter(
        "Assistant",
        "Answers questions in a few plain sentences.",
        "messages-square",
        {"name": "Assistant", "instructions": "You are a helpful assistant. Answer in a few plain sentences."},
    ),
    "asks-people": Starter(
        "Asks people",
        "Calls a tool that a person answers, so you can see a turn wait.",
        "hand",
        {
            "name": "Asks people",
            "instructions": "You help customers. Before you promise anything, ask a person with the tool ask_a_person.",
            "client_tools": to_json(ASK_A_PERSON, indent=2).decode(),
        },
    ),
    "extractor": Starter(
        "Extractor",
        "Reads a text and answers with JSON of a fixed shape.",
        "braces",
        {
            "name": "Extractor",
            "instructions": "Read the text of the user and answer with its summary and its topics as JSON.",
            "response_format": to_json(ANSWER_SHAPE, indent=2).decode(),
        },
    ),
}
