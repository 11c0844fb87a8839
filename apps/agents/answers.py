"""Answering a tool call by hand: the fields a person fills, made from the tool's schemas, and what becomes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.exceptions import ValidationError as JsonError
from pydantic_core import from_json, to_json
from referencing import Registry
from referencing.exceptions import Unresolvable

from apps.agents import models, schemas
from apps.agents.values import Shown, as_value, cut
from apps.inference.schemas import ToolDef

FLAT = {"string", "number", "integer", "boolean"}


@dataclass
class Slot:
    """One field of a result whose shape is known."""

    name: str
    label: str
    kind: str
    help: str = ""
    is_required: bool = False
    options: list[str] = field(default_factory=list)
    value: str = ""
    is_wrong: bool = False


@dataclass
class CallForm:
    """One waiting call with the fields that answer it."""

    pending: models.Pending
    arguments: Any
    description: str = ""
    slots: list[Slot] = field(default_factory=list)
    shape: dict[str, Any] | None = None
    as_json: bool = False
    text: str = ""
    errors: list[str] = field(default_factory=list)

    @property
    def asked(self) -> Shown:
        """The arguments as the card prints them."""
        return cut(self.arguments)

    @property
    def key(self) -> str:
        """The prefix of the call's fields."""
        return f"c{self.pending.pk}"


def waiting_turn(session: models.Session, turn_id: str) -> models.Turn | None:
    """Return the turn with its waiting calls; None when there is none of this name."""
    turn = (
        session.turns.prefetch_related("pending__taken_by").defer("documents_content").filter(turn_id=turn_id).first()
    )
    if turn is not None:
        turn.session = session
    return turn


def calls_of(turn: models.Turn, data: Mapping[str, str] | None = None) -> list[CallForm]:
    """Return the forms of a turn's waiting calls, filled and checked when something was sent."""
    tools = {tool.name: tool for tool in turn.session.agent.agent_config.client_tools or []}
    return [_call_form(pending, tools.get(pending.tool_name), data) for pending in turn.pending.all()]


def _call_form(pending: models.Pending, tool: ToolDef | None, data: Mapping[str, str] | None) -> CallForm:
    form = CallForm(pending, as_value(pending.arguments), (tool.description or "") if tool else "")
    form.slots, form.shape = _slots(tool.output_schema if tool else None)
    if data is not None:
        _fill(form, data)
    return form


def _slots(shape: dict[str, Any] | None) -> tuple[list[Slot], dict[str, Any] | None]:
    """Return one field for each property of an object; none for a shape that is not a plain object."""
    properties = (shape or {}).get("properties")
    if not shape or not isinstance(properties, dict) or not properties or shape.get("type", "object") != "object":
        return [], shape
    required = shape.get("required") or []
    return [_slot(name, rule, name in required) for name, rule in properties.items() if isinstance(rule, dict)], shape


def _slot(name: str, rule: dict[str, Any], is_required: bool) -> Slot:
    options = [option if isinstance(option, str) else to_json(option).decode() for option in rule.get("enum") or []]
    kind = str(rule.get("type") or "string")
    kind = "choice" if options else kind if kind in FLAT else "json"
    default = rule.get("default")
    value = "" if default is None else default if isinstance(default, str) else to_json(default).decode()
    label = str(rule.get("title") or name.replace("_", " ").capitalize())
    return Slot(name, label, kind, str(rule.get("description") or ""), is_required, options, value)


def _fill(form: CallForm, data: Mapping[str, str]) -> None:
    form.text = data.get(f"{form.key}-text", "")
    form.as_json = data.get(f"{form.key}-as") == "json"
    for slot in form.slots:
        slot.value = data.get(f"{form.key}-f-{slot.name}", "")
    if data.get("action") == "error":
        return
    if form.slots:
        form.errors = _objections(form.shape or {}, _object_of(form))
        for slot in form.slots:
            starts = (f"{slot.name}:", f"{slot.name}.", f"{slot.name}[")
            slot.is_wrong = any(error.startswith(starts) for error in form.errors)
    elif form.as_json:
        form.errors = json_errors(form.text)


def json_errors(text: str) -> list[str]:
    """Return why the text is not JSON; empty when it is."""
    try:
        from_json(text)
    except ValueError as error:
        return [f"This is not JSON: {error}."]
    return []


def _object_of(form: CallForm) -> dict[str, Any]:
    typed = {slot.name: _typed(slot) for slot in form.slots}
    return {name: value for name, value in typed.items() if value is not None}


def _typed(slot: Slot) -> Any:
    if slot.kind == "boolean":
        return slot.value in ("on", "true")
    if slot.value == "":
        return "" if slot.is_required and slot.kind == "string" else None
    if slot.kind == "string":
        return slot.value
    try:
        return from_json(slot.value)
    except ValueError:
        return slot.value  # the schema says what was expected instead


def _objections(shape: dict[str, Any], value: Any) -> list[str]:
    try:
        Draft202012Validator.check_schema(shape)
        # An empty registry: a schema that points elsewhere makes nothing be fetched.
        found = list(Draft202012Validator(shape, registry=Registry()).iter_errors(value))
    except (SchemaError, Unresolvable):
        return []
    return [sentence for error in found for sentence in _sentences(error)][:5]


def _sentences(error: JsonError) -> list[str]:
    if error.validator == "required" and not error.path:
        # The validator tells each missing name apart, and names it only in its words.
        names: Any = error.validator_value
        return [f"{name}: this is needed" for name in names if repr(name) in error.message]
    place = error.json_path.removeprefix("$").removeprefix(".")
    return [f"{place}: {error.message}" if place else str(error.message)]


def response_of(calls: list[CallForm], data: Mapping[str, str]) -> schemas.ResumeAgentTurnRequest:
    """Return the answers as the API takes them; ``action=error`` tells the model that the tools failed."""
    failed = data.get("action") == "error"
    return schemas.ResumeAgentTurnRequest.model_validate(
        {"tool_responses": [_response(call, failed) for call in calls], "stream": True}
    )


def _response(call: CallForm, failed: bool) -> dict[str, Any]:
    answer = {"call_id": call.pending.call_id, "tool_name": call.pending.tool_name}
    if failed:
        return answer | {"content": call.text or "The tool failed.", "metadata": {"error": True}}
    content = to_json(_object_of(call)).decode() if call.slots else call.text
    return answer | {"content": content or "Done."}


def who_answered(turn: models.Turn) -> str:
    """Return who answered a turn that waits no more, and when."""
    if turn.answered_at is None:
        return "This turn does not wait for an answer any more."
    who = turn.answered_by or "Somebody"
    return f"{who} answered this turn first, at {turn.answered_at:%H:%M:%S} UTC. Nothing was sent."
