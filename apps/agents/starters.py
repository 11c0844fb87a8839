"""Three agents to begin with: what the empty list and the form offer."""

from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from apps.agents.schemas import AgentConfig

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
            "tool_choice": "required",  # of the first model call of a turn: small models would rather answer themselves
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

CHIPS = (
    "What can you help me with?",
    "Explain in two sentences what an agent is",
    "Write a short poem about the sea",
    "List three ideas for a rainy day",
)
ASKING = (
    "May I return shoes I wore once?",
    "Ask a person whether order A-17 was shipped",
    "Can I get a discount of 20 %?",
)
SHAPED = (
    "The bakery on Mill Street opens at six, sells rye bread and closes on Mondays.",
    "Rain from the west in the morning, sun later, 14 degrees, light wind.",
)


def chips_of(config: AgentConfig) -> tuple[str, ...]:
    """Return first messages that show what an agent of this configuration does."""
    if config.client_tools:
        return ASKING
    return SHAPED if config.response_format else CHIPS
