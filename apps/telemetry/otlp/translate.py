"""What other programs send, as the console's own spans and samples: which can be used, and why the others cannot.

Both encodings are read by modules of their own; here is what holds for both.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass, field

from apps.core.errors import TooLarge
from apps.telemetry.metrics.totals import Sample
from apps.telemetry.models import NAME
from apps.telemetry.otlp import in_json as otlp_json
from apps.telemetry.otlp import in_protobuf as otlp_protobuf
from apps.telemetry.otlp import values as otlp_values
from apps.telemetry.otlp.values import DataPoint, Style
from apps.telemetry.own import TTL
from apps.telemetry.records import MAX_INT, Json, SpanRecord, digest

MAX_ITEMS = 20_000  # spans or data points of one request
MAX_ATTRIBUTES = 512
MAX_EVENTS = 1_000  # of a span, and as many links
MAX_LABELS = 64
TEN_YEARS_S = 10 * 365 * 86_400
TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
SPAN_ID = re.compile(r"(?!0{16})[0-9a-f]{16}")
NO_SPAN = ("", "0" * 16)


@dataclass
class Refused:
    """What of a request is not kept: items that are unusable, and parts that are too many."""

    what: str
    reasons: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """How many items were refused."""
        return self.reasons.total()

    @property
    def message(self) -> str:
        """Why, in one line; empty when everything was kept."""
        told = [f"{count} {self.what} rejected: {reason}" for reason, count in self.reasons.items()]
        told += [f"{count} {part} dropped" for part, count in self.dropped.items()]
        return "; ".join(told)


def spans(body: bytes, *, is_json: bool) -> tuple[list[SpanRecord], Refused]:
    """Return the usable spans of an ExportTraceServiceRequest; raises BadRequest or TooLarge."""
    refused = Refused("spans")
    records = []
    for number, record in enumerate((otlp_json if is_json else otlp_protobuf).spans(body)):
        _limit(number, "spans")
        if fault := _fault(record):
            refused.reasons[fault] += 1
        else:
            _tidy(record, refused)
            records.append(record)
    return records, refused


def samples(body: bytes, *, is_json: bool) -> tuple[list[Sample], Refused]:
    """Return the usable values of an ExportMetricsServiceRequest; raises BadRequest or TooLarge."""
    refused = Refused("data points")
    kept: list[Sample] = []
    sources: dict[int, tuple[Json, str]] = {}
    for number, point in enumerate((otlp_json if is_json else otlp_protobuf).data_points(body)):
        _limit(number, "data points")
        if point.is_missing:
            continue
        if fault := _fault_of_point(point):
            refused.reasons[fault] += 1
            continue
        # Points of one resource share its dict: the pair keeps it alive, so that its id stays its own.
        if id(point.resource) not in sources:
            sources[id(point.resource)] = (point.resource, digest(point.resource))
        kept += _samples(point, sources[id(point.resource)][1], refused)
    return kept, refused


def _limit(number: int, what: str) -> None:
    if number >= MAX_ITEMS:
        raise TooLarge(f"More than {MAX_ITEMS:,} {what} in one request. Send them in smaller batches.")


def _fault(record: SpanRecord) -> str:
    """Return why a span cannot be kept, nothing when it can."""
    if not TRACE_ID.fullmatch(record.trace_id):
        return "the trace id is not 16 bytes, or zero"
    if not SPAN_ID.fullmatch(record.span_id):
        return "the span id is not 8 bytes, or zero"
    if record.parent_span_id not in NO_SPAN and not SPAN_ID.fullmatch(record.parent_span_id):
        return "the parent's span id is not 8 bytes"
    if record.parent_span_id == record.span_id:
        return "the span is its own parent"
    if not 0 < record.start_ns <= MAX_INT:
        return "the start time is missing or beyond 2262"
    if record.end_ns is None or not 0 < record.end_ns <= MAX_INT:
        return "the end time is missing or beyond 2262"
    return ""


def _tidy(record: SpanRecord, refused: Refused) -> None:
    """Bring a span within the console's limits, and say in its own words why it failed."""
    record.name = otlp_values.text(record.name)[:NAME] or "unnamed"
    record.scope = record.scope[:NAME]
    record.end_ns = max(record.start_ns, record.end_ns or 0)  # a clock that was set back
    if record.parent_span_id in NO_SPAN:
        record.parent_span_id = ""
    if not 0 <= record.otel_kind <= 5:
        record.otel_kind = 0
    record.attributes = _within(record.attributes, MAX_ATTRIBUTES, refused)
    if type(ttl_s := record.attributes.get(TTL)) is int and 0 < ttl_s <= TEN_YEARS_S:
        record.ttl_s = ttl_s
    record.events = _some(record.events, "events", refused)
    record.links = [link for link in _some(record.links, "links", refused) if _is_link(link)]
    for event in record.events:
        event["time_ns"] = min(max(0, event["time_ns"]), MAX_INT)
    for part in (*record.events, *record.links):
        part["attributes"] = _within(part["attributes"], MAX_ATTRIBUTES, refused)
    if record.status == "error":
        record.message = record.message or _why(record)
        if record.message:
            record.attributes.setdefault("error", record.message)


def _within(attributes: Json, limit: int, refused: Refused) -> Json:
    """Return attributes with proper names, no more than ``limit``."""
    if "" in attributes or max(map(len, attributes), default=0) > NAME:
        attributes = {name[:NAME]: value for name, value in attributes.items() if name}
    if len(attributes) > limit:
        refused.dropped[f"attributes beyond the first {limit}"] += len(attributes) - limit
        attributes = dict(list(attributes.items())[:limit])
    return attributes


def _some(parts: list[Json], what: str, refused: Refused) -> list[Json]:
    if len(parts) > MAX_EVENTS:
        refused.dropped[f"{what} beyond the first {MAX_EVENTS:,} of a span"] += len(parts) - MAX_EVENTS
    return parts[:MAX_EVENTS]


def _is_link(link: Json) -> bool:
    return bool(TRACE_ID.fullmatch(link["trace_id"]) and SPAN_ID.fullmatch(link["span_id"]))


def _why(record: SpanRecord) -> str:
    """Return what a failed span without a message tells elsewhere: the last exception's words, or the error's type."""
    for event in reversed(record.events):
        if event["name"] == "exception":
            told = event["attributes"].get("exception.message") or event["attributes"].get("exception.type")
            if isinstance(told, str) and told:
                return told
    told = record.attributes.get("error.type")
    return told if isinstance(told, str) else ""


def _fault_of_point(point: DataPoint) -> str:
    if not point.metric.strip():
        return "the metric has no name"
    if not 0 < point.time_ns <= MAX_INT:
        return "the time is missing or beyond 2262"
    if point.style is Style.UNKNOWN:
        return "the aggregation temporality is not told"
    if not point.values:
        return "there is no value"
    if not all(map(math.isfinite, point.values.values())):
        return "the value is not a finite number"
    return ""


def _samples(point: DataPoint, source: str, refused: Refused) -> list[Sample]:
    told = _within(point.attributes, MAX_LABELS, refused)
    labels = {name: otlp_values.label(value)[:NAME] for name, value in told.items() if value is not None}
    service = point.resource.get("service.name")
    if isinstance(service, str) and service:
        labels.setdefault("service", service[:NAME])
    # Whose running total it is: each process counts for itself from when it began.
    since = min(max(0, point.since_ns), MAX_INT)
    counter = f"{source}:{since}" if point.style is Style.TOTAL else ""
    metric = otlp_values.text(point.metric)
    return [
        Sample(
            metric=metric[: NAME - len(suffix)] + suffix,
            labels=labels,
            unit="" if suffix == "_count" else otlp_values.text(point.unit),
            time_ns=point.time_ns,
            value=value,
            counter=counter,
        )
        for suffix, value in point.values.items()
    ]
