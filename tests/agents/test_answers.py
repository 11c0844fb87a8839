"""Answering a call by hand: fields from the tool's schemas, checks, and what the model reads."""

import json
from typing import Any

import pytest

from apps.agents import answers
from tests import build
from tests.agents import past

pytestmark = pytest.mark.django_db
DECISION = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "amount": {"type": "number", "title": "Amount in EUR"},
        "method": {"type": "string", "enum": ["card", "credit"]},
        "note": {"type": "string"},
        "lines": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["approved", "amount"],
}


def asked(data: dict[str, str] | None = None, **tool: Any) -> answers.CallForm:
    """The form of a waiting call; ``data`` is typed into it without its prefix."""
    agent = build.agent(client_tools=[build.tool("get_weather", **tool)])
    turn = past.waiting(build.session(agent))
    prefix = f"c{turn.pending.get().pk}-"
    typed = {name if name == "action" else prefix + name: value for name, value in (data or {}).items()}
    return answers.calls_of(turn, typed if data is not None else None)[0]


def sent(form: answers.CallForm, **data: str) -> dict[str, Any]:
    """What is sent for this form."""
    return answers.response_of([form], data).tool_responses[0].model_dump(exclude_none=True)


def test_a_call_shows_its_arguments_and_what_the_tool_is_for() -> None:
    form = asked()

    assert form.arguments == {"city": "Oslo"}
    assert form.description == "Tell the weather."
    assert form.slots == []


def test_text_is_sent_as_it_is() -> None:
    assert sent(asked({"text": "Rain, {maybe"}))["content"] == "Rain, {maybe"


def test_json_is_checked_only_when_it_is_promised() -> None:
    assert asked({"text": "{", "as": "json"}).errors
    assert not asked({"text": "{", "as": "text"}).errors


def test_a_tool_that_tells_its_answer_gets_a_field_for_each_part() -> None:
    slots = {slot.name: slot for slot in asked(output_schema=DECISION).slots}

    assert [slot.kind for slot in slots.values()] == ["boolean", "number", "choice", "string", "json"]
    assert slots["amount"].label == "Amount in EUR"
    assert slots["amount"].is_required
    assert slots["method"].options == ["card", "credit"]


def test_fields_become_the_object_the_schema_describes() -> None:
    typed = {"f-approved": "on", "f-amount": "12.5", "f-method": "", "f-note": "", "f-lines": "[1, 2]"}
    form = asked(typed, output_schema=DECISION)

    assert form.errors == []
    assert json.loads(sent(form)["content"]) == {"approved": True, "amount": 12.5, "lines": [1, 2]}


def test_a_field_of_the_wrong_kind_is_named() -> None:
    form = asked({"f-amount": "much", "f-lines": "[1]"}, output_schema=DECISION)

    assert len(form.errors) == 1
    assert form.errors[0].startswith("amount: ")
    assert [slot.name for slot in form.slots if slot.is_wrong] == ["amount"]


def test_a_field_that_is_missing_is_named() -> None:
    form = asked({"f-approved": "on"}, output_schema=DECISION)

    assert form.errors == ["amount: this is needed"]


def test_an_error_is_sent_whatever_the_fields_say() -> None:
    form = asked({"action": "error", "text": "No stock", "f-amount": "much"}, output_schema=DECISION)

    assert form.errors == []
    assert sent(form, action="error") == {
        "call_id": form.pending.call_id,
        "tool_name": "get_weather",
        "content": "No stock",
        "metadata": {"error": True},
    }


def test_a_schema_that_is_no_schema_stops_nobody() -> None:
    shape = {"type": "object", "properties": {"a": {"type": "nonsense"}}}

    assert asked({"f-a": "x"}, output_schema=shape).errors == []
