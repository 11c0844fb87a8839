"""Pages of metrics: the ready dashboard, one metric under the glass, and both as CSV."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import conditional_page, require_GET

from apps.accounts.pages import requires
from apps.core.csv_lines import csv_lines
from apps.core.errors import BadRequest
from apps.jobs.live import LIST as JOBS
from apps.telemetry import windows
from apps.telemetry.live import LIST as TRACES
from apps.telemetry.metrics import dashboard, explorer, series
from apps.telemetry.metrics.dashboard import Wanted
from apps.telemetry.metrics.explorer import Answer, Question, Row
from apps.telemetry.metrics.panels import Buckets, Panel
from apps.telemetry.models import Kind, MetricSeries, Trace
from apps.telemetry.windows import SECOND_NS

COUNTED = (Kind.TURN, Kind.INFERENCE, Kind.TOOL)
SHOWN_ROWS = 300  # of a table beside a chart; the file has all
STEPS = ("10s", "1m", "5m", "15m", "1h", "6h", "1d", "1w")
Cells = Iterable[Sequence[object]]


@require_GET
@requires("viewer")
def metric_list(request: HttpRequest) -> HttpResponse:
    """Show the ready dashboard; ``?pick=`` leads to a metric, an empty one to the first there is."""
    if "pick" in request.GET:
        return _picked(request)
    wanted = dashboard.wanted(request.GET)
    # Traces of other requests are always there: the page itself was asked for.
    is_empty = not MetricSeries.objects.exists() and not Trace.objects.filter(kind__in=COUNTED).exists()
    context = {"is_empty": True} if is_empty else _dashboard(wanted) | _choices(wanted)
    return render(request, "telemetry/metric_list.html", context | {"topics": f"{TRACES} {JOBS}"})


@require_GET
@requires("viewer")
@conditional_page
def metric_panels(request: HttpRequest) -> HttpResponse:
    """The panels of the dashboard alone, for a page that is on the screen; 304 where nothing changed."""
    return render(request, "telemetry/_dashboard.html", _dashboard(dashboard.wanted(request.GET)))


@require_GET
@requires("viewer")
def metric_panel_file(request: HttpRequest, panel: str) -> HttpResponse:
    """Send a panel as CSV: one row for each bucket that tells something, oldest first."""
    if panel not in dashboard.NAMES:
        raise Http404(f"There is no panel '{panel}'; there are {', '.join(dashboard.NAMES)}")
    built = dashboard.build(dashboard.wanted(request.GET))
    found = built.panels[panel]
    head = ["time", *(f"{line.name} ({found.unit})" if found.unit else line.name for line in found.lines)]
    rows: list[list[object]] = [[_rfc3339(time), *values] for time, values in found.rows(built.buckets.times)]
    return _file(f"metrics-{panel}.csv", [head, *rows[::-1]])


@require_GET
@requires("viewer")
def metric_detail(request: HttpRequest, name: str) -> HttpResponse:
    """Show one metric: its series over time or as one number each."""
    known = series.matching(name, ())
    if not known:
        raise Http404(f"There is no metric '{name}'.")
    question = explorer.asked(name, request.GET)
    context = {
        "metrics": series.metrics(),
        "labels": series.label_values(known),
        "blank_rows": [("", "=", "")],
        "operators": explorer.OPERATORS,
        "kinds": explorer.KINDS,
        "steps": STEPS,
        "ways": series.WAYS,
    }
    part = _explored(question, "points" in request.GET.get("tables", ""))
    return render(request, "telemetry/metric_detail.html", context | part)


@require_GET
@requires("viewer")
@conditional_page
def metric_series(request: HttpRequest, name: str) -> HttpResponse:
    """The chart and the table of a metric alone, for a page that is on the screen; 304 where nothing changed."""
    question = explorer.asked(name, request.GET)
    return render(request, "telemetry/_explorer.html", _explored(question, "points" in request.GET.get("tables", "")))


@require_GET
@requires("viewer")
def metric_file(request: HttpRequest, name: str) -> HttpResponse:
    """Send what is shown of a metric as CSV: a row for each series and bucket, its labels as columns."""
    question = explorer.asked(name, request.GET)
    answer, known = _answered(question)
    if answer.problem:
        return HttpResponse(answer.problem, status=400, content_type="text/plain; charset=utf-8")
    labels = sorted({label for one in known.values() for label in one.labels})
    start, end = explorer.window_s(answer.buckets)
    if question.kind == "range":
        told = series.buckets(known, start, end, answer.buckets.step_s, answer.how)
    else:
        told = series.totals(known, start, end, answer.how)
    rows = (
        [_rfc3339(time), *(known[pk].labels.get(label, "") for label in labels), known[pk].unit, value]
        for pk in known
        for time, value in told.get(pk, ())
    )
    return _file(f"{name}.csv", [["time", *labels, "unit", answer.how], *rows])


def _picked(request: HttpRequest) -> HttpResponse:
    name = request.GET["pick"] or MetricSeries.objects.order_by("metric").values_list("metric", flat=True).first()
    if not name:
        return redirect("telemetry:metric-list")
    query = {key: request.GET[key] for key in ("range", "from", "to") if request.GET.get(key)}
    url = reverse("telemetry:metric-detail", args=(name,))
    return redirect(f"{url}?{urlencode(query)}" if query else url)


def _dashboard(wanted: Wanted) -> dict[str, Any]:
    built = dashboard.build(wanted)
    times = built.buckets.times
    panels = [
        (panel, panel.words(times), _table(wanted, panel, times), wanted.toggled(panel.name))
        for panel in built.panels.values()
    ]
    return {
        "wanted": wanted,
        "built": built,
        "panels": panels,
        "waiting": sum(built.waiting.values()),
        "data": _data(built.buckets, [panel for panel, _, rows, _ in panels if rows is None]),
        "part_url": reverse("telemetry:metric-panels") + wanted.link(),
        "panel_query": wanted.link(tables=""),
    }


def _choices(wanted: Wanted) -> dict[str, Any]:
    models, agents = dashboard.models(wanted.window), dashboard.agents()
    if wanted.model and wanted.model not in models:
        models.append(wanted.model)
    if wanted.agent and wanted.agent not in dict(agents):
        agents.append((wanted.agent, wanted.agent))
    links = [(label, wanted.link(range=name, **{"from": "", "to": ""}), name) for name, label in _presets()]
    return {
        "models": models,
        "agents": agents,
        "presets": links,
        "window": wanted.window,
        "clear": wanted.link(model="", agent=""),
    }


def _presets() -> list[tuple[str, str]]:
    return [*((name, label) for name, (_, label) in windows.PRESETS.items()), ("all", "All time")]


def _table(wanted: Wanted, panel: Panel, times: list[int]) -> list[tuple[datetime, list[float | None]]] | None:
    """Return the rows of a panel that is shown as a table."""
    if panel.name not in wanted.tables:
        return None
    return [(windows.time_of(time * SECOND_NS), values) for time, values in panel.rows(times)][:SHOWN_ROWS]


def _data(buckets: Buckets, panels: list[Panel]) -> dict[str, Any]:
    drawn = {panel.name: panel.drawn() for panel in panels if panel.has_data}
    return {"times": buckets.times, "step": buckets.step_s, "panels": drawn}


def _answered(question: Question) -> tuple[Answer, dict[int, series.Series]]:
    try:
        known = {one.pk: one for one in series.matching(question.metric, question.matchers)}
    except BadRequest as problem:
        nothing = Buckets.of(question.window, question.window.now_ns - 1)
        return Answer(nothing, Panel("points", question.metric, "", []), problem=problem.detail), {}
    return explorer.answer(question, known), known


def _explored(question: Question, as_table: bool) -> dict[str, Any]:
    answer, _ = _answered(question)
    times = answer.buckets.times
    pairs = [*question.window.query.items(), *question.pairs]
    rest = [(name, value) for name, value in question.pairs]
    rows = [(windows.time_of(time * SECOND_NS), values) for time, values in answer.panel.rows(times)][:SHOWN_ROWS]
    tables = [("tables", "points")]
    args = (question.metric,)
    return {
        "question": question,
        "window": question.window,
        "answer": answer,
        "rest": rest,
        "series": [(row, _traces_url(row, question)) for row in answer.rows],
        "rows": rows if as_table else None,
        "words": answer.panel.words(times),
        "data": _data(answer.buckets, [] if as_table else [answer.panel]),
        "presets": [(label, _query([("range", name), *rest]), name) for name, label in _presets()],
        "toggle": _query(pairs if as_table else [*pairs, *tables]),
        "file_url": reverse("telemetry:metric-file", args=args) + _query(pairs),
        "part_url": reverse("telemetry:metric-series", args=args) + _query([*pairs, *(tables if as_table else [])]),
    }


def _traces_url(row: Row, question: Question) -> str:
    query = {"q": row.terms} | question.window.query
    return f"{reverse('telemetry:trace-list')}?{urlencode(query)}" if row.terms else ""


def _query(pairs: list[tuple[str, str]]) -> str:
    return "?" + urlencode(pairs)


def _rfc3339(time: int) -> str:
    return windows.time_of(time * SECOND_NS).isoformat().replace("+00:00", "Z")


def _file(name: str, rows: Cells) -> HttpResponse:
    answer = HttpResponse(csv_lines(rows), content_type="text/csv; charset=utf-8")
    safe = "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in name)
    answer["Content-Disposition"] = f'attachment; filename="{safe.encode("ascii", "replace").decode()}"'
    return answer
