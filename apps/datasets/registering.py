"""Registering a dataset that may have to be read first: a small source while the caller waits, others by a job."""

import asyncio
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.utils.timezone import now

from apps.accounts.principals import Principal
from apps.core import db
from apps.core.errors import ProviderError, TooLarge
from apps.datasets import loading, purposes, readers, registry, rows, schemas, sources
from apps.datasets.models import Dataset, State
from apps.jobs import runner

UNPACKED = 8  # times the size read at once that rows may take as text


async def register(request: registry.Request, actor: Principal, source: rows.Source | None = None) -> Dataset:
    """Register a dataset and return it; one that is large or slow to read is still being loaded by a job then.

    ``source`` tells how rows that stand in the request came.

    Raises BadRequest, Conflict, TooLarge, and ProviderError for an address that cannot be read.
    """
    try:
        if isinstance(request.asked.source, schemas.RowsDataSource):
            return await db.write(registry.register_rows, request, actor, source)
        return await _register_uri(request, request.asked.source.uri, actor)
    except IntegrityError:  # another registration of this name was first: now it can be compared
        found = await db.read(registry.existing, request)
        if found is None:
            raise
        return found


async def _register_uri(request: registry.Request, uri: str, actor: Principal) -> Dataset:
    found = await db.read(registry.existing, request)
    if found is not None:
        return found
    read = await _read_at_once(uri)
    if read is None:
        return await db.write(_register_job, request, actor)
    request.texts, request.warning = read[0], registry.warning_for(request.asked.purpose, read[1])
    about = read[2] | {"read_at": now().isoformat()}
    return await db.write(_fill, request, actor, rows.Source("uri", uri[:200]), about)


def _fill(request: registry.Request, actor: Principal, source: rows.Source, about: dict[str, Any]) -> Dataset:
    found = registry.existing(request)
    if found is not None:
        return found
    dataset = registry.make(request, actor)
    registry.fill(dataset, request.texts, actor, source, **about)
    return dataset


def _register_job(request: registry.Request, actor: Principal) -> Dataset:
    found = registry.existing(request)
    if found is not None:
        return found
    dataset = registry.make(request, actor, State.LOADING)
    return start(dataset, actor)


def start(dataset: Dataset, actor: Principal, **arguments: Any) -> Dataset:
    """Ask for the job that fills a dataset and return the dataset; called inside a write."""
    job = runner.enqueue(
        loading.LOAD,
        {"pk": dataset.pk, "by": actor.name, **arguments},
        kind="dataset load",
        title=f"Load {arguments.get('into') or dataset.dataset_id}",
        about=("dataset", arguments.get("into") or dataset.dataset_id),
        actor=actor,
    )
    dataset.job_id = job.job_id
    dataset.save(update_fields=["job_id"])
    return dataset


async def _read_at_once(uri: str) -> tuple[list[str], list[Any], dict[str, Any]] | None:
    """Return texts, first values and facts of a small source; None for what a job should read."""
    hint = sources.size_hint(uri)
    # What came in the request is here already, and a body is bounded.
    limit = settings.MAX_BODY_BYTES if uri[:5].lower() == "data:" else settings.DATASET_AT_ONCE_BYTES
    if hint is not None and hint > limit:
        return None
    try:
        found = await sources.opened(uri, limit, settings.DATASET_AT_ONCE_S)
    except TooLarge:
        return None
    except ProviderError as error:
        if error.status == 504 and uri.startswith("http"):
            return None
        raise
    return await asyncio.to_thread(_all, found, limit * UNPACKED)


def _all(found: sources.Found, most: int) -> tuple[list[str], list[Any], dict[str, Any]] | None:
    texts: list[str] = []
    first: list[Any] = []
    size = 0
    with found.file:
        for line in readers.strictly(readers.read(found.file, found.kind, found.charset)):
            size += len(line.text)
            if size > most:
                return None
            texts.append(line.text)
            if len(first) < purposes.LOOKED_AT:
                first.append(line.value)
    return texts, first, {"size": found.size, "format": found.kind, **found.about}
