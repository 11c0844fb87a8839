"""How a step reads: the API's JSON put into the words and numbers of one row. Knows no database and no markup."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.timezone import now

from apps.agents.values import LONG, SHORT, Shown, as_value, cut
from apps.core.content import text_of


class State(NamedTuple):
    """A state is always a tone, an icon and a word."""

    tone: str
    icon: str
    word: str


OK = State("ok", "circle-check", "OK")
FAILED = State("err", "circle-x", "Failed")
WAITING = State("wait", "hand", "Waiting for you")
RUNNING = State("run", "loader-circle", "Running")
ANSWERING = State("run", "loader-circle", "Answering")
STOPPED = State("off", "square", "Stopped")
COMPLETED = State("ok", "circle-check", "Completed")
SAFE = State("ok", "shield-check", "Safe")
BLOCKED = State("err", "shield-x", "Blocked")
WARNED = State("wait", "shield-alert", "Warned")
UNANSWERED = State("off", "circle-dashed", "Not answered")

KINDS = {  # step type: kind of colour, icon, name
    "inference": ("inf", "cpu", "Inference"),
    "tool_execution": ("tool", "wrench", "Tool"),
    "shield_call": ("shield", "shield", "Shield"),
    "memory_retrieval": ("rag", "book-open", "Retrieval"),
}
TOUCHPOINTS = {"user-input": "Input shield", "assistant-output": "Output shield"}
STOP_REASONS = {"end_of_turn": "end of turn", "end_of_message": "tool call", "out_of_tokens": "out of tokens"}


@dataclass(frozen=True)
class Call:
    """One tool call with what came back."""

    call_id: str
    name: str
    arguments: Any
    result: Any = None
    state: State | None = None

    @property
    def rows(self) -> list[tuple[str, Shown]]:
        """What a step row prints: the first of long values."""
        return self._values(SHORT)

    @property
    def whole(self) -> list[tuple[str, Shown]]:
        """What the pane prints: the values, unless they are too long for a page."""
        return self._values(LONG)

    def _values(self, limit: int) -> list[tuple[str, Shown]]:
        values = [("Arguments", cut(self.arguments, limit))]
        return values if self.result is None else [*values, ("Result", cut(self.result, limit))]


@dataclass(frozen=True)
class StepView:
    """One row of the step list."""

    step_id: str
    turn_id: str
    kind: str
    icon: str
    name: str
    state: State | None
    started_at: datetime
    completed_at: datetime | None
    facts: dict[str, Any] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    text: str = ""
    verdict: dict[str, Any] | None = None
    stop_reason: str = ""

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return (self.completed_at - self.started_at).total_seconds() if self.completed_at else None

    @property
    def is_open(self) -> bool:
        """Whether it still runs or waits."""
        return self.completed_at is None

    @property
    def has_body(self) -> bool:
        """Whether there is more to show than the row."""
        return bool(self.calls or self.text or self.verdict or self.stop_reason)


def step_view(details: dict[str, Any], facts: dict[str, Any] | None = None) -> StepView:
    """Return a finished step, told in the API's JSON, as a row."""
    kind, icon, name = KINDS[details["step_type"]]
    facts = facts or {}
    common = {
        "step_id": details["step_id"], "turn_id": details["turn_id"], "kind": kind, "icon": icon, "facts": facts,
        "started_at": _moment(details.get("started_at")), "completed_at": _moment(details.get("completed_at")),
    }  # fmt: skip
    return _BODIES[details["step_type"]](details, facts, {"name": name, "state": None} | common)


def _inference(details: dict[str, Any], facts: dict[str, Any], common: dict[str, Any]) -> StepView:
    said = details["model_response"]
    calls = tuple(Call(c["call_id"], c["tool_name"], as_value(c["arguments"])) for c in said.get("tool_calls") or ())
    common["state"] = (
        State("wait", "triangle-alert", "Out of tokens") if said["stop_reason"] == "out_of_tokens" else None
    )
    return StepView(
        **common, calls=calls, text=text_of(said["content"]), stop_reason=STOP_REASONS.get(said["stop_reason"], "")
    )


def _tool(details: dict[str, Any], facts: dict[str, Any], common: dict[str, Any]) -> StepView:
    answers = {answer["call_id"]: answer for answer in details["tool_responses"]}
    asked = details["tool_calls"] or [
        {"call_id": a["call_id"], "tool_name": a["tool_name"], "arguments": "{}"} for a in answers.values()
    ]
    calls = tuple(_call(call, answers.get(call["call_id"])) for call in asked)
    common["name"] = ", ".join(dict.fromkeys(call.name for call in calls)) or common["name"]
    common["state"] = FAILED if any(call.state is FAILED for call in calls) else OK
    return StepView(**common, calls=calls)


def _call(call: dict[str, Any], answer: dict[str, Any] | None) -> Call:
    arguments = as_value(call["arguments"])
    if answer is None:
        return Call(call["call_id"], call["tool_name"], arguments, state=UNANSWERED)
    metadata = answer.get("metadata") or {}
    failed = bool(metadata.get("error"))
    content = answer["content"]
    result = as_value(content if isinstance(content, str) else text_of(content))
    return Call(call["call_id"], call["tool_name"], arguments, result, FAILED if failed else OK)


def asked_call(call: dict[str, Any]) -> Call:
    """Return a call, told in the API's JSON, that nobody has answered."""
    return _call(call, None)


def _shield(details: dict[str, Any], facts: dict[str, Any], common: dict[str, Any]) -> StepView:
    violation = details.get("violation")
    common["name"] = TOUCHPOINTS.get(str(facts.get("touchpoint")), common["name"])
    if violation is None:
        common["state"] = SAFE
    else:
        common["state"] = BLOCKED if violation["violation_level"] == "error" else WARNED
    return StepView(**common, verdict=violation)


def _retrieval(details: dict[str, Any], facts: dict[str, Any], common: dict[str, Any]) -> StepView:
    common["name"] = f"Retrieval from {details['vector_db_ids']}" if details.get("vector_db_ids") else common["name"]
    return StepView(**common, text=text_of(details["inserted_context"]))


_BODIES = {
    "inference": _inference,
    "tool_execution": _tool,
    "shield_call": _shield,
    "memory_retrieval": _retrieval,
}


def open_step(
    turn_id: str,
    step_id: str,
    step_type: str,
    metadata: dict[str, Any] | None = None,
    *,
    call: dict[str, Any] | None = None,
    started_at: datetime | None = None,
) -> StepView:
    """Return a step that runs: nothing of it is stored yet."""
    kind, icon, name = KINDS[step_type]
    name = TOUCHPOINTS.get(str((metadata or {}).get("touchpoint")), name)
    calls = (Call(call["call_id"], call["tool_name"], as_value(call["arguments"])),) if call else ()
    state = ANSWERING if kind == "inf" else RUNNING
    begun = started_at or now()
    return StepView(step_id, turn_id, kind, icon, calls[0].name if calls else name, state, begun, None, calls=calls)


def _moment(text: str | None) -> datetime:
    return datetime.fromisoformat(text) if text else now()
