"""What a call to a model leaves behind as a span, whole or streamed, also when the caller leaves."""

import json
from contextlib import aclosing
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from apps.inference import api, chat, spans
from apps.inference.completions import Answer

SENT = {"messages": [{"role": "user", "content": "Look."}], "tools": []}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The spans that ended."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(spans, "tracer", provider.get_tracer("test"))
    return exporter


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model that says two words and calls a tool."""

    async def stream(target: Any, sent: Any) -> Any:
        answer = Answer("m")
        for chunk in (answer.text("One "), answer.text("two."), *answer.call(0, "c1", "look", '{"at": 7}')):
            yield chunk

    class Target:
        identifier, provider_id = "p/m", "p"

    monkeypatch.setattr(chat, "stream", stream)
    return Target()


def output(kept: InMemorySpanExporter) -> Any:
    [span] = kept.get_finished_spans()
    assert span.attributes is not None and "time_to_first_token_s" in span.attributes
    return json.loads(str(span.attributes["output"]))


async def test_a_streamed_answer_is_told_with_its_calls(kept: InMemorySpanExporter, target: Any) -> None:
    async with aclosing(api._traced(target, SENT)) as chunks:
        assert len([chunk async for chunk in chunks]) == 4

    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 7}'}}
    assert output(kept) == {"role": "assistant", "content": "One two.", "tool_calls": [call]}


async def test_a_caller_who_leaves_leaves_what_was_said_so_far(kept: InMemorySpanExporter, target: Any) -> None:
    async with aclosing(api._traced(target, SENT)) as chunks:
        await anext(chunks)

    assert output(kept) == {"role": "assistant", "content": "One "}
