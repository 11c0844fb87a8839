"""The trace page: its head, the columns its grid draws, the pane of a span, and the search through bodies."""

import json
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET
from pydantic_core import to_json

from apps.accounts.pages import may, requires
from apps.agents.models import Status as TurnStatus
from apps.agents.steps import COMPLETED, STOPPED, WAITING, State
from apps.agents.steps import FAILED as TURN_FAILED
from apps.core import live as topics
from apps.core.numbers import whole
from apps.telemetry.models import Kind, Span, SpanAttribute, Status, Trace
from apps.telemetry.records import MAX_INT
from apps.telemetry.traces import outline, span_bodies, span_view, structure
from apps.telemetry.traces.lineage import lineage_of, traces_of_turn
from apps.telemetry.traces.naming import Naming, names_of
from apps.telemetry.traces.span_view import RUNNING, UNFINISHED, SpanView
from apps.telemetry.windows import time_of

TABS = {"io": "Input / Output", "attributes": "Attributes", "events": "Events", "raw": "Raw"}
SHOWN_KINDS = [(kind.value, span_view.ICONS[kind], kind.label) for kind in Kind if kind is not Kind.TURN]
# How the turn of a trace stands that has ended and has not failed.
ENDED: dict[str, State] = {TurnStatus.WAITING: WAITING, TurnStatus.CANCELLED: STOPPED}
DEPTHS = (1, 2, 3, 4)
FOUND = 2_000  # spans one search names
WORDS = 200  # characters one search has


@require_GET
@requires("viewer")
def trace_detail(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Show one trace: the grid of its spans, and the span ``?span=`` beside it."""
    trace = Trace.objects.filter(trace_id=trace_id.lower()).first()
    if trace is None:
        return render(request, "telemetry/trace_gone.html", {"days": settings.TELEMETRY_DAYS}, status=404)
    number = async_to_sync(topics.head)(trace.topic)
    context = _head(trace) | {"live_number": number, "kinds": SHOWN_KINDS, "depths": DEPTHS}
    context |= {"outline": outline.outline_of(trace, whole(request.GET.get("page")) or 1)}
    span = _chosen(trace, request.GET.get("span", ""))
    if span is not None:
        context |= _pane(request, trace, span)
    return render(request, "telemetry/trace_detail.html", context)


@require_GET
@requires("viewer")
def trace_head(request: HttpRequest, trace_id: str) -> HttpResponse:
    """The head alone: fetched anew while the trace grows."""
    trace = trace_or_404(trace_id)
    number = async_to_sync(topics.head)(trace.topic)
    return render(request, "telemetry/_trace_head.html", _head(trace) | {"live_number": number})


@gzip_page
@require_GET
@requires("viewer")
def trace_structure(request: HttpRequest, trace_id: str) -> HttpResponse:
    """The spans as columns, without bodies (see ``structure``); none of a trace that is not stored yet, or no more."""
    trace = Trace.objects.filter(trace_id=trace_id).first()
    return _json(structure.of_trace(trace, whole(request.GET.get("after")) or 0) if trace else structure.of_nothing())


@require_GET
@requires("viewer")
def trace_find(request: HttpRequest, trace_id: str) -> HttpResponse:
    """The arrival numbers of spans whose name, attributes, events or error hold the words of ``?q=``."""
    trace, words = trace_or_404(trace_id), request.GET.get("q", "").replace("\0", "").strip()[:WORDS]
    held = Q(name__icontains=words) | Q(message__icontains=words)
    for written in _as_json(words):
        held |= Q(attributes__icontains=written) | Q(events__icontains=written)
    found = trace.spans.filter(held).order_by("id").values_list("id", flat=True)[:FOUND] if words else []
    return _json({"spans": list(found)})


def _as_json(words: str) -> set[str]:
    """Return words as they stand in JSON text, and in JSON text that is a value of JSON, with and without escapes."""
    once = {words, json.dumps(words)[1:-1], json.dumps(words, ensure_ascii=False)[1:-1]}
    return once | {json.dumps(one, ensure_ascii=False)[1:-1] for one in once}


@require_GET
@requires("viewer")
def step_span(request: HttpRequest, step_id: str) -> HttpResponse:
    """The trace and the arrival number of the span that recorded a step of a turn; nothing while none did."""
    found = SpanAttribute.objects.filter(key__name="step_id", text=step_id[:250]).order_by("start_ns")
    row = found.select_related("trace").only("span_id", "trace__trace_id").first()
    return _json({} if row is None else {"trace": row.trace.trace_id, "number": row.span_id})


@require_GET
@requires("viewer")
def turn_traces(request: HttpRequest, turn_id: str) -> HttpResponse:
    """Links to the traces of a turn, for the chat beside it; nothing where there is one alone."""
    return render(request, "telemetry/_turn_traces.html", {"traces": traces_of_turn(turn_id)})


@require_GET
@requires("viewer")
def span_detail(request: HttpRequest, trace_id: str, number: int) -> HttpResponse:
    """The pane of one span."""
    trace = trace_or_404(trace_id)
    span = trace.spans.select_related("resource").filter(pk=min(number, MAX_INT)).first()
    if span is None:
        raise Http404("This span is not in the trace")
    return render(request, "telemetry/_span.html", {"trace": trace} | _pane(request, trace, span))


def trace_or_404(trace_id: str) -> Trace:
    """Return the trace; raises Http404."""
    trace = Trace.objects.filter(trace_id=trace_id.lower()).first()
    if trace is None:
        raise Http404("There is no such trace, or it is older than traces are kept")
    return trace


def _head(trace: Trace) -> dict[str, Any]:
    naming = names_of([trace])[trace.trace_id]
    is_live = structure.is_live(trace, naming)
    return {
        "trace": trace,
        "naming": naming,
        "is_live": is_live,
        "lineage": lineage_of(trace),
        "states": states(trace, naming, is_live=is_live),
        "took": span_view.length(trace.duration_ns),
        "since": time_of(trace.start_ns),
        "first_token": _first_token(trace),
    }


def states(trace: Trace, naming: Naming, *, is_live: bool) -> list[State]:
    """Return how a trace stands, as the pills beside its name; errors that did not fail it were recovered from."""
    if trace.end_ns is None:
        found = [RUNNING if is_live else UNFINISHED]
    else:
        ended = ENDED.get(naming.turn_state, COMPLETED) if naming.is_newest else COMPLETED
        found = [TURN_FAILED if trace.status == Status.ERROR else ended]
    if trace.error_count:
        words = f"{trace.error_count:,} error{'s' * (trace.error_count != 1)}"
        found.append(State("err", "circle-x", words + (", recovered" if found[0] is COMPLETED else "")))
    return found


def _first_token(trace: Trace) -> str:
    """Return when the first token came, counted from the beginning of the trace; empty when none told."""
    first = trace.spans.filter(kind=Kind.INFERENCE).order_by("start_ns").values_list("start_ns", "attributes").first()
    told = first[1].get("time_to_first_token_s") if first else None
    if not first or not isinstance(told, int | float) or isinstance(told, bool):
        return ""
    return span_view.length(first[0] - trace.start_ns + int(told * 1e9))


def _chosen(trace: Trace, span_id: str) -> Span | None:
    """Return the span of this id, else the root, else the first."""
    spans = trace.spans.select_related("resource")
    named = [one for one in (span_id.lower()[:16], trace.root_span_id) if one]
    found = {span.span_id: span for span in spans.filter(span_id__in=named)}
    return next((found[one] for one in named if one in found), None) or spans.order_by("start_ns", "id").first()


def _pane(request: HttpRequest, trace: Trace, span: Span) -> dict[str, Any]:
    tab = request.GET.get("tab", "io")
    naming = names_of([trace])[trace.trace_id]
    view = SpanView(
        span,
        trace,
        naming,
        parent=trace.spans.filter(span_id=span.parent_span_id).first() if span.parent_span_id else None,
        children=list(trace.spans.filter(parent_span_id=span.span_id).values_list("start_ns", "end_ns")),
        is_live=span.end_ns is None and structure.is_live(trace, naming),
        answer=_answer(trace, span),
        limit=span_bodies.ALL if request.GET.get("all") else span_bodies.PART,
    )
    return {
        "view": view,
        "span": span,
        "tab": tab if tab in TABS else "io",
        "tabs": TABS,
        "is_raw": request.GET.get("as") == "raw",
        "in_chat": request.GET.get("in") == "chat",
        "can_operate": may(request, "operator"),
    }


def _answer(trace: Trace, span: Span) -> Span | None:
    """Return the inference that wrote the answer of a turn; None for other spans and while it is open."""
    if span.kind != Kind.TURN or span.end_ns is None or "output" in span.attributes:
        return None
    return trace.spans.filter(kind=Kind.INFERENCE, end_ns__isnull=False).order_by("-start_ns").first()


def _json(value: Any) -> HttpResponse:
    response = HttpResponse(to_json(value), content_type="application/json", headers={"Cache-Control": "no-store"})
    return response
