"""A made-up trace to look at before there is a real one: a turn that asks a model, calls a tool and asks again."""

import json
import secrets
import time
from typing import Any

from apps.telemetry.records import SpanRecord

MS = 1_000_000
QUESTION = "Where is order 48213? It was to come yesterday."
CALL = {"call_id": "call-1", "tool_name": "find_order", "arguments": '{"order": "48213"}'}
FOUND = '{"order": "48213", "state": "with the carrier", "arrives": "tomorrow"}'
ANSWER = "Order 48213 is with the carrier and arrives tomorrow."
MODEL = "sample/none"


def turn() -> list[SpanRecord]:
    """Return the spans of the trace, the root first; its service is called "sample"."""
    trace_id, root = secrets.token_hex(16), secrets.token_hex(8)
    began = time.time_ns() - 1_900 * MS

    def span(name: str, at_ms: int, for_ms: int, attributes: dict[str, Any], span_id: str = "") -> SpanRecord:
        return SpanRecord(
            trace_id=trace_id,
            span_id=span_id or secrets.token_hex(8),
            parent_span_id="" if span_id else root,
            name=name,
            start_ns=began + at_ms * MS,
            end_ns=began + (at_ms + for_ms) * MS,
            status="ok",
            attributes={"agent_name": "Support desk (sample)", **attributes},
            resource={"service.name": "sample"},
        )

    asked = [{"role": "user", "content": QUESTION}]
    called = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    told = [*asked, called, {"role": "tool", "call_id": "call-1", "tool_name": "find_order", "content": FOUND}]
    return [
        span("create_agent_turn", 0, 1_900, {"request": json.dumps({"messages": asked})}, root),
        span("inference", 4, 760, _inference(asked, "", [CALL], 212, 24)),
        span("tool_execution", 768, 120, _tool(called)),
        span("inference", 892, 1_000, _inference(told, ANSWER, [], 268, 31)),
    ]


def _inference(said: list[Any], content: str, calls: list[Any], tokens_in: int, tokens_out: int) -> dict[str, Any]:
    return {
        "input": json.dumps(said),
        "output": json.dumps({"content": content, "tool_calls": calls}),
        "stop_reason": "end_of_turn",
        "gen_ai.request.model": MODEL,
        "gen_ai.usage.input_tokens": tokens_in,
        "gen_ai.usage.output_tokens": tokens_out,
    }


def _tool(called: dict[str, Any]) -> dict[str, Any]:
    answer = {"role": "tool", "call_id": "call-1", "tool_name": "find_order", "content": FOUND}
    return {"tool_name": "find_order", "input": json.dumps(called), "output": json.dumps(answer)}
