"""Telemetry events of Llama Stack clients, as the specification names them."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat

from apps.core.spec import SpecModel
from apps.telemetry.otlp.translate import TEN_YEARS_S
from apps.telemetry.records import MAX_INT
from apps.telemetry.schemas import SpanStatus

MAX_ATTRIBUTES = 512
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HEX = re.compile(r"[0-9a-f]{1,32}")

LogSeverity = Literal["verbose", "debug", "info", "warn", "error", "critical"]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**64)]
Attributes = Annotated[dict[str, str | bool | Whole | FiniteFloat | None], Field(max_length=MAX_ATTRIBUTES)]


def nanoseconds(moment: datetime) -> int:
    """Return a moment in nanoseconds since 1970; one without a zone is in UTC."""
    told = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = told - EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def _moment(told: datetime) -> datetime:
    if not 0 < nanoseconds(told) <= MAX_INT:
        raise ValueError("must be after 1970 and before 2262")
    return told


def _trace_id(told: str) -> str:
    """Return an id as 32 hexadecimal digits: a UUID without its dashes, a short number filled up with zeros."""
    return _hex(told).zfill(32)


def _span_id(told: str) -> str:
    """Return an id as 16 hexadecimal digits; of a longer one, such as a UUID, the last 16."""
    found = _hex(told).zfill(16)[-16:]
    if found.strip("0") == "":
        raise ValueError("must not be zero in its last 16 digits")
    return found


def _parent(told: str) -> str:
    return _span_id(told) if told.strip("0") else ""


def _hex(told: str) -> str:
    found = told.replace("-", "").lower()
    if not HEX.fullmatch(found) or found.strip("0") == "":
        raise ValueError("must be 1 to 32 hexadecimal digits that are not all zero, or a UUID")
    return found


TraceId = Annotated[str, AfterValidator(_trace_id)]
SpanId = Annotated[str, AfterValidator(_span_id)]
ParentId = Annotated[str, AfterValidator(_parent)]
Moment = Annotated[datetime, AfterValidator(_moment)]


class UnstructuredLogEvent(SpecModel):
    """A line of text, told within a span."""

    type: Literal["unstructured_log"] = "unstructured_log"
    trace_id: TraceId
    span_id: SpanId
    timestamp: Moment
    attributes: Attributes | None = None
    message: str
    severity: LogSeverity


class MetricEvent(SpecModel):
    """A value of a metric; its attributes are the labels of its series."""

    type: Literal["metric"] = "metric"
    trace_id: TraceId
    span_id: SpanId
    timestamp: Moment
    attributes: Attributes | None = None
    metric: Annotated[str, Field(min_length=1)]
    value: Annotated[FiniteFloat, Field(strict=True)]
    unit: str


class SpanStartPayload(SpecModel):
    """A span begins."""

    type: Literal["span_start"] = "span_start"
    name: str
    parent_span_id: ParentId | None = None


class SpanEndPayload(SpecModel):
    """A span ends."""

    type: Literal["span_end"] = "span_end"
    status: SpanStatus


class StructuredLogEvent(SpecModel):
    """A span begins or ends; its attributes are the span's."""

    type: Literal["structured_log"] = "structured_log"
    trace_id: TraceId
    span_id: SpanId
    timestamp: Moment
    attributes: Attributes | None = None
    payload: Annotated[SpanStartPayload | SpanEndPayload, Field(discriminator="type")]


Event = Annotated[UnstructuredLogEvent | MetricEvent | StructuredLogEvent, Field(discriminator="type")]


class LogEventRequest(SpecModel):
    """An event, and for how many seconds its trace is kept from the time it began."""

    event: Event
    ttl_seconds: Annotated[int, Field(ge=1, le=TEN_YEARS_S)]
