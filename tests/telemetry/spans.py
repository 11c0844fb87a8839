"""Spans for tests, made and stored as the doors do."""

import json
import secrets
from typing import Any

from django.db import transaction

from apps.telemetry import store
from apps.telemetry.models import Trace
from apps.telemetry.records import SpanRecord

START_NS = 1_790_000_000_000_000_000
MS = 1_000_000


def trace_id() -> str:
    """Return a fresh trace id."""
    return secrets.token_hex(16)


def span_id() -> str:
    """Return a fresh span id."""
    return secrets.token_hex(8)


def record(**fields: Any) -> SpanRecord:
    """Return a span of 10 ms that ended well, with these fields; times by ``at_ms`` and ``for_ms`` if told."""
    at_ms, for_ms = fields.pop("at_ms", 0), fields.pop("for_ms", 10)
    start = fields.pop("start_ns", START_NS + at_ms * MS)
    end = fields.pop("end_ns", start + for_ms * MS)
    known = {"trace_id": trace_id(), "span_id": span_id(), "name": "work", "status": "ok" if end is not None else ""}
    return SpanRecord(**{**known, **fields, "start_ns": start, "end_ns": end})


def save(*records: SpanRecord) -> store.Saved:
    """Store the spans in a transaction of their own."""
    with transaction.atomic():
        return store.save(records)


def turn_trace(*, status: str = "ok", error: str = "", **fields: Any) -> list[SpanRecord]:
    """Return the spans of one turn that asked a model, called a tool and asked again; ``at_ms``, ``agent_name`` …"""
    at_ms, of = fields.pop("at_ms", 0), fields.pop("trace_id", None) or trace_id()
    said, answer = fields.pop("said", "Where is order 7?"), fields.pop("answer", "On its way.")
    model = fields.pop("model", "openai/fake")
    hot = {"agent_id": "agent-1", "agent_name": "Clerk", "session_id": "session-1", "turn_id": "turn-1", **fields}
    root = span_id()
    asked = json.dumps({"messages": [{"role": "user", "content": said}]})
    end = dict(status=status, message=error)

    def child(name: str, at: int, length: int, **attributes: Any) -> SpanRecord:
        agent = {"agent_name": hot["agent_name"]}
        return record(
            trace_id=of, parent_span_id=root, name=name, at_ms=at_ms + at, for_ms=length, attributes=agent | attributes
        )

    def inference(at: int, output: str) -> SpanRecord:
        shown = json.dumps([{"role": "user", "content": said}])
        usage = {"gen_ai.usage.input_tokens": 20, "gen_ai.usage.output_tokens": 5}
        names = {"gen_ai.request.model": model, "gen_ai.operation.name": "chat", "stop_reason": "end_of_turn"}
        told = json.dumps({"content": output, "tool_calls": []})
        return child("inference", at, 40, input=shown, output=told, **usage, **names)

    tool = child("tool_execution", 50, 10, tool_name="lookup", input="{}", output='{"content":"7: sent"}')
    spans = [inference(5, ""), tool, inference(65, answer)]
    whole = record(
        trace_id=of,
        span_id=root,
        name="create_agent_turn",
        at_ms=at_ms,
        for_ms=110,
        attributes=hot | {"request": asked},
        **end,
    )
    return [whole, *spans]


def trace(**fields: Any) -> Trace:
    """Store the spans of one turn and return its trace."""
    spans = turn_trace(**fields)
    save(*spans)
    return Trace.objects.get(trace_id=spans[0].trace_id)
