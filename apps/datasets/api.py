"""The six operations on datasets and their rows. Bodies that may hold a hundred thousand rows are read in a thread."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import Router
from pydantic_core import to_json

from apps.accounts.auth import caller
from apps.core import db
from apps.core.answers import nothing
from apps.core.errors import BadRequest
from apps.core.pages import PaginatedResponse
from apps.datasets import live, registering, registry, rows, schemas
from apps.datasets.models import Dataset

router = Router(tags=["Datasets"])
io = Router(tags=["DatasetIO"])
JSON = "application/json"


def body_of(schema: type) -> dict[str, Any]:
    """Return how the document tells of a body that the operation reads by itself."""
    reference = {"$ref": f"#/components/schemas/{schema.__name__}"}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": reference}}}}


@router.post("/datasets", response=schemas.Dataset, openapi_extra=body_of(schemas.RegisterDatasetRequest))
async def register_dataset(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Register a dataset; the same again changes nothing, other content under the same id is a conflict.

    A large source is loaded by a job, and cannot be read before that is done.
    """
    asked = await asyncio.to_thread(registry.read_request, request.body)
    dataset = await registering.register(asked, caller(request))
    await live.changed(dataset)
    return await _answer(dataset)


@router.get("/datasets", response=schemas.ListDatasetsResponse)
async def list_datasets(request: HttpRequest) -> HttpResponse:
    """List the datasets, oldest first; a source of many rows is told by its first ones."""
    return HttpResponse(b'{"data":[' + b",".join(await db.read(registry.listed)) + b"]}", content_type=JSON)


@router.get("/datasets/{path:dataset_id}", response=schemas.Dataset)
async def get_dataset(request: HttpRequest, dataset_id: str) -> HttpResponse | StreamingHttpResponse:
    """Return a dataset with all rows of its source."""
    return await _answer(await db.read(Dataset.objects.named, dataset_id))


@router.delete("/datasets/{path:dataset_id}")
async def unregister_dataset(request: HttpRequest, dataset_id: str) -> HttpResponse:
    """Take a dataset away with its rows; what it was read from is not touched."""
    dataset = await db.write(registry.unregister, dataset_id, caller(request))
    await live.changed(dataset)
    return nothing()


@io.get("/iterrows/{path:dataset_id}", response=PaginatedResponse)
async def iterrows(
    request: HttpRequest, dataset_id: str, start_index: int | None = None, limit: int | None = None
) -> HttpResponse | StreamingHttpResponse:
    """Return rows in the order they were added; without a limit, or with -1, all from ``start_index`` on."""
    start = start_index or 0
    if start < 0:
        raise BadRequest(f"start_index: must be 0 or more, not {start}")
    if limit is not None and limit < -1:
        raise BadRequest(f"limit: must be -1 (everything) or more, not {limit}")
    dataset, wanted, texts = await db.read(_page, dataset_id, start, None if limit == -1 else limit)
    more = to_json({"has_more": start + wanted < dataset.row_count, "url": request.path})[1:]
    if texts is not None:
        return HttpResponse(b'{"data":[' + ",".join(texts).encode() + b"]," + more, content_type=JSON)
    return StreamingHttpResponse(_streamed(b'{"data":[', dataset, start, wanted, b"]," + more), content_type=JSON)


@io.post("/append-rows/{path:dataset_id}", openapi_extra=body_of(schemas.AppendRowsRequest))
async def append_rows(request: HttpRequest, dataset_id: str) -> HttpResponse:
    """Add rows behind the last one, all of them or none; the next read sees them."""
    dataset = await db.read(Dataset.objects.named, dataset_id)
    texts = await asyncio.to_thread(registry.read_rows, request.body, dataset)
    dataset = await db.write(rows.append_rows, dataset_id, texts, caller(request))
    if texts:
        await live.changed(dataset)
    return nothing()


def _page(dataset_id: str, start: int, limit: int | None) -> tuple[Dataset, int, list[str] | None]:
    """Return the dataset, how many rows to tell, and their texts unless there are too many to hold."""
    dataset = Dataset.objects.named(dataset_id)
    dataset.check_readable()
    left = max(0, dataset.row_count - start)
    wanted = left if limit is None else min(limit, left)
    if wanted > rows.chunk_size(dataset):
        return dataset, wanted, None
    return dataset, wanted, rows.iterrows(dataset, start, wanted) if wanted else []


async def _answer(dataset: Dataset) -> HttpResponse | StreamingHttpResponse:
    if not dataset.has_rows_source or dataset.row_count <= rows.chunk_size(dataset):
        body = await db.read(lambda: b"".join(registry.as_json(dataset, rows.chunks(dataset))))
        return HttpResponse(body, content_type=JSON)
    frames = _streamed(registry.opening(dataset), dataset, 0, dataset.row_count, registry.CLOSING)
    return StreamingHttpResponse(frames, content_type=JSON)


async def _streamed(head: bytes, dataset: Dataset, start: int, wanted: int, tail: bytes) -> AsyncIterator[bytes]:
    """Yield a JSON answer around rows that are read chunk by chunk."""
    yield head
    position = dataset.places.position_of(start)
    comma = b""
    while wanted > 0:
        texts, position = await db.read(rows.chunk_from, dataset, position, wanted)
        if not texts:
            break
        wanted -= len(texts)
        yield comma + ",".join(texts).encode()
        comma = b","
    yield tail
