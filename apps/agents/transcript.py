"""How a turn reads: stored rows put into the words and numbers an article prints. Knows no request and no markup."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from apps.agents import answers, growing, models
from apps.agents import pictures as pictures_of
from apps.agents.steps import (
    ANSWERING,
    COMPLETED,
    FAILED,
    STOP_REASONS,
    STOPPED,
    WAITING,
    Call,
    State,
    StepView,
    open_step,
    step_view,
)
from apps.agents.values import as_value
from apps.core import markdown
from apps.core.content import text_of

TOO_SHORT_S = 0.1  # a speed measured over less says nothing
TURN_STATES = {
    "running": ANSWERING,
    "waiting": WAITING,
    "completed": COMPLETED,
    "cancelled": STOPPED,
    "failed": FAILED,
}


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


def _stored(row: models.Turn) -> Iterator[StepView]:
    """Yield the stored steps; a shield right after the model looks at its answer, any other at what came in."""
    before, answered_at = "", row.answered_at
    for step in row.steps.all():
        known = {"touchpoint": "assistant-output" if before == "inference" else "user-input"}
        if answered_at and step.step_type == "tool_execution" and step.started_at >= answered_at:
            known["answered_by"], answered_at = row.answered_by, None
        yield step_view(step.details, known | step.facts)
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
        return tokens / seconds if seconds > TOO_SHORT_S else None


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
