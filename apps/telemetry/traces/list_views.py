"""Pages of the list of traces: the list, what is new beside it, and taking traces away."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import audit
from apps.accounts.auth import principal_of
from apps.accounts.pages import may, requires
from apps.core import live as topics
from apps.core import once
from apps.core.errors import BadRequest
from apps.core.numbers import whole
from apps.jobs import runner
from apps.jobs.handle import Handle
from apps.telemetry import live, retention, store, windows
from apps.telemetry.models import Kind, Trace
from apps.telemetry.traces import export as trace_export
from apps.telemetry.traces import filter_words, filters, sample
from apps.telemetry.traces import listing as trace_list
from apps.telemetry.traces import pages as trace_pages
from apps.telemetry.traces.listing import Asked
from apps.telemetry.traces.numbers import numbers_of

SEGMENTS = (("Work", trace_list.USUAL), ("All", ""), ("Turns", "kind:turn"), ("Errors", "status:error"))
# Fields of the form that writes a filter: name, label, how it is written, example.
FIELDS = (
    ("name", "Name", ":", "customs"),
    ("agent", "Agent", ":", "Support desk"),
    ("session", "Session", ":", "name or id"),
    ("model", "Model", ":", "llama"),
    ("duration", "Longer than", ">", "2s"),
    ("tokens", "More tokens than", ">", "2000"),
)
DELETE = "apps.telemetry.traces.list_views.run_delete"
AT_ONCE = 200  # traces that are deleted while somebody waits


@require_GET
@requires("viewer")
def trace_list_page(request: HttpRequest) -> HttpResponse:
    """Show the traces a filter leaves, newest first."""
    if canonical := _canonical(request.GET):
        return redirect(canonical)
    number = async_to_sync(topics.head)(live.LIST)
    above = trace_list.newest_pk()  # before the rows: what comes between is told as new, not lost
    asked = trace_list.asked(request.GET)
    page = trace_pages.page_of(asked, request.GET)
    context = {
        "asked": asked,
        "page": page,
        "numbers": numbers_of(asked) if page.rows else None,
        "any_trace": above > 0,
        "chips": _chips(asked),
        "segments": _segments(asked),
        "heads": trace_pages.heads_of(asked),
        "order": trace_pages.WORDS[asked.sort],
        "fields": FIELDS,
        "kinds": [(str(kind.value), str(kind.label)) for kind in Kind],
        "statuses": list(filter_words.STATUSES),
        "presets": _presets(asked),
        "export_kinds": [(kind, label) for kind, (_, label, _) in trace_export.KINDS.items()],
        "topic": live.LIST,
        "number": number,
        "news": {"count": 0, "refetch": _news_url(asked, above, page.open_ids)},
        "may_delete": may(request, "admin"),
    }
    return render(request, "telemetry/trace_list.html", context)


def _canonical(query: QueryDict) -> str:
    """Return where a form leads that sent words in several fields; nothing for an address that is plain already."""
    words = [*query.getlist("q")]
    for name, _, op, _ in FIELDS:
        if value := query.get(name, "").strip():
            words.append(filters.written(name, value, op))
    words += [filters.written(name, value) for name in ("status", "kind") if (value := query.get(name, ""))]
    if key := query.get("key", "").strip():
        words.append(filters.attribute_term(key, query.get("value", "").strip()))
    if text := query.get("text", "").strip():
        words.append(filters.quoted(text))
    if words == query.getlist("q") and len(words) < 2:
        return ""
    kept = {name: query[name] for name in ("range", "from", "to", "sort") if query.get(name)}
    text = " ".join(dict.fromkeys(word.strip() for word in words if word.strip()))
    return f"{reverse('telemetry:trace-list')}?{urlencode(({'q': text} if text else {}) | kept)}"


def _chips(asked: Asked) -> list[dict[str, str]]:
    terms = () if asked.is_usual else asked.filter.terms
    return [
        {
            "text": term.text,
            "problem": term.problem,
            "note": term.note,
            "without": asked.link(q=asked.filter.without(at)),
        }
        for at, term in enumerate(terms)
    ]


def _segments(asked: Asked) -> list[dict[str, object]]:
    text = asked.filter.text
    usual = replace(asked, is_usual=True).link()
    return [
        {"label": label, "link": usual if words == trace_list.USUAL else asked.link(q=words), "is_here": text == words}
        for label, words in SEGMENTS
    ]


def _presets(asked: Asked) -> list[dict[str, object]]:
    words = ({} if asked.is_usual else {"q": asked.filter.text}) | ({"sort": asked.sort} if asked.sort else {})
    named = {name: label for name, (_, label) in windows.PRESETS.items()} | {"all": "All time"}
    return [
        {"label": label, "link": "?" + urlencode(words | {"range": name}), "is_here": asked.window.preset == name}
        for name, label in named.items()
    ]


def _news_url(asked: Asked, above: int, open_ids: str) -> str:
    query = asked.query | {"above": str(above)} | ({"open": open_ids} if open_ids else {})
    return f"{reverse('telemetry:trace-news')}?{urlencode(query)}"


@require_GET
@requires("viewer")
def trace_news(request: HttpRequest) -> HttpResponse:
    """Tell how many traces came that fit, and how those stand that were open; for a list that is on the screen."""
    number = async_to_sync(topics.head)(live.LIST)
    asked = trace_list.asked(request.GET)
    above = whole(request.GET.get("above")) or 0
    ids = [one for one in request.GET.get("open", "").split(",") if one][: trace_list.SIZE]
    rows = trace_list.rows_of(list(Trace.objects.filter(trace_id__in=ids)), asked.window.now_ns) if ids else []
    count = trace_list.fresh(asked, above) if asked.window.is_open and not asked.problems else 0
    still_open = ",".join(row.trace.trace_id for row in rows if row.is_open)
    news = {
        "count": count,
        "is_more": count >= trace_list.FRESH,
        "rows": rows,
        "refetch": _news_url(asked, above, still_open),
    }
    context = {"asked": asked, "news": news, "topic": live.LIST, "number": number}
    return render(request, "telemetry/_trace_news.html", context)


@require_POST
@requires("operator")
@once.only
def trace_sample(request: HttpRequest) -> HttpResponse:
    """Store a trace made up to look at, for a console that has none."""
    spans = sample.turn()
    with transaction.atomic():
        saved = store.save(spans)
        audit.note(principal_of(request), "create", "trace", spans[0].trace_id, sample=True)
    live.announce(saved)
    return redirect("telemetry:trace-detail", spans[0].trace_id)


@require_http_methods(["GET", "POST"])
@requires("admin")
def traces_delete(request: HttpRequest) -> HttpResponse:
    """Ask whether the traces that were chosen or that fit shall go; a send that says how many are meant acts."""
    query = request.POST if request.method == "POST" else request.GET
    try:
        asked = trace_list.chosen_of(query)
        asked.check()
    except BadRequest as error:
        messages.warning(request, error.detail)
        return redirect(reverse("telemetry:trace-list") + trace_list.asked(query).link())
    # Only those that are there now: what comes while somebody reads the question is not meant.
    until = whole(query.get("until")) or trace_list.newest_pk()
    count = asked.traces().filter(pk__lte=until).count()
    back = reverse("telemetry:trace-list") + asked.link()
    if not count:
        messages.warning(request, "No trace fits any more.")
        return redirect(back)
    if request.method == "GET" or query.get("count", "").replace(",", "").strip() != str(count):
        context = {"asked": asked, "count": count, "until": until, "back": back, "sent": request.method == "POST"}
        return render(request, "telemetry/traces_delete.html", context, status=422 if context["sent"] else 200)
    return _delete(request, asked, until, count)


def _delete(request: HttpRequest, asked: Asked, until: int, count: int) -> HttpResponse:
    actor = principal_of(request)
    about = {"filter": asked.filter.text, "time": asked.window.words} if not asked.chosen else {}
    audit.note(actor, "delete", "trace", asked.chosen[0] if len(asked.chosen) == 1 else "", traces=count, **about)
    if count > AT_ONCE:
        window = asked.window
        arguments = {
            "q": asked.filter.text,
            "from_ns": window.start_ns,
            "to_ns": window.end_ns,
            "chosen": list(asked.chosen),
            "until": until,
            "count": count,
        }
        title = f"Delete {count:,} traces"
        job = runner.enqueue(DELETE, arguments, kind="trace delete", title=title, actor=actor)
        return redirect("jobs:job-detail", job.job_id)
    retention.delete_traces(list(asked.traces().filter(pk__lte=until).values_list("trace_id", flat=True)))
    messages.success(request, f"{count:,} trace{'' if count == 1 else 's'} deleted.")
    return redirect(reverse("telemetry:trace-list") + asked.link())


def run_delete(job: Handle) -> dict[str, Any]:
    """Delete the traces of a filter: the work of the job ``trace delete``."""
    told = job.arguments
    window = windows.Window("own", told["from_ns"], told["to_ns"])
    asked = Asked(filters.parse(told["q"], window.start_ns), window, tuple(told["chosen"]))
    rows = asked.traces().filter(pk__lte=told["until"])
    gone = {"traces": 0, "spans": 0}
    while ids := list(rows.values_list("trace_id", flat=True)[:AT_ONCE]):
        job.check()
        went = retention.delete_traces(ids)
        gone = {name: number + went.get(name, 0) for name, number in gone.items()}
        job.progress(gone["traces"], told["count"], "traces")
        if not went.get("traces"):
            break
    return gone
