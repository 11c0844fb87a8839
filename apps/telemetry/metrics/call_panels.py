"""Panels of what single spans tell: first tokens, speed, shields, and the calls of tools.

Spans are found by an attribute that only such spans have, whoever sent them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Sum, Value, When, Window
from django.db.models.functions import RowNumber

from apps.telemetry.metrics.measures import FIRST_TOKEN
from apps.telemetry.metrics.panels import Buckets, Panel, line
from apps.telemetry.metrics.turn_panels import bucket_of, percentiles, sample
from apps.telemetry.models import AttributeKey, Kind, Span, SpanAttribute, Status
from apps.telemetry.records import TOKENS
from apps.telemetry.traces.listing import Asked
from apps.telemetry.windows import SECOND_NS

TOOL, FOREIGN_TOOL, VIOLATION = "tool_name", "gen_ai.tool.name", "violation_level"
TOOLS_SHOWN = 30
Keys = Mapping[str, int]


def keys() -> Keys:
    """Return the primary keys of the attributes these panels look for, those that any span has."""
    names = [FIRST_TOKEN, TOOL, FOREIGN_TOOL, VIOLATION, *TOKENS["output"]]
    return dict(AttributeKey.objects.filter(name__in=names).values_list("name", "pk"))


def speed(asked: Asked, buckets: Buckets, times: Sequence[int], keys: Keys) -> tuple[Panel, int]:
    """Return the panel of tokens per second, and how many calls of models it looked at."""
    told = _attributes(asked, [keys[name] for name in TOKENS["output"] if name in keys])
    # Some programs tell the tokens under two names; a span counts once.
    spans = Span.objects.filter(pk__in=told.values("span"), kind=Kind.INFERENCE, end_ns__gt=F("start_ns")).order_by()
    rows = spans.values(bucket=bucket_of("start_ns", buckets)).annotate(
        tokens=Sum("output_tokens"), took=Sum(F("end_ns") - F("start_ns")), calls=Count("pk")
    )
    found = [row for row in rows if row["tokens"]]
    values = {row["bucket"]: row["tokens"] * SECOND_NS / int(row["took"]) for row in found}
    took = sum(int(row["took"]) for row in found)
    total = sum(row["tokens"] for row in found) * SECOND_NS / took if took else None
    panel = Panel(
        "speed", "Output speed", "tokens/s", [line("Speed", times, values, "c3")], total, "while a model answers"
    )
    return panel, sum(row["calls"] for row in found)


def first_token(asked: Asked, buckets: Buckets, times: Sequence[int], keys: Keys, calls: int) -> Panel:
    """Return the panel of the time to the first token; ``calls`` is about how many there are."""
    told = _attributes(asked, [keys[FIRST_TOKEN]] if FIRST_TOKEN in keys else []).filter(number__isnull=False)
    told, note = sample(told, calls)
    rows = told.values_list(bucket_of("start_ns", buckets), "number")
    lines, total = percentiles(rows.iterator(10_000), times)
    return Panel("first", "Time to first token", "s", lines, total, "p95", note)


def shields(asked: Asked, buckets: Buckets, times: Sequence[int], keys: Keys) -> Panel:
    """Return the panel of what shields blocked; where none looked there is no data."""
    level = SpanAttribute.objects.filter(key=keys.get(VIOLATION), trace=OuterRef("trace"), span=OuterRef("pk"))
    blocks = Case(When(Exists(level.filter(text="error")), then=Value(1)), default=Value(0))
    looks = _within(asked, Span.objects.filter(name="run_shields").order_by())
    rows = looks.values(bucket=bucket_of("start_ns", buckets)).annotate(looks=Count("pk"), blocked=Sum(blocks))
    values = {row["bucket"]: (row["looks"], row["blocked"]) for row in rows}
    looked = sum(looks for looks, _ in values.values())
    lines = [line("Blocked", times, {time: blocked for time, (_, blocked) in values.items()}, "c5")]
    total = sum(blocked for _, blocked in values.values()) if looked else None
    return Panel("blocks", "Shield blocks", "", lines, total, f"of {looked:,} looks" if looked else "", shape="bars")


@dataclass(frozen=True, slots=True)
class Tool:
    """What the calls of one tool came to; ``key`` is the attribute that names it."""

    name: str
    key: str
    calls: int
    failed: int
    p95_s: float

    @property
    def error_rate(self) -> float:
        """The share of calls that failed."""
        return self.failed / self.calls


def tools(asked: Asked, keys: Keys) -> list[Tool]:
    """Return the tools that were called, the busiest first, at most ``TOOLS_SHOWN``. Calls that run are left out.

    One query: of the calls of each tool, ranked by time, the one at the 95th percentile is read.
    """
    names = [keys[name] for name in (TOOL, FOREIGN_TOOL) if name in keys]
    told = _attributes(asked, names).filter(span__kind__in=(Kind.TOOL, Kind.RETRIEVAL), span__end_ns__isnull=False)
    if len(names) == 2:
        ours = SpanAttribute.objects.filter(key=keys[TOOL], trace=OuterRef("trace"), span=OuterRef("span"))
        told = told.exclude(Q(key=keys[FOREIGN_TOOL]) & Exists(ours))
    took = F("span__end_ns") - F("span__start_ns")
    failed = Case(When(span__status=Status.ERROR, then=Value(1)), default=Value(0))
    rows = told.annotate(
        took=took,
        place=Window(RowNumber(), partition_by=F("text"), order_by=took.asc()) * 100,
        calls=Window(Count("pk"), partition_by=F("text")),
        failed=Window(Sum(failed), partition_by=F("text")),
    ).filter(place__gte=F("calls") * 95, place__lt=F("calls") * 95 + 100)
    columns = rows.values_list("text", "key__name", "calls", "failed", "took")
    found = [Tool(*row[:4], max(0, row[4]) / SECOND_NS) for row in columns]
    return sorted(found, key=lambda tool: (-tool.calls, tool.name))[:TOOLS_SHOWN]


def _attributes(asked: Asked, keys: Sequence[int]) -> "QuerySet[SpanAttribute]":
    """Return the attributes of these names on spans that began in the window, in traces that fit."""
    rows: QuerySet[SpanAttribute] = _within(asked, SpanAttribute.objects.filter(key__in=keys).order_by())
    return rows


def _within(asked: Asked, rows: Any) -> Any:
    window = asked.window
    rows = rows.filter(start_ns__gte=window.start_ns)
    if window.end_ns is not None:
        rows = rows.filter(start_ns__lt=window.end_ns)
    return rows.filter(trace__in=asked.traces().values("pk")) if asked.filter.terms else rows
