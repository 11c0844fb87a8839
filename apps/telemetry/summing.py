"""A trace summed up over its spans, one span at a time, in any order.

Its head gives the trace its name, kind and status: the root span, or while none is known the span that began first. A
trace is open, without an end, while its head is; then it ends with the last of its spans.
"""

from typing import Any

from django.conf import settings

from apps.telemetry.bulk import clean
from apps.telemetry.models import NAME, Kind, Span, Status, Trace
from apps.telemetry.records import HOT, SpanRecord, input_of, output_of
from apps.telemetry.windows import SECOND_NS

COLUMNS = (
    "root_span_id", "name", "kind", "status", "start_ns", "end_ns", "span_count", "error_count", "input_tokens",
    "output_tokens", "service", "model", *HOT, "input", "output", "expires_s",
)  # fmt: skip
SPEAKING = (Kind.TURN, Kind.INFERENCE)


def begun(records: list[SpanRecord]) -> Trace:
    """Return the row, not yet stored, of a trace of which these spans are the first."""
    first = records[0]
    trace = Trace(trace_id=first.trace_id, start_ns=first.start_ns, expires_s=0, span_count=0)
    for record in records:
        add(trace, record)
    if is_open(trace):
        trace.end_ns = None
    return trace


def is_open(trace: Trace) -> bool:
    """Return whether the trace's head has not ended."""
    return trace.status == Status.OPEN


def values_of(trace: Trace) -> tuple[Any, ...]:
    """Return the trace's id and its columns in the order of ``COLUMNS``."""
    return (trace.trace_id, *(getattr(trace, name) for name in COLUMNS))


def add(trace: Trace, record: SpanRecord) -> None:
    """Count a span into its trace, which may be open afterwards: then its end is not its end yet."""
    kind = record.kind
    is_root = not record.parent_span_id and trace.root_span_id in ("", record.span_id)
    if is_root or (not trace.root_span_id and (not trace.name or record.start_ns < trace.start_ns)):
        trace.root_span_id = record.span_id if is_root else ""
        trace.name, trace.kind, trace.status = clean(record.name)[:NAME], str(kind), record.status
    trace.span_count += 1
    trace.error_count += record.status == Status.ERROR
    trace.start_ns = min(trace.start_ns, record.start_ns)
    if record.end_ns is not None:
        trace.end_ns = max(trace.end_ns or 0, record.end_ns)
    if kind == Kind.INFERENCE:
        _count_tokens(trace, record.tokens("input"), record.tokens("output"))
        trace.model = trace.model or clean(record.model)
    _tell(trace, record, kind, is_root=is_root)
    ttl_s = record.ttl_s if record.ttl_s is not None else int(settings.TELEMETRY_DAYS * 86_400)
    trace.expires_s = max(trace.expires_s, min(record.start_ns // SECOND_NS + ttl_s, 2**62))


def take_back(trace: Trace, old: Span) -> None:
    """Uncount a span that is about to be counted anew, as it stood before."""
    trace.span_count -= 1
    trace.error_count -= old.status == Status.ERROR
    if old.kind == Kind.INFERENCE:
        _count_tokens(trace, -(old.input_tokens or 0) or None, -(old.output_tokens or 0) or None)
    if not trace.root_span_id and old.start_ns == trace.start_ns:
        trace.name = ""  # it was the head, and is so again


def _count_tokens(trace: Trace, input_tokens: int | None, output_tokens: int | None) -> None:
    if input_tokens is not None:
        trace.input_tokens = (trace.input_tokens or 0) + input_tokens
    if output_tokens is not None:
        trace.output_tokens = (trace.output_tokens or 0) + output_tokens


def _tell(trace: Trace, record: SpanRecord, kind: str, *, is_root: bool) -> None:
    """Keep of a span what finds its trace again: whose turn it was, what was asked and answered."""
    service = record.resource.get("service.name")
    if isinstance(service, str) and (is_root or not trace.service):
        trace.service = clean(service)[:NAME]
    for name in HOT:
        value = clean(record.hot(name))
        if value and (is_root or not getattr(trace, name)):
            setattr(trace, name, value)
    if kind in SPEAKING:
        if is_root or not trace.input:
            trace.input = clean(input_of(record)) or trace.input
        trace.output = clean(output_of(record)) or trace.output
