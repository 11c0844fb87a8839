"""Agents, sessions, turns, steps and the events of a turn, as the specification names them."""

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, WithJsonSchema, model_validator

from apps.core.content import URL, InterleavedContent, InterleavedContentItem
from apps.core.spec import Boolean, Integer, SpecModel
from apps.inference.schemas import (
    CompletionMessage,
    ContentDelta,
    GreedySamplingStrategy,
    ResponseFormat,
    SamplingParams,
    ToolCall,
    ToolChoice,
    ToolConfig,
    ToolDef,
    ToolPromptFormat,
    ToolResponse,
    ToolResponseMessage,
    UserMessage,
)
from apps.safety.schemas import SafetyViolation


def rfc3339(moment: datetime) -> str:
    """Return a time as UTC with microseconds, always: ``2026-11-23T10:00:00.000000Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Moment = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
StepType = Literal["inference", "tool_execution", "shield_call", "memory_retrieval"]


class AgentToolGroupWithArgs(SpecModel):
    """A tool group with arguments that are merged over the model's own."""

    name: str
    args: dict[str, Any]


AgentTool = str | AgentToolGroupWithArgs


class AgentConfig(SpecModel):
    """Who an agent is: its model, its instructions and what it may use."""

    model: str = Field(min_length=1)
    instructions: str
    name: str | None = None
    sampling_params: SamplingParams | None = Field(
        default_factory=lambda: SamplingParams(strategy=GreedySamplingStrategy())
    )
    input_shields: list[str] | None = Field(default_factory=list)
    output_shields: list[str] | None = Field(default_factory=list)
    toolgroups: list[AgentTool] | None = Field(default_factory=list)
    client_tools: list[ToolDef] | None = Field(default_factory=list)
    tool_choice: ToolChoice | None = Field(default=None, deprecated=True)
    tool_prompt_format: ToolPromptFormat | None = Field(default=None, deprecated=True)
    tool_config: ToolConfig | None = None
    max_infer_iters: Integer = Field(default=10, ge=1)
    enable_session_persistence: Boolean = False
    response_format: ResponseFormat | None = None

    @model_validator(mode="after")
    def one_tool_config(self) -> "AgentConfig":
        """Fill ``tool_config`` from the deprecated fields and refuse two that differ."""
        config = self.tool_config or ToolConfig(
            tool_choice=self.__dict__["tool_choice"] or "auto", tool_prompt_format=self.__dict__["tool_prompt_format"]
        )
        for name in ("tool_choice", "tool_prompt_format"):
            old = self.__dict__[name]
            if old is not None and old != getattr(config, name):
                raise ValueError(f"{name} is deprecated and differs from tool_config.{name}: set only tool_config")
        self.tool_config = config
        for name, times in Counter(tool.name for tool in self.client_tools or []).items():
            if times > 1:
                raise ValueError(f"client_tools: two tools are named '{name}'")
        return self


class Agent(SpecModel):
    """An agent as it is stored."""

    agent_id: str
    agent_config: AgentConfig
    created_at: Moment


class CreateAgentRequest(SpecModel):
    """The body that makes an agent."""

    agent_config: AgentConfig


class AgentCreateResponse(SpecModel):
    """The id of the new agent."""

    agent_id: str


class CreateAgentSessionRequest(SpecModel):
    """The body that opens a session; names need not be unique."""

    session_name: str


class AgentSessionCreateResponse(SpecModel):
    """The id of the new session."""

    session_id: str


class StepCommon(SpecModel):
    """What every step has."""

    turn_id: str
    step_id: str
    started_at: Moment | None = None
    completed_at: Moment | None = None


class InferenceStep(StepCommon):
    """One call to the model."""

    step_type: Literal["inference"] = "inference"
    model_response: CompletionMessage


class ToolExecutionStep(StepCommon):
    """Tools that ran, here or at the caller's side."""

    step_type: Literal["tool_execution"] = "tool_execution"
    tool_calls: list[ToolCall]
    tool_responses: list[ToolResponse]


class ShieldCallStep(StepCommon):
    """Shields that looked at messages; without a violation all is well."""

    step_type: Literal["shield_call"] = "shield_call"
    violation: SafetyViolation | None = None


class MemoryRetrievalStep(StepCommon):
    """Passages that were looked up; read from older servers, not written by this one."""

    step_type: Literal["memory_retrieval"] = "memory_retrieval"
    vector_db_ids: str
    inserted_context: InterleavedContent


Step = Annotated[
    InferenceStep | ToolExecutionStep | ShieldCallStep | MemoryRetrievalStep, Field(discriminator="step_type")
]
InputMessage = Annotated[UserMessage | ToolResponseMessage, Field(discriminator="role")]
AttachedContent = str | InterleavedContentItem | list[InterleavedContentItem] | URL


class Attachment(SpecModel):
    """Content a turn produced beside its answer."""

    content: AttachedContent
    mime_type: str


class Document(SpecModel):
    """Content a turn is given to read."""

    content: AttachedContent
    mime_type: str


class Turn(SpecModel):
    """One question and all that was done to answer it."""

    turn_id: str
    session_id: str
    input_messages: list[InputMessage]
    steps: list[Step]
    output_message: CompletionMessage
    output_attachments: list[Attachment] | None = None
    started_at: Moment
    completed_at: Moment | None = None


class Session(SpecModel):
    """A conversation with an agent."""

    session_id: str
    session_name: str
    turns: list[Turn]
    started_at: Moment


class CreateAgentTurnRequest(SpecModel):
    """The body that starts a turn."""

    messages: list[InputMessage] = Field(min_length=1)
    stream: Boolean | None = None
    documents: list[Document] | None = None
    toolgroups: list[AgentTool] | None = None
    tool_config: ToolConfig | None = None


class ResumeAgentTurnRequest(SpecModel):
    """The body that answers a waiting turn."""

    tool_responses: list[ToolResponse]
    stream: Boolean | None = None


class AgentStepResponse(SpecModel):
    """One step of a turn."""

    step: Step


class AgentTurnResponseTurnStartPayload(SpecModel):
    """A turn began."""

    event_type: Literal["turn_start"] = "turn_start"
    turn_id: str


class AgentTurnResponseStepStartPayload(SpecModel):
    """A step began."""

    event_type: Literal["step_start"] = "step_start"
    step_type: StepType
    step_id: str
    metadata: dict[str, Any] | None = None


class AgentTurnResponseStepProgressPayload(SpecModel):
    """Something of a step came in."""

    event_type: Literal["step_progress"] = "step_progress"
    step_type: StepType
    step_id: str
    delta: ContentDelta


class AgentTurnResponseStepCompletePayload(SpecModel):
    """A step ended; this is what counts, the progress before it was paint."""

    event_type: Literal["step_complete"] = "step_complete"
    step_type: StepType
    step_id: str
    step_details: Step


class AgentTurnResponseTurnCompletePayload(SpecModel):
    """The turn ended."""

    event_type: Literal["turn_complete"] = "turn_complete"
    turn: Turn


class AgentTurnResponseTurnAwaitingInputPayload(SpecModel):
    """The turn waits for tools the caller runs."""

    event_type: Literal["turn_awaiting_input"] = "turn_awaiting_input"
    turn: Turn


Payload = Annotated[
    AgentTurnResponseStepStartPayload
    | AgentTurnResponseStepProgressPayload
    | AgentTurnResponseStepCompletePayload
    | AgentTurnResponseTurnStartPayload
    | AgentTurnResponseTurnCompletePayload
    | AgentTurnResponseTurnAwaitingInputPayload,
    Field(discriminator="event_type"),
]


class AgentTurnResponseEvent(SpecModel):
    """The envelope of a payload."""

    payload: Payload


class AgentTurnResponseStreamChunk(SpecModel):
    """One frame of a turn's stream."""

    event: AgentTurnResponseEvent
