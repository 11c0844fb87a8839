"""The published client logs events: a span with its end before its begin, a line of text, and a value of a metric."""

import os
import secrets
from datetime import UTC, datetime

from llama_stack_client import BadRequestError, LlamaStackClient

client = LlamaStackClient(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], timeout=60)
trace, root, child = secrets.token_hex(16), secrets.token_hex(8), secrets.token_hex(8)


def log(kind, span, second, **fields):
    moment = datetime(2026, 9, 21, 14, 13, second, tzinfo=UTC)
    event = {"type": kind, "trace_id": trace, "span_id": span, "timestamp": moment, **fields}
    assert client.telemetry.log_event(event=event, ttl_seconds=10_000_000) is None


log("structured_log", root, 1, payload={"type": "span_start", "name": "research"}, attributes={"topic": trace})
log("structured_log", child, 5, payload={"type": "span_end", "status": "error"}, attributes={"error": "no such page"})
log("unstructured_log", child, 3, message="looking", severity="warn")
start = {"type": "span_start", "name": "fetch", "parent_span_id": root}
log("structured_log", child, 2, payload=start, attributes={"tries": 2.0, "fresh": None})
log("structured_log", root, 6, payload={"type": "span_end", "status": "ok"})
log("metric", root, 6, metric=f"pages_{trace}", value=3.0, unit="pages", attributes={"site": "example"})

try:
    log("structured_log", "no hex", 1, payload=start)
except BadRequestError as error:
    assert "span_id" in str(error), error
else:
    raise AssertionError("an id that is none was taken")
print(trace, root, child)
