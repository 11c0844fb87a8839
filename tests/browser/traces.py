"""Traces for the browser, sent to a running console as an exporter would."""

import json
import secrets
import time
from typing import Any

from tests.program import Program

Json = dict[str, Any]
MS = 1_000_000
AT_ONCE = 5_000
KINDS = ("LLM", "TOOL", "GUARDRAIL", "RETRIEVER", "CHAIN")


class Trace:
    """A trace in the making: ``add`` spans, then ``send`` them."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.trace_id = secrets.token_hex(16)
        self.begin = time.time_ns() - 3_600 * 1_000 * MS
        self.spans: list[Json] = []

    @property
    def path(self) -> str:
        """Its page."""
        return f"/traces/{self.trace_id}/"

    def add(self, name: str, at_ms: float, for_ms: float, parent: str = "", error: str = "", **attributes: Any) -> str:
        """Add a span and return its id; two underscores in an attribute's name are a dot."""
        start = self.begin + int(at_ms * MS)
        span_id = str(attributes.pop("span_id", "")) or secrets.token_hex(8)
        told = [
            {"key": key.replace("__", "."), "value": {"stringValue": str(value)}} for key, value in attributes.items()
        ]
        self.spans.append(
            {
                "traceId": self.trace_id,
                "spanId": span_id,
                "parentSpanId": parent,
                "name": name,
                "kind": 1,
                "startTimeUnixNano": str(start),
                "endTimeUnixNano": str(start + int(for_ms * MS)),
                "attributes": told,
                "status": {"code": 2, "message": error} if error else {"code": 1},
            }
        )
        return span_id

    def send(self) -> "Trace":
        """Send what was added since the last time."""
        for at in range(0, len(self.spans), AT_ONCE):
            some = self.spans[at : at + AT_ONCE]
            body = {"resourceSpans": [{"scopeSpans": [{"spans": some}]}]}
            answer = self.program.http.post("/v1/traces", content=json.dumps(body), headers=JSON)
            assert answer.status_code == 200, answer.text
        self.spans.clear()
        return self


JSON = {"content-type": "application/json"}


def large(program: Program, count: int) -> Trace:
    """Send a trace of so many spans: four children each, every 500th failed."""
    trace = Trace(program)
    ids = [trace.add("run", 0, count * 6)]
    for at in range(1, count):
        name = f"{('db.query', 'GET', 'chat', 'cache')[at % 4]} {at}"
        error = "It broke." if at % 500 == 499 else ""
        kind = KINDS[at % 5]
        ids.append(trace.add(name, at * 5.9, at % 90 + 1, ids[(at - 1) // 4], error, openinference__span__kind=kind))
    return trace.send()


def deep(program: Program, depth: int = 9) -> Trace:
    """Send a chain of spans, the last with a body."""
    trace, parent = Trace(program), ""
    for level in range(1, depth + 1):
        body = {"input": "What lies at the bottom."} if level == depth else {}
        parent = trace.add(f"level {level}", level, 100 - level, parent, **body)
        if level < depth:
            trace.add(f"beside {level}", level + 60, 5, parent)
    return trace.send()


def support(program: Program) -> Trace:
    """Send a trace as the desk of a shop makes it: a tool that failed once, and an answer."""
    trace = Trace(program)
    root = trace.add("invoke_agent Support desk", 0, 12_840, gen_ai__operation__name="invoke_agent")
    chat = {"gen_ai__operation__name": "chat", "gen_ai__usage__input_tokens": "612", "gen_ai__request__model": "tiny"}
    said = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Please exchange the jacket."}]}])
    told = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "It is **done**."}]}])
    trace.add("run_shield_guard", 0, 84, root)
    trace.add("chat tiny", 90, 1_020, root, **chat, gen_ai__input__messages=said, gen_ai__output__messages=told)
    tool = trace.add("execute_tool create_exchange", 3_660, 5_310, root, gen_ai__operation__name="execute_tool")
    first = trace.add("attempt 1", 3_660, 3_020, tool, "Deadline of 3 s passed")
    call = trace.add("POST exchanges", 3_670, 3_000, first, "504")
    trace.add("stock.reserve", 3_700, 2_970, call, "No reply after 3 s", input='{"sku": "TRN-7", "qty": 1}')
    second = trace.add("attempt 2", 7_690, 1_280, tool)
    trace.add("POST exchanges", 7_700, 1_260, second)
    trace.add("skewed", 7_600, 100, second)
    trace.add("orphan", 9_000, 50, "0123456789abcdef")
    trace.add("chat tiny", 9_020, 3_710, root, **chat)
    return trace.send()
