"""One span for each call a program makes to a model, in OpenTelemetry's words for generative AI."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode
from pydantic_core import to_json

from apps.core.errors import ConsoleError
from apps.core.redaction import has_secrets, hide
from apps.inference.chat import Target

tracer = trace.get_tracer("apps.inference")
USAGE = {"input": "prompt_tokens", "output": "completion_tokens"}


@contextmanager
def calling(operation: str, target: Target, asked: Any) -> Iterator[Span]:
    """Give the span of a call to a model; it ends with the block and records its failure."""
    attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": target.identifier,
        "gen_ai.provider.name": target.provider_id,
    }
    # Not made the current span: a stream is read piece by piece, and others run between the pieces.
    span = tracer.start_span(f"{operation} {target.identifier}", attributes=attributes)
    note(span, "input", asked)
    try:
        yield span
    except ConsoleError as error:
        span.set_status(Status(StatusCode.ERROR, error.detail))
        raise
    except Exception as error:
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        span.end()


def without_secrets(message: Any, tools: Any) -> Any:
    """Return a message with the secret arguments of its tool calls hidden, by the schemas of the tools offered."""
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if not calls or not has_secrets(tools):
        return message
    functions = [tool.get("function") or {} for tool in tools if isinstance(tool, dict)]
    schemas = {function.get("name"): function.get("parameters") for function in functions}
    return {**message, "tool_calls": [_without_secrets(call, schemas) for call in calls]}


def _without_secrets(call: Any, schemas: dict[Any, Any]) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not has_secrets(schemas.get(function.get("name"))):
        return call
    shown, _ = hide(str(function.get("arguments")), schemas[function["name"]])
    return {**call, "function": {**function, "arguments": shown}}


def note(span: Span, name: str, value: Any) -> None:
    """Record content on a span, unless content is not to be recorded."""
    if settings.TELEMETRY_CONTENT and span.is_recording():
        span.set_attribute(name, to_json(value).decode())


def count(span: Span, usage: Any) -> None:
    """Record what the model server counted; it may tell nothing, or nonsense."""
    for side, name in USAGE.items():
        value = usage.get(name) if isinstance(usage, dict) else None
        if isinstance(value, int) and 0 <= value < 2**31:
            span.set_attribute(f"gen_ai.usage.{side}_tokens", value)
