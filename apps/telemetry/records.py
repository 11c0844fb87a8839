"""A span on its way in, whoever sends it, and what the console reads out of it: its kind, tokens, words and values.

Knows OpenTelemetry's names; knows no database.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic_core import from_json

from apps.core.redaction import without_credentials
from apps.telemetry.models import NAME, TEXT, Kind

Json = dict[str, Any]
HOT = ("agent_id", "agent_name", "session_id", "turn_id")
PREVIEW = 200
MAX_INT = 2**63 - 1
EXACT = 2**53  # whole numbers beyond it are told apart by their digits, not by a float
LAST = 20_000  # characters of JSON beyond which nobody looks for a preview


@dataclass(slots=True)
class SpanRecord:
    """A span as it came. ``end_ns`` is None while it is open; ``status`` is "ok", "error" or "" while it is open."""

    trace_id: str
    span_id: str
    name: str
    start_ns: int
    end_ns: int | None = None
    parent_span_id: str = ""
    status: str = ""
    message: str = ""
    attributes: Json = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)  # {name, time_ns, attributes}
    links: list[Json] = field(default_factory=list)  # {trace_id, span_id, attributes}
    otel_kind: int = 0
    scope: str = ""
    resource: Json = field(default_factory=dict)
    ttl_s: int | None = None
    replaces: bool = False  # takes the place of a stored span even when that one has ended
    is_own: bool = False  # made by this console: its calls to models and tools are counted as metrics

    def forget_credentials(self) -> None:
        """Hide attributes that are credentials by their names: exporters send headers and settings along."""
        self.attributes = without_credentials(self.attributes)
        self.resource = without_credentials(self.resource)
        for part in (*self.events, *self.links):
            part["attributes"] = without_credentials(part.get("attributes") or {})

    @property
    def kind(self) -> str:
        """What the span did, as the console shows it."""
        return _kind(self.name, self.attributes)

    def tokens(self, side: str) -> int | None:
        """Return the tokens of one side, ``input`` or ``output``, None when not told or not sane."""
        for name in TOKENS[side]:
            value = self.attributes.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53:
                return int(value)
        return None

    def hot(self, name: str) -> str:
        """Return the value of a hot attribute as its column holds it, empty when it must stand elsewhere."""
        value = self.attributes.get(name)
        return value if isinstance(value, str) and is_hot(name, value) else ""

    @property
    def model(self) -> str:
        """The model that was asked, empty when none was."""
        for name in ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name"):
            value = self.attributes.get(name)
            if isinstance(value, str) and value:
                return value[:NAME]
        return ""


TOKENS = {
    "input": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    "output": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
}
# Where spans tell what went in and what came out: our own, OpenTelemetry's, OpenInference's and Traceloop's names.
INPUTS = (
    "input", "gen_ai.input.messages", "gen_ai.tool.call.arguments", "input.value", "gen_ai.prompt",
    "traceloop.entity.input",
)  # fmt: skip
OUTPUTS = (
    "output", "gen_ai.output.messages", "gen_ai.tool.call.result", "output.value", "gen_ai.completion",
    "traceloop.entity.output",
)  # fmt: skip
ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "developer": "system", "ipython": "tool"}
NAMES = {
    "create_agent_turn": Kind.TURN,
    "resume_agent_turn": Kind.TURN,
    "inference": Kind.INFERENCE,
    "tool_execution": Kind.TOOL,
    "run_shields": Kind.SHIELD,
    "evaluate_row": Kind.EVALUATION,
}
OPERATIONS = {  # gen_ai.operation.name
    "chat": Kind.INFERENCE,
    "text_completion": Kind.INFERENCE,
    "generate_content": Kind.INFERENCE,
    "embeddings": Kind.INFERENCE,
    "execute_tool": Kind.TOOL,
    "invoke_agent": Kind.TURN,
    "create_agent": Kind.OTHER,
    "retrieval": Kind.RETRIEVAL,
}
FOREIGN = {  # openinference.span.kind and traceloop.span.kind, in lower case
    "llm": Kind.INFERENCE,
    "embedding": Kind.INFERENCE,
    "tool": Kind.TOOL,
    "retriever": Kind.RETRIEVAL,
    "reranker": Kind.RETRIEVAL,
    "guardrail": Kind.SHIELD,
    "evaluator": Kind.EVALUATION,
    "agent": Kind.TURN,
    "workflow": Kind.TURN,
}
RETRIEVING = {"knowledge_search"}


def _kind(name: str, attributes: Json) -> str:
    if name in NAMES:
        return Kind.RETRIEVAL if attributes.get("tool_name") in RETRIEVING else NAMES[name]
    if name.startswith("run_shield_"):
        return Kind.SHIELD
    if "scoring_fn_id" in attributes:
        return Kind.EVALUATION
    operation = attributes.get("gen_ai.operation.name")
    if isinstance(operation, str) and operation in OPERATIONS:
        return Kind.RETRIEVAL if attributes.get("gen_ai.tool.name") in RETRIEVING else OPERATIONS[operation]
    for told in (attributes.get("openinference.span.kind"), attributes.get("traceloop.span.kind")):
        if isinstance(told, str) and told.lower() in FOREIGN:
            return FOREIGN[told.lower()]
    return Kind.OTHER


class Value(NamedTuple):
    """An attribute's value as it is looked for: see ``SpanAttribute``."""

    kind: str
    text: str
    number: float | None


def is_hot(name: str, value: Any) -> bool:
    """Return whether this attribute stands in a column of the span instead of among the others."""
    return name in HOT and isinstance(value, str) and 0 < len(value) <= TEXT


def values(record: SpanRecord) -> Iterator[tuple[str, Value]]:
    """Yield name and value of each attribute that is looked for outside the hot columns.

    A hot text that reads as a number is among them: numbers are compared with it here.
    """
    for name, value in record.attributes.items():
        if value is not None and not (is_hot(name, value) and number_in(value) is None):
            yield name[:NAME], indexed(value)


def indexed(value: Any) -> Value:
    """Return a value that is not None in the form it is kept and looked for."""
    if isinstance(value, bool):
        return Value("b", "true" if value else "false", float(value))
    if isinstance(value, int | float):
        return Value("n", _digits(value), as_number(value))
    if isinstance(value, str):
        return Value("s", shortened(value), number_in(value))
    return Value("j", shortened(canonical(value)), None)


def canonical(value: Any) -> str:
    """Return JSON that is the same for equal values, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def shortened(text: str) -> str:
    """Return a text an index can hold: as it is, or its beginning and its hash."""
    if len(text) <= TEXT:
        return text
    return text[: TEXT - 65] + "…" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def number_in(text: str) -> float | None:
    """Return the number a text reads as, None when it reads as none."""
    if not text or len(text) > 40 or text[0] not in "+-.0123456789":
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def as_number(value: float) -> float | None:
    """Return a number as a column holds it, None for what no column holds."""
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _digits(value: float) -> str:
    return str(value)[:TEXT]


def role_of(message: Json) -> str:
    """Return whose message it is, in OpenAI's words: our own output of a model names nobody and is the assistant's."""
    role = str(message.get("role") or "assistant").lower()
    return ROLES.get(role, role)


def input_of(record: SpanRecord) -> str:
    """Return the beginning of what the span was asked: a turn's or an inference's last words of a person."""
    for name in ("request", *INPUTS):
        told = record.attributes.get(name)
        if isinstance(told, str) and told:
            return _said(told)
    return ""


def output_of(record: SpanRecord) -> str:
    """Return the beginning of what the span answered."""
    for name in OUTPUTS:
        told = record.attributes.get(name)
        if isinstance(told, str) and told:
            return _said(told)
    return ""


def _said(told: str) -> str:
    if len(told) > LAST or told[0] not in "[{":
        return told[:PREVIEW] if told[0] not in "[{" else ""
    try:
        value = from_json(told)
    except ValueError:
        return told[:PREVIEW]
    return " ".join(_words(value).split())[:PREVIEW]


def _words(value: Any) -> str:
    """Return the words in a message, in the last of several, or in a request that holds messages."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        people = [one for one in value if isinstance(one, dict) and one.get("role") == "user"]
        last = people[-1:] or value[-1:]
        return " ".join(_words(one) for one in (last if people or _is_messages(value) else value))
    if isinstance(value, dict):
        for name in ("messages", "content", "parts", "text"):
            if value.get(name):
                return _words(value[name])
        calls = value.get("tool_calls")
        if isinstance(calls, list) and calls:
            return ", ".join(_called(call) for call in calls)
    return ""


def _is_messages(value: list[Any]) -> bool:
    return bool(value) and isinstance(value[0], dict) and "role" in value[0]


def _called(call: Any) -> str:
    if not isinstance(call, dict):
        return ""
    inner = call.get("function")
    function = inner if isinstance(inner, dict) else call
    return f"{function.get('tool_name') or function.get('name') or '?'}({function.get('arguments') or ''})"


def digest(value: Any) -> str:
    """Return a hash that is the same for equal JSON."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()
