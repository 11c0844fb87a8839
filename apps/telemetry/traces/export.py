"""Traces as files: a table of them as CSV or JSON Lines, or all their spans as OTLP JSON.

Small ones are sent at once, others are made by a job and fetched when it is done.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET
from pydantic_core import to_json

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core.csv_lines import csv_lines
from apps.core.errors import ConsoleError
from apps.core.files import as_file
from apps.datasets.export_views import folder
from apps.jobs import runner
from apps.jobs.handle import Handle
from apps.jobs.models import Job, Status
from apps.telemetry import windows
from apps.telemetry.models import Span, Trace
from apps.telemetry.otlp import export as otlp_export
from apps.telemetry.traces import filters
from apps.telemetry.traces import listing as trace_list
from apps.telemetry.traces.listing import Asked
from apps.telemetry.traces.naming import names_of
from apps.telemetry.trees import moment

AT_ONCE = 10_000  # rows, or spans of OTLP, that are sent while somebody waits
CHUNK = 500
EXPORT = "apps.telemetry.traces.export.run"
KINDS = {
    "csv": ("text/csv; charset=utf-8", "CSV", "csv"),
    "jsonl": ("application/x-ndjson", "JSON Lines", "jsonl"),
    "otlp": ("application/json", "OTLP JSON", "json"),
}
COLUMNS = (
    "trace_id", "start_time", "end_time", "duration_ms", "title", "name", "status", "kind", "spans", "errors",
    "input_tokens", "output_tokens", "model", "service", "agent_id", "agent_name", "session_id", "turn_id", "input",
    "output",
)  # fmt: skip
Progress = Callable[[int], None]


@require_GET
@requires("viewer")
def trace_export(request: HttpRequest, kind: str) -> HttpResponseBase:
    """Send what fits, or was chosen, as a file; ask for a job where it is much."""
    if kind not in KINDS:
        raise Http404(f"Nothing is exported as '{kind}'")
    query = request.GET
    try:
        asked = trace_list.chosen_of(query) if "trace" in query or "all" in query else trace_list.asked(query)
        asked.check()
        rows = asked.traces()
        count = rows.count()
        size = (rows.aggregate(spans=Sum("span_count"))["spans"] or 0) if kind == "otlp" else count
        if size <= AT_ONCE:
            return as_file(parts(rows, kind), file_name(kind), KINDS[kind][0])
        if not request.user.can("operator"):  # type: ignore[union-attr]
            raise ConsoleError("An export of this size is made by a job, which operators start.", status=403)
        job = _ask(request, asked, kind, count)
    except ConsoleError as error:
        messages.error(request, error.detail)
        return redirect(reverse("telemetry:trace-list") + (f"?{query.urlencode()}" if query else ""))
    return redirect("jobs:job-detail", job.job_id)


@require_GET
@requires("viewer")
def trace_otlp(request: HttpRequest, trace_id: str) -> HttpResponseBase:
    """Send one trace as OTLP JSON, whatever its size."""
    trace = Trace.objects.filter(trace_id=trace_id).first()
    if trace is None:
        raise Http404(f"Trace '{trace_id}' not found")
    pieces = otlp_export.pieces(otlp_export.groups(Span.objects.filter(trace=trace)))
    return as_file(pieces, f"trace-{trace_id}.json", KINDS["otlp"][0])


def _ask(request: HttpRequest, asked: Asked, kind: str, count: int) -> Job:
    arguments = {
        "kind": kind,
        "q": asked.filter.text,
        "from_ns": asked.window.start_ns,
        "to_ns": asked.window.until_ns,
        "chosen": list(asked.chosen),
        "count": count,
    }
    title = f"Export {count:,} traces as {KINDS[kind][1]}"
    with transaction.atomic():
        return runner.enqueue(EXPORT, arguments, kind="trace export", title=title, actor=principal_of(request))


def file_name(kind: str) -> str:
    """Return what an export made now is called."""
    return f"traces-{datetime.now(UTC):%Y%m%d-%H%M%S}.{KINDS[kind][2]}"


def parts(traces: QuerySet[Trace], kind: str, told: Progress = lambda count: None) -> Iterator[bytes]:
    """Yield the file in pieces, newest trace first; ``told`` hears how many traces were written."""
    if kind == "otlp":
        yield from otlp_export.pieces(_groups(traces, told))
        return
    if kind == "csv":
        yield csv_lines([COLUMNS])
    for some in _chunks(traces):
        rows = _rows(some)
        if kind == "csv":
            yield csv_lines([row[name] for name in COLUMNS] for row in rows)
        else:
            yield b"".join(to_json(row) + b"\n" for row in rows)
        told(len(some))


def _chunks(traces: QuerySet[Trace]) -> Iterator[list[Trace]]:
    """Yield traces by their keys, some at a time, newest first, without skipping over any."""
    place: tuple[int, int] | None = None
    while True:
        rows = traces if place is None else trace_list.beyond(traces, place, newer=False)
        some = list(rows.order_by("-start_ns", "-pk")[:CHUNK])
        if not some:
            return
        yield some
        place = (some[-1].start_ns, some[-1].pk)


def _groups(traces: QuerySet[Trace], told: Progress) -> Iterator[bytes]:
    for some in _chunks(traces):
        yield from otlp_export.groups(Span.objects.filter(trace__in=[trace.pk for trace in some]))
        told(len(some))


def _rows(traces: list[Trace]) -> list[dict[str, Any]]:
    names = names_of(traces)
    return [_row(trace, names[trace.trace_id].title) for trace in traces]


def _row(trace: Trace, title: str) -> dict[str, Any]:
    took = trace.duration_ns
    values = {name: getattr(trace, name) for name in COLUMNS if hasattr(trace, name) and name != "spans"}
    values |= {
        "start_time": moment(trace.start_ns),
        "end_time": None if trace.end_ns is None else moment(trace.end_ns),
        "duration_ms": None if took is None else took / 1_000_000,
        "title": title,
        "status": trace.status or "running",
        "spans": trace.span_count,
        "errors": trace.error_count,
    }
    return {name: values[name] for name in COLUMNS}


def run(job: Handle) -> dict[str, Any]:
    """Write traces into a file: the work of the job ``trace export``."""
    asked_for, kind, done = job.arguments, job.arguments["kind"], 0
    window = windows.Window("own", asked_for["from_ns"], asked_for["to_ns"])
    asked = Asked(filters.parse(asked_for["q"], window.start_ns), window, tuple(asked_for["chosen"]))

    def told(count: int) -> None:
        nonlocal done
        job.check()
        done += count
        job.progress(done, max(done, asked_for["count"]), "traces")

    path = _path(job.job_id, kind)
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            for piece in parts(asked.traces(), kind, told):
                file.write(piece)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    url = reverse("telemetry:trace-export-file", args=[job.job_id])
    return {"traces": done, "bytes": path.stat().st_size, "file": file_name(kind), "url": url}


def _path(job_id: object, kind: str) -> Path:
    return folder() / f"{job_id}.{KINDS[kind][2]}"


@require_GET
@requires("viewer")
def export_file(request: HttpRequest, job_id: object) -> HttpResponseBase:
    """Send the file an export made."""
    job = Job.objects.filter(job_id=str(job_id), work=EXPORT, status=Status.COMPLETED).first()
    path = _path(job_id, job.arguments["kind"]) if job else None
    if job is None or path is None or not path.is_file():
        raise Http404("This export does not exist, or its file was cleared away")
    name, kind = str((job.result or {})["file"]), job.arguments["kind"]
    return FileResponse(path.open("rb"), as_attachment=True, filename=name, content_type=KINDS[kind][0])
