"""Traces, spans and metrics in the admin site, to look closely: never counted, never sorted, as fast at a million rows
as at ten. They are searched and compared in the console; they go by retention.
"""

import json
import re
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.in_console import in_console
from apps.core.uncounted import Uncounted
from apps.telemetry.models import MetricPoint, MetricSeries, Resource, Span, Trace
from apps.telemetry.windows import SECOND_NS, time_of

HEX = re.compile(r"[0-9a-f]+")


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that are only looked at, the newest first."""

    list_per_page = 50
    paginator = Uncounted
    show_full_result_count = False
    sortable_by: ClassVar[Any] = ()
    ordering: ClassVar = ["-pk"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Telemetry is written by what happens."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What happened does not change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Traces are deleted in the console, with all that is theirs."""
        return False


def _moment(ns: int | None) -> str:
    return "" if ns is None else f"{time_of(ns):%Y-%m-%d %H:%M:%S.%f}"[:-3]


def _pretty(value: Any) -> SafeString:
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True))


@admin.register(Trace)
class TraceAdmin(ReadOnly):
    """Traces, found by their whole id."""

    list_display = ["__str__", "kind", "status", "started", "span_count", "error_count", "service", in_console]
    list_filter = ["kind", "status"]
    ordering: ClassVar = ["-start_ns"]
    search_fields = ["trace_id"]
    search_help_text = "The whole id of a trace."
    readonly_fields = ["started", "ended", "spans"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Trace], search_term: str
    ) -> tuple[QuerySet[Trace], bool]:
        """Return the trace of this id, by its index: Django's own search compares without regard to case."""
        term = search_term.strip().lower()
        return (queryset.filter(trace_id=term) if term else queryset), False

    @admin.display(description="spans")
    def spans(self, trace: Trace) -> SafeString:
        """Return a link to its spans in the admin."""
        place = reverse("admin:telemetry_span_changelist")
        return format_html('<a href="{}?q={}">All spans</a>', place, trace.trace_id)

    @admin.display(description="started (UTC)")
    def started(self, trace: Trace) -> str:
        """Return when its first span began."""
        return _moment(trace.start_ns)

    @admin.display(description="ended (UTC)")
    def ended(self, trace: Trace) -> str:
        """Return when it ended; nothing while it runs."""
        return _moment(trace.end_ns)


@admin.register(Span)
class SpanAdmin(ReadOnly):
    """Spans in the order they came, found by the whole id of a span or of a trace."""

    list_display = ["name", "kind", "status", "started", "span_id", in_console]
    list_select_related = ["trace"]
    search_fields = ["span_id"]
    search_help_text = "The whole id of a span or of a trace."
    exclude = ["attributes", "events", "links"]
    readonly_fields = ["started", "ended", "attributes_shown", "events_shown", "links_shown"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Span]:
        """Leave out what is long until it is looked at."""
        return super().get_queryset(request).defer("attributes", "events", "links", "message")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Span], search_term: str
    ) -> tuple[QuerySet[Span], bool]:
        """Return the spans of a trace, or those of a span id; each by an index, and nothing for other words."""
        term = search_term.strip().lower()
        if not term:
            return queryset, False
        if not HEX.fullmatch(term):
            return queryset.none(), False
        if len(term) == 32:
            return queryset.filter(trace__in=list(Trace.objects.filter(trace_id=term).values_list("pk"))), False
        return queryset.filter(span_id=term), False

    @admin.display(description="started (UTC)")
    def started(self, span: Span) -> str:
        """Return when it began."""
        return _moment(span.start_ns)

    @admin.display(description="ended (UTC)")
    def ended(self, span: Span) -> str:
        """Return when it ended; nothing while it runs."""
        return _moment(span.end_ns)

    @admin.display(description="attributes")
    def attributes_shown(self, span: Span) -> SafeString:
        """Return its attributes as JSON."""
        return _pretty(span.attributes)

    @admin.display(description="events")
    def events_shown(self, span: Span) -> SafeString:
        """Return its events as JSON."""
        return _pretty(span.events)

    @admin.display(description="links")
    def links_shown(self, span: Span) -> SafeString:
        """Return its links as JSON."""
        return _pretty(span.links)


@admin.register(Resource)
class ResourceAdmin(ReadOnly):
    """Where spans come from."""

    list_display = ["__str__", "digest"]
    search_fields = ["=service"]


@admin.register(MetricSeries)
class MetricSeriesAdmin(ReadOnly):
    """Metrics with their labels."""

    list_display = ["metric", "unit", "words", in_console]
    search_fields = ["=metric"]
    search_help_text = "The whole name of a metric."

    @admin.display(description="labels")
    def words(self, series: MetricSeries) -> str:
        """Return the labels as one reads them."""
        return ", ".join(f"{name}={value}" for name, value in series.labels)


@admin.register(MetricPoint)
class MetricPointAdmin(ReadOnly):
    """Points in the order they came."""

    list_display = ["series", "value", "at"]
    list_select_related = ["series"]

    @admin.display(description="at (UTC)")
    def at(self, point: MetricPoint) -> str:
        """Return when it was measured."""
        return _moment(point.time_s * SECOND_NS)
