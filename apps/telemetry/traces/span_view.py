"""One span as its pane shows it: state and error first, facts, what went in and came out, the rest as recorded."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic_core import to_json

from apps.agents.steps import STOPPED, State
from apps.agents.values import Shown, cut
from apps.telemetry.models import Kind, Span, Status, Trace
from apps.telemetry.traces import span_bodies
from apps.telemetry.traces.naming import Naming, label_of
from apps.telemetry.traces.span_bodies import Body
from apps.telemetry.windows import time_of

OK = State("ok", "circle-check", "OK")
FAILED = State("err", "circle-x", "Error")
RUNNING = State("run", "loader-circle", "Running")
UNFINISHED = State("off", "circle-dashed", "Unfinished")
ICONS = {
    Kind.TURN: "messages-square", Kind.INFERENCE: "cpu", Kind.TOOL: "wrench", Kind.SHIELD: "shield",
    Kind.RETRIEVAL: "book-open", Kind.EVALUATION: "ruler", Kind.OTHER: "braces",
}  # fmt: skip
SKEW_NS = 1_000_000  # a child this much before its parent was timed by another clock
ID = re.compile("[0-9a-f]{32}")
LISTED = 200  # events or links shown
Json = dict[str, Any]


def length(ns: int | None) -> str:
    """Return a time span with its unit: 84 µs, 84 ms, 1.02 s, 4 min 12 s; unknown is a dash."""
    if ns is None:
        return "–"
    if ns < 999_500:
        return f"{ns / 1e3:.0f} µs"
    if ns < 999_500_000:
        return f"{ns / 1e6:.0f} ms" if ns >= 9_950_000 else f"{ns / 1e6:.1f} ms"
    if ns < 59_950_000_000:
        return f"{ns / 1e9:.2f} s" if ns < 9_995_000_000 else f"{ns / 1e9:.1f} s"
    minutes, seconds = divmod(round(ns / 1e9), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def offset(ns: int) -> str:
    """Return a time after (or before) another, signed."""
    return ("+" if ns >= 0 else "−") + length(abs(ns))


def self_ns(span: Span, children: Sequence[tuple[int, int | None]]) -> int | None:
    """Return the time of a span in which none of its children ran; None while it is open."""
    if span.end_ns is None:
        return None
    covered, reached = 0, span.start_ns
    for start, end in sorted((start, span.end_ns if end is None else end) for start, end in children):
        start, end = max(start, reached), min(end, span.end_ns)
        if end > start:
            covered, reached = covered + end - start, end
    return max(0, span.end_ns - span.start_ns - covered)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened within a span."""

    name: str
    after: str
    attributes: Json

    @property
    def stack(self) -> str:
        """The lines of an exception; empty for other events."""
        return str(self.attributes.get("exception.stacktrace") or "")

    @property
    def rest(self) -> Json:
        """The attributes without those lines."""
        return {name: value for name, value in self.attributes.items() if name != "exception.stacktrace"}


@dataclass
class SpanView:
    """A span with everything its pane prints; ``limit`` is how much of a text."""

    span: Span
    trace: Trace
    naming: Naming
    parent: Span | None = None
    children: Sequence[tuple[int, int | None]] = ()
    is_live: bool = False
    answer: Span | None = None  # the inference that answered, for a turn
    limit: int = span_bodies.PART

    @property
    def state(self) -> State:
        """How it ended; what is open in a trace that is over never will."""
        if self.span.end_ns is None:
            return RUNNING if self.is_live else UNFINISHED
        if self.span.status == Status.ERROR:
            return FAILED
        return STOPPED if self.span.attributes.get("stopped") is True else OK

    @property
    def label(self) -> str:
        """What people call it."""
        return label_of(self.span.name, self.span.attributes, self.naming) or "unnamed span"

    @property
    def parent_label(self) -> str:
        """What people call the span above it."""
        return label_of(self.parent.name, self.parent.attributes, self.naming) if self.parent else ""

    @property
    def icon(self) -> str:
        """The icon of its kind."""
        return ICONS.get(Kind(self.span.kind), "braces")

    @property
    def duration(self) -> str:
        """How long it took."""
        return length(None if self.span.end_ns is None else max(0, self.span.end_ns - self.span.start_ns))

    @property
    def share(self) -> int | None:
        """Its part of the trace in percent; None for the whole and while one of them is open."""
        whole = self.trace.duration_ns
        if not whole or self.span.end_ns is None or self.span.span_id == self.trace.root_span_id:
            return None
        return round(max(0, self.span.end_ns - self.span.start_ns) / whole * 100)

    @cached_property
    def self_time(self) -> str:
        """The time none of its children ran."""
        return length(self_ns(self.span, self.children))

    @property
    def started_at(self) -> datetime:
        """When it began."""
        return time_of(self.span.start_ns)

    @property
    def after(self) -> str:
        """How long after the trace it began; empty for the first."""
        after = self.span.start_ns - self.trace.start_ns
        return offset(after) if after else ""

    @property
    def skew(self) -> str:
        """By how much it began before its parent, empty when it did not."""
        if self.parent is None:
            return ""
        early = self.parent.start_ns - self.span.start_ns
        return length(early) if early >= SKEW_NS else ""

    @property
    def service(self) -> str:
        """The program that made it, with its version."""
        row = self.span.resource
        return " ".join(filter(None, (row.service, str(row.attributes.get("service.version") or "")))) if row else ""

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What the attributes tell that people look for first."""
        told = self.span.attributes
        found = [
            ("Model", told.get("gen_ai.response.model") or told.get("gen_ai.request.model")),
            ("Provider", told.get("gen_ai.provider.name")),
            ("Tool", told.get("tool_name") or told.get("gen_ai.tool.name")),
            ("First token", _seconds(told.get("time_to_first_token_s"))),
            ("Stopped by", "request" if told.get("stopped") is True else _words(told.get("stop_reason"))),
            ("Waited", _seconds(told.get("waited_s"))),
            *_scores(told),
        ]
        return [(name, str(value)) for name, value in found if value not in (None, "")]

    @property
    def step_url(self) -> str:
        """Where the step it recorded is in the chat; empty when it recorded none."""
        step, turn = self.span.attributes.get("step_id"), self.naming.turn_url
        if not turn:
            return ""
        page, _, anchor = turn.partition("#")
        return f"{page}&pane=trace&step={step}#{anchor}" if isinstance(step, str) and step else turn

    @property
    def error(self) -> str:
        """Why it failed."""
        if self.span.status != Status.ERROR:
            return ""
        told = self.span.message or self.span.attributes.get("error") or self.span.attributes.get("error.message")
        thrown = next((event for event in self.events if event.name == "exception"), None)
        if not told and thrown:
            told = thrown.attributes.get("exception.message") or thrown.attributes.get("exception.type")
        return str(told or self.span.attributes.get("error.type") or "It was marked as failed without a reason.")

    @cached_property
    def bodies(self) -> list[Body]:
        """What went in and what came out; a turn's answer is what its last inference wrote."""
        found = span_bodies.bodies_of(self.span, self.limit)
        if self.answer is not None and not any(body.title == "Output" for body in found):
            found += [body for body in span_bodies.bodies_of(self.answer, self.limit) if body.title == "Output"]
        return found

    @property
    def is_cut(self) -> bool:
        """Whether all of it would be more."""
        return any(body.is_cut for body in self.bodies)

    @cached_property
    def events(self) -> list[Event]:
        """What happened within it, in order."""
        told = [event for event in self.span.events or [] if isinstance(event, dict)][:LISTED]
        return [
            Event(str(event.get("name") or "event"), self._after_start(event), event.get("attributes") or {})
            for event in sorted(told, key=lambda event: _whole(event.get("time_ns")))
        ]

    def _after_start(self, event: Json) -> str:
        at = _whole(event.get("time_ns"))
        return offset(at - self.span.start_ns) if at else ""

    @property
    def links(self) -> list[Json]:
        """Other spans it names, those whose ids are ids."""
        told = [link for link in self.span.links or [] if isinstance(link, dict)]
        return [link for link in told if ID.fullmatch(str(link.get("trace_id")))][:LISTED]

    @property
    def attributes(self) -> list[tuple[str, Shown]]:
        """Its attributes by name."""
        return [(name, cut(value, self.limit)) for name, value in sorted(self.span.attributes.items())]

    @cached_property
    def raw(self) -> Shown:
        """The span as it was recorded, as JSON text."""
        span = self.span
        names = ("span_id", "parent_span_id", "name", "kind", "status", "message", "start_ns", "end_ns", "scope")
        told = {"trace_id": self.trace.trace_id} | {name: getattr(span, name) for name in names}
        told["resource"] = span.resource.attributes if span.resource else {}
        told |= {"attributes": span.attributes, "events": span.events or [], "links": span.links or []}
        text = to_json(told, indent=2).decode()
        return cut(text, max(self.limit, 100_000))


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _words(value: Any) -> str:
    return str(value or "").replace("_", " ")


def _scores(told: Json) -> Iterator[tuple[str, Any]]:
    """Yield what an evaluated row, or one scoring function, came to."""
    for name, value in told.items():
        if name == "score":
            yield "Score", value
        elif name.startswith(("score.", "score_error.")):
            yield name.partition(".")[2], value


def _seconds(value: Any) -> str:
    return length(int(value * 1e9)) if isinstance(value, int | float) and not isinstance(value, bool) else ""
