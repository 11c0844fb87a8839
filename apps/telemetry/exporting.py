"""Spans kept as rows of a dataset, so many as match. Knows datasets only by their one door to rows."""

from collections.abc import Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any

from django.conf import settings
from pydantic_core import from_json, to_json

from apps.accounts.principals import Principal
from apps.core import db
from apps.core.errors import BadRequest, TooLarge
from apps.datasets import live, purposes, registry, rows
from apps.datasets.models import Dataset
from apps.telemetry import trees
from apps.telemetry.schemas import SaveSpansToDatasetRequest
from apps.telemetry.trees import Found, moment

Json = dict[str, Any]
COLUMNS = ("trace_id", "span_id", "parent_span_id", "name", "start_time", "end_time")
IN_MEMORY = 8_000_000  # bytes of rows beyond which they wait in a file
AT_ONCE = 500  # rows stored in one statement
SOURCE = rows.Source("span", "telemetry")


async def export(request: SaveSpansToDatasetRequest, actor: Principal) -> None:
    """Append the spans asked for to a dataset, all or none; raises NotFound, BadRequest and TooLarge.

    They are read first and wait in a file: the one transaction that stores them does nothing else. A dataset whose
    purpose knows other columns takes them all the same, and warns from then on.
    """
    keys = list(dict.fromkeys(request.attributes_to_save))
    if taken := [key for key in keys if key in COLUMNS]:
        raise BadRequest(f"attributes_to_save: every row has a column '{taken[0]}' of its own; leave it out")
    await db.read(_readable, request.dataset_id)
    chunks = _lines(trees.selection(request.attribute_filters, keys, request.max_depth), keys)
    with SpooledTemporaryFile(max_size=IN_MEMORY) as waiting:
        while (lines := await db.step(chunks)) is not None:
            waiting.write(lines)
        dataset = await db.write(_append, request.dataset_id, waiting, actor)
    if dataset is not None:
        await live.changed(dataset)


def row_of(span: Found, keys: Sequence[str]) -> Json:
    """Return a span as a row: what every span has, and one column for each of the attributes."""
    told = (
        span.trace_id, span.span_id, span.parent_span_id or None, span.name,
        moment(span.start_ns), None if span.end_ns is None else moment(span.end_ns),
    )  # fmt: skip
    return dict(zip(COLUMNS, told, strict=True)) | span.asked(keys)


def origin_of(row: Json) -> Json:
    """Return what leads from the row back to its span."""
    return {"kind": "span", "trace_id": row["trace_id"], "span_id": row["span_id"], "span_name": row["name"]}


def _readable(dataset_id: str) -> None:
    Dataset.objects.named(dataset_id).check_readable()


def _lines(chunks: Iterator[list[Found]], keys: Sequence[str]) -> Iterator[bytes]:
    for chunk in chunks:
        yield b"".join(_line(span, keys) for span in chunk)


def _line(span: Found, keys: Sequence[str]) -> bytes:
    line = to_json(row_of(span, keys))
    if len(line) > settings.DATASET_MAX_ROW_BYTES:
        limit = f"{settings.DATASET_MAX_ROW_BYTES:,} bytes (DATASET_MAX_ROW_BYTES)"
        raise TooLarge(f"Span '{span.span_id}' makes a row larger than {limit}; save fewer attributes.")
    return line + b"\n"


def _append(dataset_id: str, waiting: "SpooledTemporaryFile[bytes]", actor: Principal) -> Dataset | None:
    """Store the waiting rows; called inside a write. Returns None when there are none."""
    waiting.seek(0)
    first = [from_json(line) for _, line in zip(range(purposes.LOOKED_AT), waiting, strict=False)]
    if not first:
        return None
    waiting.seek(0)
    start = rows.locked(dataset_id).next_position
    dataset = rows.append_chunks(dataset_id, _chunks(waiting), actor, SOURCE)
    if not dataset.warning:
        dataset.warning = registry.warning_for(dataset.purpose, first, start)
        dataset.save(update_fields=["warning"])
    return dataset


def _chunks(waiting: "SpooledTemporaryFile[bytes]") -> Iterator[tuple[list[str], list[Json]]]:
    texts: list[str] = []
    origins: list[Json] = []
    for line in waiting:
        text = line[:-1].decode()
        texts.append(text)
        origins.append(origin_of(from_json(text)))
        if len(texts) == AT_ONCE:
            yield texts, origins
            texts, origins = [], []
    if texts:
        yield texts, origins
