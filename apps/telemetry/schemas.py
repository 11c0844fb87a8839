"""Traces, spans, conditions and metrics, as the specification names them.

Bounds that the specification does not have keep a hostile request cheap; each is far above what a person asks for.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from apps.core.spec import SpecModel
from apps.telemetry.models import NAME

MAX_CONDITIONS = 50
MAX_KEYS = 500
MAX_TRACES = 1_000
BIGGEST = 2**62  # beyond it no database can count

QueryConditionOp = Literal["eq", "ne", "gt", "lt"]
SpanStatus = Literal["ok", "error"]
MetricQueryType = Literal["range", "instant"]
MetricLabelOperator = Literal["=", "!=", "=~", "!~"]
Depth = Annotated[int, Field(ge=0, le=BIGGEST)]
Key = Annotated[str, Field(max_length=NAME)]
Keys = Annotated[list[Key], Field(max_length=MAX_KEYS)]
UnixTime = Annotated[int, Field(ge=-BIGGEST, le=BIGGEST)]


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class QueryCondition(SpecModel):
    """What one attribute of a span must be. ``key`` is the attribute's name, taken literally.

    ``name``, ``span_id``, ``trace_id`` and ``status`` ask for those of a span that has no such attribute. A text is
    compared with texts, a number with numbers and with texts that read as numbers, a boolean with booleans. Null
    equals an attribute that is missing or null, and differs from one that is there.
    """

    key: Key
    op: QueryConditionOp
    value: Any

    @model_validator(mode="before")
    @classmethod
    def read_strictly(cls, data: Any) -> Any:
        """Read as every schema does, but keep a null value: here it means something."""
        read = super().read_strictly(data)  # type: ignore[operator]
        if isinstance(data, dict) and "value" in data:
            return {**read, "value": data["value"]}
        return read


Conditions = Annotated[list[QueryCondition], Field(max_length=MAX_CONDITIONS)]


class QueryTracesRequest(SpecModel):
    """Which traces to list: those with one span that meets every condition. At most 1,000, 100 unless told."""

    attribute_filters: Conditions | None = None
    limit: int | None = Field(default=None, ge=0, le=MAX_TRACES)
    offset: int | None = Field(default=None, ge=0, le=BIGGEST)
    order_by: list[str] | None = Field(default=None, max_length=8)


class Trace(SpecModel):
    """One request or run; ``end_time`` is left out while it is going on."""

    trace_id: str
    root_span_id: str
    start_time: datetime
    end_time: datetime | None = None


class QueryTracesResponse(SpecModel):
    """The traces found, in the order asked for."""

    data: list[Trace]


class Span(SpecModel):
    """One operation of a trace; ``end_time`` is left out while it is going on."""

    span_id: str
    trace_id: str
    parent_span_id: str | None = None
    name: str
    start_time: datetime
    end_time: datetime | None = None
    attributes: dict[str, Any] | None = None


class SpanWithStatus(Span):
    """A span and how it ended; ``status`` is left out while it is going on."""

    status: SpanStatus | None = None


class QuerySpansRequest(SpecModel):
    """Which spans to list: those of matching traces that have every attribute asked for; ``[]`` asks for all."""

    attribute_filters: Conditions
    attributes_to_return: Keys
    max_depth: Depth | None = None


class QuerySpansResponse(SpecModel):
    """The spans found, by the start of their trace, then depth, then start."""

    data: list[Span]


class GetSpanTreeRequest(SpecModel):
    """How much of a tree to return: everything, unless keys or a depth are named."""

    attributes_to_return: Keys | None = None
    max_depth: Depth | None = None


class QuerySpanTreeResponse(SpecModel):
    """A span and what is below it, by span id, in order of depth, then start."""

    data: dict[str, SpanWithStatus]


class SaveSpansToDatasetRequest(SpecModel):
    """Which spans become rows of a dataset, and which of their attributes become columns."""

    attribute_filters: Conditions
    attributes_to_save: Keys
    dataset_id: str
    max_depth: Depth | None = None


class MetricLabelMatcher(SpecModel):
    """What a label of a series must be; regular expressions must match the whole value."""

    # Published as required; left out, it is read as its published default.
    model_config = ConfigDict(json_schema_extra={"required": ["name", "value", "operator"]})

    name: str = Field(max_length=NAME)
    value: str = Field(max_length=1_000)
    operator: MetricLabelOperator = "="


class QueryMetricsRequest(SpecModel):
    """Which points of a metric: from ``start_time`` to ``end_time`` (now), in Unix seconds, both included.

    ``granularity`` is a number and one of s, m, h, d, w; without it a range tells every point.
    """

    # Published as required; left out, it is read as "range".
    model_config = ConfigDict(json_schema_extra={"required": ["start_time", "query_type"]})

    start_time: UnixTime
    end_time: UnixTime | None = None
    granularity: str | None = Field(default=None, max_length=20)
    query_type: MetricQueryType = Field(default="range", json_schema_extra=_without_default)
    label_matchers: list[MetricLabelMatcher] | None = Field(default=None, max_length=MAX_CONDITIONS)


class MetricDataPoint(SpecModel):
    """A value at a time, in Unix seconds."""

    timestamp: int
    value: float
    unit: str


class MetricLabel(SpecModel):
    """A name and a value that tell a series from its neighbours."""

    name: str
    value: str


class MetricSeries(SpecModel):
    """The points of one metric with one set of labels."""

    metric: str
    labels: list[MetricLabel]
    values: list[MetricDataPoint]


class QueryMetricsResponse(SpecModel):
    """One series for each set of labels."""

    data: list[MetricSeries]
