"""Pages of datasets: list, new, detail with its rows, schema, adding rows, deleting."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.auth import principal_of
from apps.accounts.models import AuditLine
from apps.accounts.pages import requires
from apps.core import live as topics
from apps.core import once
from apps.core.errors import Conflict, ConsoleError
from apps.core.htmx import is_partial
from apps.core.keyset import page_of
from apps.datasets import dependants, exporting, grid, live, registering, registry, rows, schemas, uses
from apps.datasets.forms import AddRowsForm, DatasetForm
from apps.datasets.models import Addition, Dataset
from apps.jobs.models import Job

SOURCES = (("rows", "Typed or pasted"), ("file", "File"), ("uri", "Address"))
SHOWN_ADDITIONS = 3


@require_GET
@requires("viewer")
def dataset_list(request: HttpRequest) -> HttpResponse:
    """Show the datasets a filter leaves, newest first."""
    number = async_to_sync(topics.head)(live.LIST)
    words = request.GET.get("q", "").strip()[:200]
    found = Dataset.objects.shown().defer("gaps")
    for word in words.split():
        found = found.filter(Q(dataset_id__icontains=word) | Q(purpose__icontains=word))
    use = request.GET.get("use", "")
    if use in uses.PURPOSES:
        found = uses.fit_for(found, use)
    page = page_of(found, request.GET)
    context = {
        "page": page,
        "words": words,
        "use": use,
        "sought": " · ".join(filter(None, (words, use and f"Fit for {use}"))),
        "uses": list(uses.PURPOSES),
        "any_dataset": bool(page.rows) or Dataset.objects.shown().exists(),
        "number": number,
        "topic": live.LIST,
    }
    return render(request, "datasets/_datasets.html" if is_partial(request) else "datasets/dataset_list.html", context)


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def dataset_new(request: HttpRequest) -> HttpResponse:
    """Register a dataset: rows that were typed, or an address; a file has a page of its own."""
    source = request.GET.get("from", "rows")
    source = source if source in dict(SOURCES) else "rows"
    initial = {"purpose": request.GET.get("purpose", "")}
    form = DatasetForm(request.POST if request.method == "POST" else None, source=source, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            typed = rows.Source("typed")
            dataset = async_to_sync(registering.register)(_asked(form), principal_of(request), typed)
        except Conflict as error:  # the name is taken
            form.add_error("dataset_id", error.detail)
        except ConsoleError as error:
            form.add_error({"rows": "text", "uri": "uri"}.get(source), error.detail)
        else:
            live.changed_from_sync(dataset)
            return redirect("datasets:dataset-detail", dataset.dataset_id)
    into = dataset_or_404(request.GET["into"]) if source == "file" and request.GET.get("into") else None
    context = {"form": form, "source": source, "sources": SOURCES, "into": into, "asked_purpose": initial["purpose"]}
    return render(request, "datasets/dataset_form.html", context, status=422 if form.is_bound else 200)


def _asked(form: DatasetForm) -> registry.Request:
    """Return what the form asks for, as the API would be asked."""
    given = form.cleaned_data
    source: schemas.DataSource = schemas.RowsDataSource(rows=[])
    if form.source == "uri":
        source = schemas.URIDataSource(uri=given["uri"])
    asked = schemas.RegisterDatasetRequest(
        purpose=given["purpose"],
        source=source,
        metadata={"description": given["description"]} if given["description"] else {},
        dataset_id=given["dataset_id"],
    )
    return registry.Request(asked, [line.text for line in form.lines], [line.value for line in form.lines[:20]])


@require_GET
@requires("viewer")
def dataset_detail(request: HttpRequest, dataset_id: str) -> HttpResponse:
    """Show a dataset and a page of its rows."""
    dataset = dataset_or_404(dataset_id)
    return render(
        request,
        "datasets/_rows.html" if is_partial(request) else "datasets/dataset_detail.html",
        detail(request, dataset),
    )


def detail(request: HttpRequest, dataset: Dataset, query: QueryDict | None = None) -> dict[str, Any]:
    """Return what the page of a dataset shows; the topic's number is read before the rows."""
    number = async_to_sync(topics.head)(dataset.topic)
    dataset.refresh_from_db()
    job = Job.objects.filter(job_id=dataset.job_id).first() if dataset.job_id else None
    return {
        "dataset": dataset,
        "tab": "rows",
        "page": grid.page_of(dataset, query or request.GET),
        "words": request.GET.get("q", "").strip(),
        "topic_number": number,
        "job": job,
        "export_kinds": [(kind, name) for kind, (_, name) in exporting.KINDS.items()],
        "delete_text": what_goes(dataset),
        "additions": additions_of(dataset),
        "uses": uses.all_of(dataset),
        "used_by": Job.objects.filter(about_kind="dataset", about_id=dataset.dataset_id).exclude(kind="dataset load")[
            :3
        ],
    }


def additions_of(dataset: Dataset) -> list[Addition]:
    """Return the newest ways rows came in, for the line under the title."""
    found = Addition.objects.filter(dataset=dataset).order_by("-start")
    return list(found[:SHOWN_ADDITIONS])[::-1]


@require_GET
@requires("viewer")
def dataset_schema(request: HttpRequest, dataset_id: str) -> HttpResponse:
    """Show the columns of a dataset, and the rows that do not fit its purpose."""
    dataset = dataset_or_404(dataset_id)
    context = detail(request, dataset) | {"tab": "schema", "profile": grid.profile(dataset)}
    return render(request, "datasets/dataset_schema.html", context)


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def dataset_add(request: HttpRequest, dataset_id: str) -> HttpResponse:
    """Add typed or pasted rows."""
    dataset = dataset_or_404(dataset_id)
    form = AddRowsForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        wrong = [(line, rows.fits(dataset, line.value)) for line in form.lines]
        for line, problem in wrong:
            if problem:
                form.add_error("text", f"Line {line.number}: {problem}")
        if form.is_valid():
            return _added(request, dataset, [line.text for line in form.lines], form)
    status = 422 if form.is_bound else 200
    return render(request, "datasets/dataset_add.html", {"dataset": dataset, "form": form}, status=status)


def _added(request: HttpRequest, dataset: Dataset, texts: list[str], form: AddRowsForm) -> HttpResponse:
    try:
        with transaction.atomic():
            dataset = rows.append_rows(dataset.dataset_id, texts, principal_of(request), rows.Source("typed"))
    except ConsoleError as error:
        form.add_error("text", error.detail)
        return render(request, "datasets/dataset_add.html", {"dataset": dataset, "form": form}, status=422)
    live.changed_from_sync(dataset)
    messages.success(request, f"{len(texts):,} row{'s' if len(texts) > 1 else ''} added to {dataset.dataset_id}.")
    return redirect("datasets:dataset-detail", dataset.dataset_id)


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def dataset_delete(request: HttpRequest, dataset_id: str) -> HttpResponse:
    """Take a dataset away; asked once."""
    dataset = dataset_or_404(dataset_id)
    if request.method == "POST":
        try:
            with transaction.atomic():
                registry.unregister(dataset_id, principal_of(request))
        except ConsoleError as error:
            messages.error(request, error.detail)
            return redirect("datasets:dataset-detail", dataset_id)
        live.changed_from_sync(dataset)
        messages.success(request, f"Dataset {dataset_id} was deleted.")
        return redirect("datasets:dataset-list")
    back = reverse("datasets:dataset-detail", args=[dataset_id])
    context = {"dataset": dataset, "text": what_goes(dataset), "back": back}
    return render(request, "datasets/dataset_delete.html", context)


def what_goes(dataset: Dataset) -> str:
    """Return what a person should know before a dataset is deleted."""
    rows = "row goes" if dataset.row_count == 1 else "rows go"
    goes = f"{dataset.dataset_id} and its {dataset.row_count:,} {rows} for good."
    kept = "" if dataset.has_rows_source else "What they were read from is not touched."
    return " ".join(filter(None, (goes, kept, dependants.words(dataset.dataset_id))))


def dataset_or_404(dataset_id: str) -> Dataset:
    """Return the dataset, or answer with the page that says what became of it."""
    dataset = Dataset.objects.shown().filter(dataset_id=dataset_id).first() if "\0" not in dataset_id else None
    if dataset is not None:
        return dataset
    line = AuditLine.objects.filter(kind="dataset", action="delete", object_id=dataset_id).order_by("-pk").first()
    who = f"; {line.actor} deleted it on {line.at:%d %b %Y, %H:%M} UTC" if line else ""
    raise Http404(f"Dataset '{dataset_id}' not found{who}")
