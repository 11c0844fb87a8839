"""Files into datasets: sent whole or in parts, looked at with their bad lines, then loaded at once or by a job."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.accounts.principals import Principal
from apps.core import once
from apps.core.errors import BadRequest, ConsoleError
from apps.core.ids import new_id
from apps.datasets import live, readers, registering, registry, rows, schemas, uploads
from apps.datasets.models import Dataset, Purpose, State, Upload
from apps.datasets.views import dataset_or_404


@require_POST
@requires("operator")
def upload_new(request: HttpRequest) -> HttpResponse:
    """Take a file: announced by script, which sends the parts next, or whole from a form."""
    user: Any = request.user
    file = request.FILES.get("file")
    try:
        if file is None and "size" not in request.POST:
            raise BadRequest("Choose a file.")
        name, size = (file.name, file.size) if file else (request.POST.get("name", ""), _whole(request.POST["size"]))
        upload = uploads.begin(name or "", size or 0, user)
        for part in file.chunks() if file else ():
            upload.received = uploads.put(upload, upload.received, part)
    except ConsoleError as error:
        if file is None and "size" in request.POST:
            return JsonResponse({"detail": error.detail}, status=error.status)
        messages.error(request, error.detail)
        return redirect(f"{reverse('datasets:dataset-new')}?from=file")
    place = _preview_of(request, upload)
    if file:
        return redirect(place)
    part_url = reverse("datasets:upload-part", args=[upload.upload_id])
    return JsonResponse({"part": part_url, "preview": place})


def _preview_of(request: HttpRequest, upload: Upload) -> str:
    kept = request.POST.copy()
    for name in list(kept):
        if name not in ("purpose", "dataset_id", "into", "description") or not kept[name]:
            del kept[name]
    return f"{reverse('datasets:upload-preview', args=[upload.upload_id])}?{kept.urlencode()}"


@require_POST
@requires("operator")
def upload_part(request: HttpRequest, upload_id: object) -> HttpResponse:
    """Take the next part of a file; the answer says how much has arrived."""
    upload = _upload_or_404(request, upload_id)
    try:
        received = uploads.put(upload, _whole(request.headers.get("X-Offset", "")), request.body)
    except ConsoleError as error:
        return JsonResponse({"detail": error.detail, "received": upload.received}, status=error.status)
    return JsonResponse({"received": received})


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def upload_preview(request: HttpRequest, upload_id: object) -> HttpResponse:
    """Show the first rows of a file and its bad lines; load it when that is confirmed."""
    upload = _upload_or_404(request, upload_id)
    look = uploads.look(upload)
    given = request.POST if request.method == "POST" else request.GET
    into = dataset_or_404(given["into"]) if given.get("into") else None
    mapping = mapping_in(given, look)
    shown = [uploads.renamed(line, mapping) for line in look.rows]
    purpose = into.purpose if into else _purpose(given.get("purpose", ""), shown)
    error = ""
    if request.method == "POST" and request.POST.get("act") == "load":
        try:
            dataset = _load(request, upload, look, purpose, into)
        except ConsoleError as refused:
            error = refused.detail
        else:
            live.changed_from_sync(dataset)
            return redirect("datasets:dataset-detail", dataset.dataset_id)
    context = {
        "upload": upload,
        "look": look,
        "into": into,
        "purpose": purpose,
        "purposes": Purpose.choices,
        "wanted": [(name, _source_of(name, mapping, look)) for name in uploads.wanted(purpose)],
        "columns": list(dict.fromkeys(name for line in shown for name in line.value)),
        "shown": shown,
        "given": given,
        "skip_bad": "skip_bad" in given,
        "warning": uploads.misfit(purpose, shown),
        "error": error,
    }
    return render(request, "datasets/upload_preview.html", context, status=422 if error else 200)


def _purpose(asked: str, lines: list[readers.Line]) -> str:
    """Return the purpose that was asked for; when none was, the first that the rows fit."""
    if asked in Purpose.values:
        return asked
    fit = (purpose for purpose in Purpose.values if lines and not uploads.misfit(purpose, lines))
    return next(fit, str(Purpose.TRAINING))


def mapping_in(given: Any, look: uploads.Look) -> dict[str, str]:
    """Return which columns of the file get which names."""
    pairs = ((name.removeprefix("column-"), given[name]) for name in given if name.startswith("column-"))
    return {old: new for new, old in pairs if old and old != new and old in look.columns}


def _source_of(name: str, mapping: dict[str, str], look: uploads.Look) -> str:
    mapped = next((old for old, new in mapping.items() if new == name), "")
    return mapped or (name if name in look.columns else "")


def _load(request: HttpRequest, upload: Upload, look: uploads.Look, purpose: str, into: Dataset | None) -> Dataset:
    """Load the file into a new dataset, or behind the rows of one; raises ConsoleError and loads nothing."""
    if look.fault:
        raise BadRequest(look.fault)
    skip_bad = "skip_bad" in request.POST
    if look.bad_count and not skip_bad:
        raise BadRequest("Some lines are bad: leave them out, or mend the file and send it again.")
    mapping = mapping_in(request.POST, look)
    actor = principal_of(request)
    asked = _asked(request, upload, purpose)
    if upload.size > settings.DATASET_AT_ONCE_BYTES:
        return _by_job(upload, asked, mapping, skip_bad, into, actor)
    with uploads.opened(upload) as file:
        lines = readers.read(file, readers.kind_of_name(upload.name) or "")
        read = [uploads.renamed(line, mapping) for line in lines if not line.error]
    dataset = _at_once(upload, asked, read, into, actor)
    uploads.give_up(upload)
    return dataset


def _asked(request: HttpRequest, upload: Upload, purpose: str) -> schemas.RegisterDatasetRequest:
    name = request.POST.get("dataset_id", "").strip()
    if not name and not request.POST.get("into"):
        raise BadRequest("Give the dataset a name.")
    registry.check_name(name or None)
    metadata = {"file": upload.name}
    if request.POST.get("description"):
        metadata["description"] = request.POST["description"][:500]
    source = schemas.RowsDataSource(rows=[])
    return schemas.RegisterDatasetRequest.model_validate(
        {"purpose": purpose, "source": source, "metadata": metadata, "dataset_id": name or None}
    )


def _at_once(
    upload: Upload,
    asked: schemas.RegisterDatasetRequest,
    read: list[readers.Line],
    into: Dataset | None,
    actor: Principal,
) -> Dataset:
    texts = [line.text for line in read]
    source = rows.Source("file", upload.name)
    if into is None:
        first = [line.value for line in read[: uploads.SHOWN_ROWS]]
        return registry.register_now(registry.Request(asked, texts, first), actor, source)
    wrong = next(((line, why) for line in read if (why := rows.fits(into, line.value))), None)
    if wrong:
        raise BadRequest(f"Line {wrong[0].number}: {wrong[1]}")
    with transaction.atomic():
        return rows.append_rows(into.dataset_id, texts, actor, source)


@transaction.atomic
def _by_job(
    upload: Upload,
    asked: schemas.RegisterDatasetRequest,
    mapping: dict[str, str],
    skip_bad: bool,
    into: Dataset | None,
    actor: Principal,
) -> Dataset:
    arguments: dict[str, Any] = {
        "path": str(uploads.path_of(upload)),
        "kind": readers.kind_of_name(upload.name),
        "skip_bad": skip_bad,
        "mapping": mapping,
        "how": "file",
        "about": upload.name,
    }
    if into is None:
        request = registry.Request(asked, [], [])
        if Dataset.objects.shown().filter(dataset_id=asked.dataset_id or "").exists():
            raise BadRequest(f"Dataset '{asked.dataset_id}' exists already: choose another name, or add to it.")
        dataset = registering.start(registry.make(request, actor, State.LOADING), actor, **arguments)
    else:
        into.check_readable()
        hidden = Dataset.objects.create(dataset_id=f"~{new_id()}", purpose=into.purpose, state=State.HIDDEN)
        registering.start(hidden, actor, **arguments, target=into.pk, into=into.dataset_id)
        dataset = into
    upload.delete()  # the file is the job's now
    return dataset


def _upload_or_404(request: HttpRequest, upload_id: object) -> Upload:
    upload = Upload.objects.filter(upload_id=str(upload_id), created_by=request.user.pk).first()
    if upload is None:
        raise Http404("This file was loaded already, or given up")
    return upload


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 16 else -1
