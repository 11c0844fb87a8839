"""Datasets as files: small ones at once, others made by a job and fetched when it is done."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_GET

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core.errors import ConsoleError
from apps.datasets import exporting, rows
from apps.datasets.models import Dataset
from apps.datasets.views import dataset_or_404
from apps.jobs import runner
from apps.jobs.handle import Handle
from apps.jobs.models import Job, Status

AT_ONCE_ROWS = 10_000
EXPORT = "apps.datasets.export_views.run"


@require_GET
@requires("viewer")
def export(request: HttpRequest, dataset_id: str, kind: str) -> HttpResponseBase:
    """Send the rows as a file, or ask for the job that makes it."""
    dataset = dataset_or_404(dataset_id)
    if kind not in exporting.KINDS:
        raise Http404(f"Nothing is exported as '{kind}'")
    try:
        dataset.check_readable()
        if dataset.row_count <= AT_ONCE_ROWS and dataset.size_bytes <= settings.MAX_BODY_BYTES:
            return _sent(dataset, kind)
        if not request.user.can("operator"):  # type: ignore[union-attr]
            raise ConsoleError("A dataset of this size is exported by a job, which operators start.", status=403)
        with transaction.atomic():
            job = ask(request, dataset, kind)
    except ConsoleError as error:
        messages.error(request, error.detail)
        return redirect("datasets:dataset-detail", dataset_id)
    return redirect("jobs:job-detail", job.job_id)


def ask(request: HttpRequest, dataset: Dataset, kind: str) -> Job:
    """Enqueue the export of a dataset; called inside a transaction."""
    return runner.enqueue(
        EXPORT,
        {"pk": dataset.pk, "kind": kind},
        kind="dataset export",
        title=f"Export {dataset.dataset_id} as {exporting.KINDS[kind][1]}",
        about=("dataset", dataset.dataset_id),
        actor=principal_of(request),
    )


def _sent(dataset: Dataset, kind: str) -> HttpResponseBase:
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the response closes it
    exporting.write(file, kind, lambda: rows.chunks(dataset))
    file.seek(0)
    return _file(file, file_name(dataset.dataset_id, kind), kind)


def _file(file: BinaryIO, name: str, kind: str) -> HttpResponseBase:
    return FileResponse(file, as_attachment=True, filename=name, content_type=exporting.KINDS[kind][0])


def file_name(dataset_id: str, kind: str) -> str:
    """Return a name any file system takes."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', dataset_id)[:100].strip('-.') or 'dataset'}.{kind}"


def folder() -> Path:
    """Return where files wait to be fetched."""
    path = Path(settings.DATASET_UPLOADS_DIR) / "exports"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def run(job: Handle) -> dict[str, Any]:
    """Write a dataset into a file: the work of the job ``dataset export``."""
    dataset = Dataset.objects.get(pk=job.arguments["pk"])
    kind = job.arguments["kind"]
    passes = 2 if kind in ("csv", "parquet") else 1
    done = 0

    def chunks() -> Iterator[list[str]]:
        nonlocal done
        for texts in rows.chunks(dataset):
            job.check()
            done += len(texts)
            job.progress(done, dataset.row_count * passes, "rows")
            yield texts

    path = folder() / f"{job.job_id}.{kind}"
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            exporting.write(file, kind, chunks)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return {
        "rows": dataset.row_count,
        "bytes": path.stat().st_size,
        "file": file_name(dataset.dataset_id, kind),
        "url": f"/datasets/exports/{job.job_id}/",
    }


@require_GET
@requires("viewer")
def export_file(request: HttpRequest, job_id: object) -> HttpResponseBase:
    """Send the file an export made."""
    job = Job.objects.filter(job_id=str(job_id), work=EXPORT, status=Status.COMPLETED).first()
    path = folder() / f"{job_id}.{job.arguments['kind']}" if job else None
    if job is None or path is None or not path.is_file():
        raise Http404("This export does not exist, or its file was cleared away")
    return _file(path.open("rb"), str((job.result or {})["file"]), job.arguments["kind"])
