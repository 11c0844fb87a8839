"""What a model is sent and what it sends: messages, tool calls, sampling, response formats."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, FiniteFloat, model_validator
from pydantic_core import to_json

from apps.core.content import InterleavedContent
from apps.core.spec import Boolean, Integer, SpecModel

BuiltinTool = Literal["brave_search", "wolfram_alpha", "photogen", "code_interpreter"]
ToolName = Annotated[BuiltinTool | str, Field(union_mode="left_to_right")]
StopReason = Literal["end_of_turn", "end_of_message", "out_of_tokens"]
ToolChoice = Literal["auto", "required", "none"]
ToolPromptFormat = Literal["json", "function_tag", "python_list"]
ModelType = Literal["llm", "embedding", "rerank"]


class ToolCall(SpecModel):
    """A call the model asks for; ``arguments`` is JSON text, as the model wrote it."""

    call_id: str
    tool_name: ToolName
    arguments: str

    @model_validator(mode="before")
    @classmethod
    def arguments_as_text(cls, data: Any) -> Any:
        """Accept the older forms: arguments as an object, and ``arguments_json`` beside it."""
        if not isinstance(data, dict) or ("arguments_json" not in data and not isinstance(data.get("arguments"), dict)):
            return data
        call = dict(data)
        as_json = call.pop("arguments_json", None)
        arguments = call.get("arguments")
        if isinstance(arguments, dict):
            arguments = to_json(arguments).decode()
        call["arguments"] = as_json or arguments or "{}"
        return call


class ToolDef(SpecModel):
    """A tool the model may call; ``input_schema`` is JSON Schema and is passed on untouched."""

    name: str
    toolgroup_id: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def schema_from_parameters(cls, data: Any) -> Any:
        """Accept the older list of ``parameters`` and turn it into ``input_schema``."""
        if not isinstance(data, dict) or "parameters" not in data:
            return data
        tool = dict(data)
        tool.pop("tool_prompt_format", None)  # the older clients' helper sends it along; nothing here reads it
        parameters = tool.pop("parameters") or []
        if not isinstance(parameters, list) or not all(isinstance(p, dict) and "name" in p for p in parameters):
            raise ValueError("parameters: must be a list of objects with a name; newer servers use input_schema")
        if tool.get("input_schema") is None:
            tool["input_schema"] = _schema_of(parameters)
        return tool


# What those clients name a type after: the Python annotation of the caller's function.
PYTHON_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}


def _schema_of(parameters: list[dict[str, Any]]) -> dict[str, Any]:
    properties = {}
    for parameter in parameters:
        kind = parameter.get("parameter_type") or "string"
        described = {
            "type": PYTHON_TYPES.get(kind, kind),
            "description": parameter.get("description") or "",
        }
        extra = {key: parameter[key] for key in ("default", "items", "title") if parameter.get(key) is not None}
        properties[parameter["name"]] = described | extra
    required = [p["name"] for p in parameters if p.get("required", True) and p.get("default") is None]
    return {"type": "object", "properties": properties, "required": required}


class UserMessage(SpecModel):
    """What a person says; ``context`` is read with it once and not repeated in later turns."""

    role: Literal["user"] = "user"
    content: InterleavedContent
    context: InterleavedContent | None = None


class ToolResponseMessage(SpecModel):
    """What a tool answered, as a message."""

    role: Literal["tool"] = "tool"
    call_id: str
    content: InterleavedContent


class CompletionMessage(SpecModel):
    """What the model answered."""

    role: Literal["assistant"] = "assistant"
    content: InterleavedContent
    stop_reason: StopReason
    tool_calls: list[ToolCall] | None = None


class ToolResponse(SpecModel):
    """What a tool answered to one call; ``metadata`` is kept and not shown to the model."""

    call_id: str
    tool_name: ToolName
    content: InterleavedContent
    metadata: dict[str, Any] | None = None


class TextDelta(SpecModel):
    """Text to append to the answer."""

    type: Literal["text"] = "text"
    text: str


class ImageDelta(SpecModel):
    """Part of a picture; reserved."""

    type: Literal["image"] = "image"
    image: str = Field(json_schema_extra={"contentEncoding": "base64"})


class ToolCallDelta(SpecModel):
    """Part of a tool call while it is written, or the whole call once it is parsed."""

    type: Literal["tool_call"] = "tool_call"
    tool_call: str | ToolCall
    parse_status: Literal["started", "in_progress", "failed", "succeeded"]


ContentDelta = Annotated[TextDelta | ImageDelta | ToolCallDelta, Field(discriminator="type")]


class GreedySamplingStrategy(SpecModel):
    """Always the likeliest token."""

    type: Literal["greedy"] = "greedy"


class TopPSamplingStrategy(SpecModel):
    """Draw from the likeliest tokens that together reach ``top_p``."""

    type: Literal["top_p"] = "top_p"
    temperature: FiniteFloat | None = Field(default=None, gt=0)
    top_p: float = Field(default=0.95, gt=0, le=1)


class TopKSamplingStrategy(SpecModel):
    """Draw from the ``top_k`` likeliest tokens."""

    type: Literal["top_k"] = "top_k"
    top_k: Integer = Field(ge=1)


SamplingStrategy = Annotated[
    GreedySamplingStrategy | TopPSamplingStrategy | TopKSamplingStrategy, Field(discriminator="type")
]


class SamplingParams(SpecModel):
    """How tokens are drawn; ``max_tokens`` 0 means no limit of our own."""

    # Published as required; left out, it is read as the greedy one.
    model_config = ConfigDict(json_schema_extra={"required": ["strategy"]})

    strategy: SamplingStrategy
    max_tokens: Integer = Field(default=0, ge=0)
    repetition_penalty: FiniteFloat = Field(default=1.0, gt=0)
    stop: list[str] | None = Field(default=None, max_length=4)


class JsonSchemaResponseFormat(SpecModel):
    """The answer must be JSON that fits a schema."""

    type: Literal["json_schema"] = "json_schema"
    json_schema: dict[str, Any]


class GrammarResponseFormat(SpecModel):
    """The answer must fit a grammar."""

    type: Literal["grammar"] = "grammar"
    bnf: dict[str, Any]


ResponseFormat = Annotated[JsonSchemaResponseFormat | GrammarResponseFormat, Field(discriminator="type")]


class ToolConfig(SpecModel):
    """How the model may use tools."""

    tool_choice: Annotated[ToolChoice | str, Field(union_mode="left_to_right")] = "auto"
    tool_prompt_format: ToolPromptFormat | None = None
    system_message_behavior: Literal["append", "replace"] = "append"


class Model(SpecModel):
    """A model that can be addressed."""

    identifier: str
    provider_resource_id: str | None = None
    provider_id: str
    type: Literal["model"] = "model"
    metadata: dict[str, Any]
    model_type: ModelType = "llm"


class ListModelsResponse(SpecModel):
    """Every model that can be addressed."""

    data: list[Model]


class RegisterModelRequest(SpecModel):
    """The body that registers a model under a name of its own."""

    model_id: str = Field(min_length=1, max_length=300)
    provider_model_id: str | None = Field(default=None, max_length=300)
    provider_id: str | None = None
    metadata: dict[str, Any] | None = None
    model_type: ModelType | None = None


class OpenAIParams(SpecModel):
    """The base of OpenAI's bodies: what is not named here is passed to the model server as it is."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    model: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def read_strictly(cls, data: Any) -> Any:
        """Drop nulls; refuse no name: model servers take parameters of their own."""
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data


class OpenaiChatCompletionRequest(OpenAIParams):
    """The body of a chat completion."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: Boolean = False
    stream_options: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: Integer | None = Field(default=None, ge=1)
    max_completion_tokens: Integer | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None


class OpenaiEmbeddingsRequest(OpenAIParams):
    """The body of an embedding call."""

    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Integer | None = Field(default=None, ge=1)
    user: str | None = None
