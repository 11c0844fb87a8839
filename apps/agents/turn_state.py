"""What a turn knows while it is taken, and the small transitions every step shares."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode
from pydantic_core import to_json

from apps.agents import schemas
from apps.core import redaction
from apps.core.ids import new_id
from apps.inference.schemas import CompletionMessage, ToolCall, ToolConfig, ToolDef, ToolResponse
from apps.safety.schemas import SafetyViolation

tracer = trace.get_tracer("apps.agents")
Json = dict[str, Any]
Chat = Callable[[Json], AsyncIterator[Json]]
RunShields = Callable[[list[str], list[Json]], Awaitable[list[SafetyViolation | None]]]
RunTool = Callable[[str, Json], Awaitable[tuple[Any, Json]]]
SHUT_DOWN = "The server was shut down while this turn ran."
# The model is offered the built-in search under the name it was trained on; the tool that runs has another.
RUNS_AS = {"brave_search": "web_search"}
OFFERED_AS = {runs: offered for offered, runs in RUNS_AS.items()}


@dataclass(slots=True)
class Event:
    """Something that happened: the specification's payload, and facts it has no place for (tokens, milliseconds)."""

    payload: schemas.Payload
    facts: Json = field(default_factory=dict)


@dataclass
class TurnState:
    """A turn in the making. ``chat``, ``run_shields`` and ``run_tool`` are all it knows of the world."""

    turn_id: str
    session_id: str
    config: schemas.AgentConfig
    tool_config: ToolConfig
    input_messages: list[schemas.InputMessage]
    messages: list[Json]  # what the model is shown, in OpenAI's form; grows with every step
    chat: Chat
    run_shields: RunShields
    run_tool: RunTool
    agent_id: str = ""
    model_id: str = ""  # the model's own name, where the agent may call it by a shorter one
    provider_id: str = ""  # whose model it is
    server_tools: list[ToolDef] = field(default_factory=list)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    steps: list[schemas.Step] = field(default_factory=list)
    answers: list[ToolResponse] = field(default_factory=list)  # of the calls a resumed turn waited for
    answered_calls: list[ToolCall] = field(default_factory=list)
    waited_since: datetime | None = None
    is_resumed: bool = False
    infer_iters: int = 0
    usage: Json = field(default_factory=dict)  # tokens of all its inference steps, and the wait for the first one
    capture_content: bool = True
    attachments: list[schemas.Attachment] = field(default_factory=list)
    answer: CompletionMessage | None = None
    waiting_for: list[ToolCall] = field(default_factory=list)
    failed_calls: set[str] = field(default_factory=set)  # calls whose arguments cannot be read
    forced_call_done: bool = False
    is_over: bool = False
    stop_asked: bool = False
    is_stopped: bool = False
    held: list[Event] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)  # what tools were given and nobody else may see
    withheld: dict[str, str] = field(default_factory=dict)  # by call: its real arguments, for its tool alone
    _last_tick: datetime = field(default_factory=lambda: datetime.min.replace(tzinfo=UTC))

    @property
    def input_shields(self) -> list[str]:
        """Ids of the shields that look at what comes in."""
        return self.config.input_shields or []

    @property
    def output_shields(self) -> list[str]:
        """Ids of the shields that look at the answer."""
        return self.config.output_shields or []

    @property
    def tools(self) -> list[ToolDef]:
        """Every tool the model may call: the caller's first, then the server's."""
        return [*(self.config.client_tools or []), *self.server_tools]

    @cached_property
    def confidential(self) -> frozenset[str]:
        """Names of tools that take secret arguments, as the model calls them and as they run."""
        names = {tool.name for tool in self.tools if redaction.has_secrets(tool.input_schema)}
        return frozenset(names | {OFFERED_AS[name] for name in names if name in OFFERED_AS})

    def veiled(self, call: ToolCall) -> ToolCall:
        """Return a call as it may be kept and shown; its real arguments stay with the turn while it runs."""
        if call.tool_name not in self.confidential:
            return call
        name = RUNS_AS.get(call.tool_name, call.tool_name)
        schema = next(tool.input_schema for tool in self.tools if tool.name in (name, call.tool_name))
        shown, secrets = redaction.hide(call.arguments, schema)
        self.withheld[call.call_id] = call.arguments
        self.secrets += secrets
        return call.model_copy(update={"arguments": shown})

    def unveiled(self, call: ToolCall) -> ToolCall:
        """Return a call with its real arguments."""
        return call.model_copy(update={"arguments": self.withheld.get(call.call_id, call.arguments)})

    def tick(self) -> datetime:
        """Return the time, later than any time returned before: clients compare step times with ``<``."""
        self._last_tick = max(datetime.now(UTC), self._last_tick + timedelta(microseconds=1))
        return self._last_tick

    @contextmanager
    def span(self, name: str, **attributes: Any) -> Iterator[Span]:
        """Open a child span of the turn's root that ends with the block and records its failure."""
        named = {"agent_id": self.agent_id, "agent_name": self.config.name or ""}
        told = {key: value for key, value in named.items() if value}
        with tracer.start_as_current_span(name, attributes={**told, **attributes}) as span:
            try:
                yield span
            except asyncio.CancelledError:  # a stop that was asked for ends within its step: see ``stopping``
                span.set_status(Status(StatusCode.ERROR, SHUT_DOWN))
                raise

    def note(self, span: Span, name: str, value: Any) -> None:
        """Record content on a span, unless content capture is off."""
        if self.capture_content and span.is_recording():
            span.set_attribute(name, value)

    def start_step(
        self, step_type: schemas.StepType, metadata: Json | None = None
    ) -> schemas.AgentTurnResponseStepStartPayload:
        """Return the event payload that begins a new step."""
        return schemas.AgentTurnResponseStepStartPayload(step_type=step_type, step_id=new_id(), metadata=metadata or {})

    def complete_step(self, details: schemas.Step, facts: Json | None = None) -> Event:
        """Keep a finished step and return its event."""
        self.steps.append(details)
        self.count(facts or {})
        payload = schemas.AgentTurnResponseStepCompletePayload(
            step_type=details.step_type, step_id=details.step_id, step_details=details
        )
        return Event(payload, facts or {})

    def count(self, facts: Json) -> None:
        """Add an inference step's tokens to the turn's; what no server told stays unknown."""
        for name in ("input_tokens", "output_tokens"):
            if name in facts:
                self.usage[name] = self.usage.get(name, 0) + facts[name]
        if "first_token_ms" in facts:
            self.usage.setdefault("first_token_ms", facts["first_token_ms"])

    def calls_for_server(self) -> list[ToolCall]:
        """Return the calls of the last message that run here: server tools, unknown tools and unreadable arguments."""
        if self.answer is None or self.is_over or self.is_stopped:
            return []
        client = {tool.name for tool in self.config.client_tools or []}
        return [c for c in self.answer.tool_calls or [] if c.tool_name not in client or c.call_id in self.failed_calls]

    def decide(self) -> None:
        """After the model and the tools that run here: over, waiting for the caller's tools, or once more."""
        if self.is_over or self.is_stopped or self.answer is None:
            self.is_over = True
            return
        here = {call.call_id for call in self.calls_for_server()}
        self.waiting_for = [call for call in self.answer.tool_calls or [] if call.call_id not in here]
        self.is_over = bool(self.waiting_for)

    def block(self, refusal: CompletionMessage) -> None:
        """Replace the answer by a shield's words; nothing is waited for any more."""
        self.answer, self.waiting_for, self.is_over = refusal, [], True

    def release(self, *, blocked: bool) -> list[Event]:
        """Return the events held back until the output shields looked; a blocked answer's text is replaced in them."""
        held, self.held = self.held, []
        if not blocked or not held:
            return held
        last = held[-1].payload
        assert isinstance(last, schemas.AgentTurnResponseStepCompletePayload)
        assert isinstance(last.step_details, schemas.InferenceStep) and self.answer is not None
        last.step_details.model_response.content = self.answer.content
        return held[-1:]

    def ended(self) -> Event:
        """Return the last event: the whole turn, complete or awaiting the caller's tools."""
        if self.waiting_for:
            output = CompletionMessage(content="", stop_reason="end_of_message", tool_calls=self.waiting_for)
            return Event(schemas.AgentTurnResponseTurnAwaitingInputPayload(turn=self.as_schema(output, None)))
        output = self.answer or CompletionMessage(content="", stop_reason="end_of_turn", tool_calls=[])
        if self.is_stopped:  # what was called and not run is nobody's to run any more
            output = CompletionMessage(content=output.content, stop_reason="end_of_turn", tool_calls=[])
        return Event(schemas.AgentTurnResponseTurnCompletePayload(turn=self.as_schema(output, self.tick())))

    def for_caller(self, last: schemas.Payload) -> schemas.Payload:
        """Return the turn's last event as its caller gets it: with what the tools that run there need."""
        if not self.waiting_for or not self.withheld:
            return last
        assert isinstance(last, schemas.AgentTurnResponseTurnAwaitingInputPayload)
        calls = [self.unveiled(call) for call in self.waiting_for]
        output = last.turn.output_message.model_copy(update={"tool_calls": calls})
        return last.model_copy(update={"turn": last.turn.model_copy(update={"output_message": output})})

    def as_schema(self, output: CompletionMessage, completed_at: datetime | None) -> schemas.Turn:
        """Return the turn so far as the API tells it."""
        return schemas.Turn.model_construct(
            turn_id=self.turn_id,
            session_id=self.session_id,
            input_messages=self.input_messages,
            steps=list(self.steps),
            output_message=output,
            output_attachments=list(self.attachments),
            started_at=self.started_at,
            completed_at=completed_at,
        )


@contextmanager
def stopping(turn: TurnState) -> Iterator[None]:
    """Turn a cancellation that was asked for by ``stop`` into a quiet end of the step; others pass through."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not turn.stop_asked or task is None:
            raise
        task.uncancel()
        turn.is_stopped = turn.is_over = True


def default_refusal(touchpoint: str) -> str:
    """Return what is said when a shield blocks without words of its own."""
    subject = "This request" if touchpoint == "user-input" else "The answer"
    return f"{subject} was blocked by a safety shield."


def as_json(value: Any) -> str:
    """Return a value as JSON text, for span attributes."""
    return to_json(value, exclude_none=True).decode()
