"""How a turn reads: stored rows put into the words and numbers a page prints. Knows no request and no markup."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from django.utils.timezone import now

from apps.agents import answers, growing, models
from apps.agents import pictures as pictures_of
from apps.agents.values import LONG, SHORT, Shown, as_value, cut
from apps.core import markdown
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

TURN_STATES = {
    "running": ANSWERING,
    "waiting": WAITING,
    "completed": COMPLETED,
    "cancelled": STOPPED,
    "failed": FAILED,
}
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


@dataclass(frozen=True)
class Ask:
    """One message of the person."""

    text: str
    pictures: tuple[pictures_of.Picture, ...] = ()
    context: str = ""
    is_tool: bool = False


@dataclass(frozen=True)
class Paper:
    """One document that was given to read."""

    mime_type: str
    text: str
    uri: str = ""


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


def _stored(row: models.Turn) -> Iterator[StepView]:
    """Yield the stored steps; a shield right after the model looks at its answer, any other at what came in."""
    before = ""
    for step in row.steps.all():
        touchpoint = "assistant-output" if before == "inference" else "user-input"
        yield step_view(step.details, {"touchpoint": touchpoint} | step.facts)
        before = step.step_type


class Painted(NamedTuple):
    """A growing text: finished blocks as HTML, the open rest, and how many characters each covers."""

    html: str
    tail: str
    length: int
    done: int


@dataclass
class TurnView:
    """One turn with everything its article prints."""

    row: models.Turn
    number: int
    fold: bool = False
    is_last: bool = False
    agent_id: str = ""

    @property
    def state(self) -> State:
        """The turn's state in words."""
        return TURN_STATES[self.row.status]

    @property
    def is_running(self) -> bool:
        """Whether text may still come."""
        return self.row.status == models.Status.RUNNING

    @property
    def asks(self) -> list[Ask]:
        """What the person sent."""
        return [_ask(self, place, message) for place, message in enumerate(self.row.input_messages)]

    @property
    def papers(self) -> list[Paper]:
        """The documents sent with it."""
        return [_paper(document) for document in self.row.documents]

    @cached_property
    def steps(self) -> list[StepView]:
        """The stored steps, then what is open: the one that runs, or the calls that wait."""
        return list(_stored(self.row)) + self._open()

    def _open(self) -> list[StepView]:
        row = self.row
        if row.status == models.Status.WAITING:
            return [_waiting_step(row, call) for call in row.pending.all()]
        partial = row.partial or {}
        # Only a step with text is known to be the model's; another open step is painted by the events that replay.
        if row.status != models.Status.RUNNING or not partial.get("text"):
            return []
        return [open_step(row.turn_id, partial["step_id"], "inference", started_at=row.started_at)]

    @property
    def icons(self) -> list[StepView]:
        """The steps whose icons the folded line shows."""
        return self.steps[:12]

    @property
    def tools(self) -> str:
        """The tools that were used, by name."""
        return ", ".join(dict.fromkeys(step.name for step in self.steps if step.kind == "tool"))

    @property
    def open_tool(self) -> str:
        """The id of the last tool step, which a turn in work shows open."""
        return next((step.step_id for step in reversed(self.steps) if step.kind == "tool" and not step.is_open), "")

    @property
    def live_step(self) -> str:
        """The step whose text still comes; empty when none does."""
        return (self.row.partial or {}).get("step_id", "") if self.is_running and self.answer else ""

    @property
    def answer(self) -> str:
        """The answer so far; a failed turn's is what it had written before it failed."""
        if self.is_running:
            return str((self.row.partial or {}).get("text") or "")
        if self.row.status == models.Status.FAILED:
            return next((step.text for step in reversed(self.steps) if step.facts.get("is_partial")), "")
        return text_of((self.row.output_message or {}).get("content"))

    @cached_property
    def painted(self) -> Painted:
        """The text that still comes, as the live layer would have painted it by now."""
        finished, tail = growing.split(self.answer)
        return Painted(markdown.render(finished) if finished else "", tail, len(self.answer), len(finished))

    @cached_property
    def calls(self) -> list[answers.CallForm]:
        """The forms of the calls it waits for."""
        return answers.calls_of(self.row)

    @property
    def stop_reason(self) -> str:
        """Why the model stopped, in words."""
        return STOP_REASONS.get((self.row.output_message or {}).get("stop_reason", ""), "")

    @property
    def seconds(self) -> float | None:
        """How long the turn took, waiting included; None while it goes on."""
        row = self.row
        return (row.completed_at - row.started_at).total_seconds() if row.completed_at else None

    @property
    def first_token_s(self) -> float | None:
        """Seconds to the first token."""
        return self.row.first_token_ms / 1000 if self.row.first_token_ms is not None else None

    @property
    def tokens(self) -> int | None:
        """All tokens of the turn; None when no model told."""
        return tokens_of(self.row.input_tokens, self.row.output_tokens)

    @property
    def tokens_per_s(self) -> float | None:
        """How fast the model wrote, over the inference steps that told their tokens."""
        told = [step for step in self.steps if step.kind == "inf" and step.facts.get("output_tokens") and step.seconds]
        seconds = sum((step.seconds or 0) - (step.facts.get("first_token_ms") or 0) / 1000 for step in told)
        tokens = sum(step.facts["output_tokens"] for step in told)
        return tokens / seconds if seconds > 0 else None


def tokens_of(read: int | None, written: int | None) -> int | None:
    """Return the sum of what is known, None when nothing is."""
    return None if read is None and written is None else (read or 0) + (written or 0)


def _waiting_step(row: models.Turn, call: models.Pending) -> StepView:
    asked = Call(call.call_id, call.tool_name, as_value(call.arguments), state=WAITING)
    since = row.waiting_since or call.asked_at
    return StepView(f"w-{call.pk}", row.turn_id, "tool", "wrench", call.tool_name, WAITING, since, None, calls=(asked,))


def _ask(turn: TurnView, place: int, message: dict[str, Any]) -> Ask:
    return Ask(
        text=text_of(message.get("content")),
        pictures=tuple(pictures_of.of(message.get("content"), place)),
        context=text_of(message.get("context")),
        is_tool=message.get("role") == "tool",
    )


def _paper(document: dict[str, Any]) -> Paper:
    content = document.get("content")
    uri = content.get("uri", "") if isinstance(content, dict) else ""
    return Paper(document.get("mime_type", ""), text_of(content), uri)
