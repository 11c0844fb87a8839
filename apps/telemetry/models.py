"""Traces, their spans, the values spans are found by, and the points of metrics.

Times are whole nanoseconds since 1970, as OpenTelemetry sends them. A span keeps its attributes as they came, as JSON;
what filters ask for stands beside them: the hot ones in columns of the span, the others in ``SpanAttribute``. A trace
row sums up its spans and is kept in step with them by ``store``, the only module that writes spans.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.core.fields import JSONTextField

NAME = 255  # characters that are kept of any name
TEXT = 250  # characters of a value that an index holds; longer ones end in their hash (records.indexed)


class Kind(models.TextChoices):
    """What a span did, as the console shows it; the values are the names of the design's colours."""

    TURN = "turn", "Turn"
    INFERENCE = "inf", "Inference"
    TOOL = "tool", "Tool"
    SHIELD = "shield", "Shield"
    RETRIEVAL = "rag", "Retrieval"
    EVALUATION = "eval", "Evaluation"
    OTHER = "io", "Other"


class Status(models.TextChoices):
    """How a span ended; a span that runs has none."""

    OK = "ok", "OK"
    ERROR = "error", "Error"
    OPEN = "", "Running"


class Resource(models.Model):
    """Where spans come from: a service with its version, host and process, told once for all of its spans."""

    digest = models.CharField(max_length=64, unique=True)
    service = models.CharField(max_length=NAME, blank=True)
    attributes = JSONTextField(default=dict)
    seen_s = models.BigIntegerField(default=0, help_text="Unix time at which it was last looked up, to some hours.")

    def __str__(self) -> str:
        return self.service or "unnamed service"


class Trace(models.Model):
    """One request or run, summed up over its spans. ``end_ns`` is null while its root, or the first span, is open.

    ``root_span_id`` is empty while no root is known: none came yet, or it belongs to a program that sends none.
    """

    id = models.BigAutoField(primary_key=True)
    trace_id = models.CharField(max_length=32, unique=True)
    root_span_id = models.CharField(max_length=16, blank=True)
    name = models.CharField(max_length=NAME, blank=True)
    kind = models.CharField(max_length=6, choices=Kind.choices, default=Kind.OTHER)
    status = models.CharField(max_length=5, choices=Status.choices, blank=True)
    start_ns = models.BigIntegerField()
    end_ns = models.BigIntegerField(null=True)
    span_count = models.IntegerField(default=0)
    error_count = models.IntegerField(default=0)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    service = models.CharField(max_length=NAME, blank=True)
    model = models.CharField(max_length=NAME, blank=True)
    agent_id = models.CharField(max_length=NAME, blank=True)
    agent_name = models.CharField(max_length=NAME, blank=True)
    session_id = models.CharField(max_length=NAME, blank=True)
    turn_id = models.CharField(max_length=NAME, blank=True)
    input = models.CharField(max_length=200, blank=True, help_text="The beginning of what was asked.")
    output = models.CharField(max_length=200, blank=True, help_text="The beginning of what was answered.")
    expires_s = models.BigIntegerField(help_text="Unix time after which the trace is purged.")

    class Meta:
        ordering: ClassVar = ["-start_ns", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["start_ns"], name="trace_start"),
            models.Index(fields=["start_ns"], name="trace_rooted", condition=~Q(root_span_id="")),
            models.Index(fields=["kind", "start_ns"], name="trace_kind"),
            models.Index(fields=["start_ns"], name="trace_failed", condition=Q(status="error")),
            models.Index(fields=["agent_id", "start_ns"], name="trace_agent", condition=~Q(agent_id="")),
            models.Index(fields=["session_id", "start_ns"], name="trace_session", condition=~Q(session_id="")),
            models.Index(fields=["turn_id", "start_ns"], name="trace_turn", condition=~Q(turn_id="")),
            models.Index(fields=["expires_s"], name="trace_expires"),
        ]

    def __str__(self) -> str:
        return self.name or self.trace_id

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("telemetry:trace-detail", args=[self.trace_id])

    @property
    def topic(self) -> str:
        """The live topic on which new and changed spans are announced."""
        return f"trace:{self.trace_id}"

    @property
    def duration_ns(self) -> int | None:
        """How long it took; None while it runs."""
        return None if self.end_ns is None else max(0, self.end_ns - self.start_ns)

    @property
    def tokens(self) -> int | None:
        """Tokens in and out; None when no span told any."""
        known = [count for count in (self.input_tokens, self.output_tokens) if count is not None]
        return sum(known) if known else None


class Span(models.Model):
    """One operation of a trace. Its primary key is its arrival number: stable, and rising with each span."""

    id = models.BigAutoField(primary_key=True)
    trace = models.ForeignKey(
        Trace, on_delete=models.CASCADE, related_name="spans", db_index=False, db_constraint=False
    )
    span_id = models.CharField(max_length=16)
    parent_span_id = models.CharField(max_length=16, blank=True)
    name = models.CharField(max_length=NAME)
    kind = models.CharField(max_length=6, choices=Kind.choices, default=Kind.OTHER)
    status = models.CharField(max_length=5, choices=Status.choices, blank=True)
    start_ns = models.BigIntegerField()
    end_ns = models.BigIntegerField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    agent_id = models.CharField(max_length=NAME, blank=True)
    agent_name = models.CharField(max_length=NAME, blank=True)
    session_id = models.CharField(max_length=NAME, blank=True)
    turn_id = models.CharField(max_length=NAME, blank=True)
    otel_kind = models.SmallIntegerField(default=0, help_text="OpenTelemetry's SpanKind as OTLP numbers it.")
    scope = models.CharField(max_length=NAME, blank=True, help_text="The instrumentation that made the span.")
    resource = models.ForeignKey(Resource, null=True, on_delete=models.SET_NULL, db_index=False, db_constraint=False)
    message = models.TextField(blank=True, help_text="Why it failed.")
    attributes = JSONTextField(default=dict)
    events = JSONTextField(null=True, help_text="A list of {name, time_ns, attributes}.")
    links = JSONTextField(null=True, help_text="A list of {trace_id, span_id, attributes}.")

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["trace", "span_id"], name="one_span_of_an_id")]
        indexes: ClassVar = [
            models.Index(fields=["span_id"], name="span_by_id"),
            models.Index(fields=["name", "start_ns"], name="span_name"),
            models.Index(fields=["start_ns"], name="span_failed", condition=Q(status="error")),
            models.Index(fields=["start_ns"], name="span_unfinished", condition=Q(end_ns=None, resource__isnull=False)),
            models.Index(fields=["agent_id", "start_ns"], name="span_agent", condition=~Q(agent_id="")),
            models.Index(fields=["agent_name", "start_ns"], name="span_agent_name", condition=~Q(agent_name="")),
            models.Index(fields=["session_id", "start_ns"], name="span_session", condition=~Q(session_id="")),
            models.Index(fields=["turn_id", "start_ns"], name="span_turn", condition=~Q(turn_id="")),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return where it stands on its trace's page."""
        return f"{self.trace.get_absolute_url()}?span={self.span_id}"


class AttributeKey(models.Model):
    """The name of an attribute, told once."""

    name = models.CharField(max_length=NAME, unique=True)
    seen_s = models.BigIntegerField(default=0, help_text="Unix time at which it was last looked up, to some hours.")

    def __str__(self) -> str:
        return self.name


class SpanAttribute(models.Model):
    """A value a span is found by. ``kind`` is s (text), n (number), b (boolean) or j (list or object, as JSON).

    ``number`` is set for numbers, booleans and texts that read as numbers. ``start_ns`` is the span's: with a value
    it finds the span, and the newest come first. Nulls and the hot columns of ``Span`` are not kept here.
    """

    id = models.BigAutoField(primary_key=True)
    key = models.ForeignKey(AttributeKey, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    kind = models.CharField(max_length=1)
    text = models.CharField(max_length=TEXT)
    number = models.FloatField(null=True)
    start_ns = models.BigIntegerField()
    trace = models.ForeignKey(Trace, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    span = models.ForeignKey(Span, on_delete=models.CASCADE, db_index=False, db_constraint=False)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["key", "text", "start_ns"], name="attribute_text"),
            models.Index(
                fields=["key", "number", "start_ns"], name="attribute_number", condition=Q(number__isnull=False)
            ),
            models.Index(fields=["trace", "span", "key"], name="attribute_of_span"),
        ]

    def __str__(self) -> str:
        return self.text


class MetricSeries(models.Model):
    """One metric with one set of labels and a unit. ``labels`` is a list of [name, value], sorted by name."""

    metric = models.CharField(max_length=NAME)
    unit = models.CharField(max_length=63, blank=True)
    labels = JSONTextField(default=list)
    digest = models.CharField(max_length=64, help_text="Of the labels: what makes them unique.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["metric", "unit", "digest"], name="one_series_of_labels"),
        ]

    def __str__(self) -> str:
        return self.metric

    def get_absolute_url(self) -> str:
        """Return the address of its metric's page, or of the list of metrics if it has no name."""
        return (
            reverse("telemetry:metric-detail", args=[self.metric]) if self.metric else reverse("telemetry:metric-list")
        )


class MetricPoint(models.Model):
    """A value at a time."""

    id = models.BigAutoField(primary_key=True)
    series = models.ForeignKey(
        MetricSeries, on_delete=models.CASCADE, related_name="points", db_index=False, db_constraint=False
    )
    time_s = models.BigIntegerField(help_text="Unix time in whole seconds.")
    value = models.FloatField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["series", "time_s", "value"], name="point_series_time")]

    def __str__(self) -> str:
        return f"{self.value} at {self.time_s}"


class RunningTotal(models.Model):
    """Where a counter that is sent as a running total stood last, for each process that counts (``totals``)."""

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=64, unique=True)
    total = models.FloatField()
    time_ns = models.BigIntegerField(help_text="When it stood there.")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["time_ns"], name="running_total_time")]

    def __str__(self) -> str:
        return str(self.total)
