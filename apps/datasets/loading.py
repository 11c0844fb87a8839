"""Rows from a file or an address into the store, as a job.

It stores rows behind a curtain (the dataset counts none of them) and lifts it at the end, so a file is there whole
or not at all. What is stored counts itself in ``next_position``, in the same transaction; an attempt that follows a
killed one reads the file again and passes over so many rows.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import F, Max
from django.utils.timezone import now

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core import db
from apps.core.errors import ConsoleError
from apps.datasets import live, purposes, readers, registry, rows, sources, uploads
from apps.datasets.models import Dataset, Row, State
from apps.datasets.readers import Line
from apps.jobs.handle import CANCELLED, Cancelled, Handle

LOAD = "apps.datasets.loading.load"
PURGE_ROWS = 5_000


def load(job: Handle) -> dict[str, Any]:
    """Fill a dataset from its source or an uploaded file: the work of the job ``dataset load``."""
    dataset = _wanting(job)
    if dataset is None:
        return {"rows": 0}
    try:
        found = _open(job, dataset)
        with found.file:
            return _load(job, dataset, found)
    except Cancelled as stop:
        if str(stop) == CANCELLED:
            _give_up(dataset, "The job was cancelled.")
            _forget_file(job)
        raise
    except ConsoleError as error:
        if error.status < 500:
            _give_up(dataset, error.detail)
            _forget_file(job)
        raise


def _wanting(job: Handle) -> Dataset | None:
    """Return the dataset to fill; None when an earlier attempt had finished it, or it was deleted meanwhile."""
    found = Dataset.objects.filter(pk=job.arguments["pk"]).first()
    if found is None or found.state == State.READY or (found.state == State.HIDDEN and not job.arguments.get("target")):
        return None
    if found.state == State.FAILED:  # tried again by hand
        db.write_soon(
            Dataset.objects.filter(pk=found.pk).update, state=State.LOADING, load_error="", job_id=job.job_id
        ).result()
        found.refresh_from_db()
    return found


def _open(job: Handle, dataset: Dataset) -> sources.Found:
    if path := job.arguments.get("path"):
        file = Path(path)
        return sources.Found(file.open("rb"), job.arguments["kind"], size=file.stat().st_size)

    def told(size: int, total: int | None) -> None:
        job.check()
        job.progress(size, total, "B", "fetching")

    uri = dataset.source["uri"]
    return asyncio.run(sources.opened(uri, settings.DATASET_MAX_BYTES, settings.DATASET_FETCH_S, told))


def _load(job: Handle, dataset: Dataset, found: sources.Found) -> dict[str, Any]:
    known = dataset.read_from.get("sha256")
    if dataset.next_position and known != found.about.get("sha256"):
        job.log("The source has changed since the last attempt; beginning again.", "warning")
        _remove_rows(job, dataset)
    about = {"size": found.size, "format": found.kind, "read_at": now().isoformat(), **found.about}
    db.write_soon(Dataset.objects.filter(pk=dataset.pk).update, read_from=about).result()
    skip = dataset.next_position
    if skip:
        job.log(f"Going on behind {skip:,} rows that are stored.")
    lines = _wanted(job, readers.read(found.file, found.kind, found.charset))
    first = [line.value for line in islice(lines, min(skip, purposes.LOOKED_AT))]
    deque(islice(lines, skip - len(first)), maxlen=0)
    for batch in _batches(lines):
        first += [line.value for line in batch[: purposes.LOOKED_AT - len(first)]]
        db.write_soon(_store, job, dataset, [line.text for line in batch]).result()
        job.progress(_where(found), found.size or None, "B", f"{dataset.next_position:,} rows")
        job.check()
    db.write_soon(_finish, job, dataset, first).result()
    live.changed_from_sync(Dataset.objects.get(pk=job.arguments.get("target", dataset.pk)))
    _forget_file(job)
    return {"rows": dataset.next_position}


def _wanted(job: Handle, lines: Iterator[Line]) -> Iterator[Line]:
    """Yield the rows; a bad line ends the job, unless whoever asked was shown the bad lines and goes on without."""
    mapping = job.arguments.get("mapping") or {}
    good = (line for line in lines if not line.error) if job.arguments.get("skip_bad") else readers.strictly(lines)
    renamed = (uploads.renamed(line, mapping) for line in good)
    target = job.arguments.get("target")
    return _fitting(renamed, Dataset.objects.get(pk=target)) if target else renamed


def _fitting(lines: Iterator[Line], target: Dataset) -> Iterator[Line]:
    for line in lines:
        if wrong := rows.fits(target, line.value):
            raise readers.Unreadable(f"Line {line.number}: {wrong}")
        yield line


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line.text)
        if len(batch) >= rows.CHUNK_ROWS or size >= rows.CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _forget_file(job: Handle) -> None:
    if path := job.arguments.get("path"):
        Path(path).unlink(missing_ok=True)


def _where(found: sources.Found) -> int:
    try:
        return found.file.tell()
    except (OSError, ValueError):
        return 0


def _store(job: Handle, dataset: Dataset, texts: list[str]) -> None:
    """Store a batch behind those before it; the count on the row is the checkpoint, in the same transaction."""
    job.keep({"rows": dataset.next_position + len(texts)})
    rows.insert(dataset.pk, dataset.next_position, texts)
    size = rows.size_of(texts)
    stored = Dataset.objects.filter(pk=dataset.pk, next_position=dataset.next_position)
    if not stored.update(next_position=F("next_position") + len(texts), size_bytes=F("size_bytes") + size):
        raise Cancelled("another attempt stores these rows")
    dataset.next_position += len(texts)
    dataset.size_bytes += size


def _finish(job: Handle, dataset: Dataset, first: list[Any]) -> None:
    """Lift the curtain: the rows are counted, or moved behind those of the dataset they were meant for."""
    job.keep({"rows": dataset.next_position})
    actor = Principal(role="operator", name=job.arguments.get("by", ""))
    source = rows.Source(
        job.arguments.get("how", "uri"), job.arguments.get("about") or dataset.source.get("uri", "")[:200]
    )
    if target := job.arguments.get("target"):
        _move(dataset, Dataset.objects.select_for_update().get(pk=target), actor, source)
        return
    count, dataset.next_position = dataset.next_position, 0
    rows.note_addition(dataset, count, actor, source)
    dataset.state = State.READY
    dataset.warning = registry.warning_for(dataset.purpose, first)
    dataset.row_count = dataset.next_position = count
    dataset.updated_at = now()
    dataset.save(update_fields=["state", "warning", "row_count", "next_position", "updated_at"])
    audit.note(actor, "load", "dataset", dataset.dataset_id, rows=count)


def _move(dataset: Dataset, target: Dataset, actor: Principal, source: rows.Source) -> None:
    base, count = target.next_position, dataset.next_position
    moved = Row.objects.filter(dataset_id=dataset.pk)
    moved.update(dataset_id=target.pk, position=F("position") + base)
    rows.note_addition(target, count, actor, source)
    rows.grow(target, count, dataset.size_bytes)
    audit.note(actor, "append", "dataset", target.dataset_id, rows=count, how=source.how)
    Dataset.objects.filter(pk=dataset.pk)._raw_delete(using="default")


def _give_up(dataset: Dataset, why: str) -> None:
    """Say why there are no rows, and let go of those that were stored."""

    def unit() -> None:
        Dataset.objects.filter(pk=dataset.pk, state=State.LOADING).update(
            state=State.FAILED, load_error=why, next_position=0, size_bytes=0
        )

    _delete_rows(dataset.pk)
    db.write_soon(unit).result()
    if dataset.state == State.HIDDEN:
        db.write_soon(registry.remove, dataset).result()
        return
    live.changed_from_sync(Dataset.objects.get(pk=dataset.pk))


def _remove_rows(job: Handle, dataset: Dataset) -> None:
    _delete_rows(dataset.pk, job)
    db.write_soon(Dataset.objects.filter(pk=dataset.pk).update, next_position=0, size_bytes=0).result()
    dataset.next_position = dataset.size_bytes = 0


def _delete_rows(pk: int, job: Handle | None = None) -> int:
    """Delete stored rows in pieces, so that no other write waits long; return how many there were."""
    rows_of, gone = Row.objects.filter(dataset_id=pk), 0
    while (top := rows_of.aggregate(top=Max("position"))["top"]) is not None:
        if job is not None:
            job.check()
            job.progress(gone, unit="rows")
        last = rows_of.filter(position__gt=top - PURGE_ROWS)
        gone += db.write_soon(last._raw_delete, "default").result()
    return gone


def purge(job: Handle) -> dict[str, Any]:
    """Remove the rows of a dataset that was deleted: the work of the job ``dataset removal``."""
    pk = job.arguments["pk"]
    gone = _delete_rows(pk, job)
    hidden = Dataset.objects.filter(pk=pk, state=State.HIDDEN).first()
    if hidden is not None:
        db.write_soon(registry.remove, hidden).result()
    return {"rows": gone}
