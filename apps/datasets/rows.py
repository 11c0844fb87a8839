"""The one door to rows: read them in order, add some behind them, change or take away one.

Rows are found by position and never by skipping over others, so a page costs the same anywhere. Adding locks the
dataset's own row for the moment it takes: rows that come together stand together, all of them or none.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, models
from django.utils.timezone import now

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core.errors import Conflict, NotFound
from apps.datasets import positions, purposes
from apps.datasets.models import Addition, Dataset, Row, State

CHUNK_ROWS = 2_000
CHUNK_BYTES = 4_000_000
COLUMNS = "dataset_id, position, content, origin"
Texts = Sequence[str]


@dataclass(frozen=True)
class Source:
    """Where rows come from: how they came, and the name of the file, address or turn."""

    how: str = "api"
    about: str = ""


def iterrows(dataset: Dataset, start_index: int, limit: int) -> list[str]:
    """Return the texts of at most ``limit`` rows from the ``start_index``-th on, in the order they were added."""
    rows = between(dataset, dataset.places.position_of(start_index), limit)
    return list(rows.order_by("position").values_list("content", flat=True))


def chunks(dataset: Dataset, start_index: int = 0, limit: int | None = None) -> Iterator[list[str]]:
    """Yield the texts of rows in chunks of bounded size; rows added meanwhile are left out."""
    position = dataset.places.position_of(start_index)
    left = dataset.row_count - start_index if limit is None else limit
    while left > 0:
        found, position = chunk_from(dataset, position, left)
        if not found:
            return
        left -= len(found)
        yield found


def chunk_from(dataset: Dataset, position: int, limit: int) -> tuple[list[str], int]:
    """Return texts of rows from a position on, and the position after them."""
    rows = between(dataset, position, min(limit, chunk_size(dataset)))
    found = list(rows.order_by("position").values_list("content", "position"))
    return [content for content, _ in found], found[-1][1] + 1 if found else position


def between(dataset: Dataset, position: int, count: int) -> "models.QuerySet[Row]":
    """Return the ``count`` rows from a position on, by both ends: a LIMIT would let Postgres sort all that follow."""
    return within(dataset, position, min(dataset.places.after_rows(position, count), dataset.next_position))


def within(dataset: Dataset, position: int, end: int) -> "models.QuerySet[Row]":
    """Return the rows from a position on that stand before another."""
    return Row.objects.filter(dataset_id=dataset.pk, position__gte=position, position__lt=end)


def chunk_size(dataset: Dataset) -> int:
    """Return how many rows may be held at once."""
    average = dataset.size_bytes // max(1, dataset.row_count) + 1
    return max(1, min(CHUNK_ROWS, CHUNK_BYTES // average))


def append_rows(
    dataset_id: str, texts: Texts, actor: Principal, source: Source | None = None, origins: Sequence[Any] | None = None
) -> Dataset:
    """Add rows behind the last one and return the dataset; called inside a write, whose failure undoes it.

    Raises NotFound, and BadRequest while the dataset is still being loaded. The texts must have been checked.
    """
    return append_chunks(dataset_id, [(texts, origins)], actor, source)


def append_chunks(
    dataset_id: str,
    chunks: Iterable[tuple[Texts, Sequence[Any] | None]],
    actor: Principal,
    source: Source | None = None,
) -> Dataset:
    """Add rows, with where each came from, that are too many to be held at once; else as ``append_rows``."""
    dataset = locked(dataset_id)
    dataset.check_readable()
    count = size = 0
    for texts, origins in chunks:
        insert(dataset.pk, dataset.next_position + count, texts, origins)
        count, size = count + len(texts), size + size_of(texts)
    if not count:
        return dataset
    source = source or Source()
    note_addition(dataset, count, actor, source)
    grow(dataset, count, size)
    audit.note(actor, "append", "dataset", dataset.dataset_id, rows=count, how=source.how)
    return dataset


def locked(dataset_id: str) -> Dataset:
    """Return the dataset, its row locked until the transaction ends; raises NotFound."""
    Dataset.objects.named(dataset_id)
    dataset = Dataset.objects.select_for_update().shown().filter(dataset_id=dataset_id).first()
    if dataset is None:
        raise NotFound(f"Dataset '{dataset_id}' not found")
    return dataset


def insert(dataset_pk: int, start: int, texts: Texts, origins: Sequence[Any] | None = None) -> None:
    """Store row texts at ``start`` and behind it, by the fastest way the database has."""
    kept = Row._meta.get_field("origin").get_prep_value
    told = [None if origin is None else kept(origin) for origin in origins] if origins else [None] * len(texts)
    values = ((dataset_pk, start + at, text, told[at]) for at, text in enumerate(texts))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY datasets_row ({COLUMNS}) FROM STDIN") as copy:
                for value in values:
                    copy.write_row(value)
        else:
            cursor.executemany(f"INSERT INTO datasets_row ({COLUMNS}) VALUES (%s, %s, %s, %s)", list(values))


def note_addition(dataset: Dataset, count: int, actor: Principal, source: Source) -> None:
    """Keep who brought the rows about to be counted, and how."""
    Addition.objects.create(
        dataset=dataset, start=dataset.next_position, count=count, how=source.how, about=source.about, by=actor.name
    )


def grow(dataset: Dataset, count: int, size: int) -> None:
    """Count stored rows: from the commit on they are seen."""
    dataset.row_count += count
    dataset.next_position += count
    dataset.size_bytes += size
    dataset.updated_at = now()
    dataset.save(update_fields=["row_count", "next_position", "size_bytes", "updated_at"])


def size_of(texts: Texts) -> int:
    """Return about how many bytes the texts take."""
    return sum(map(len, texts))


def row_at(dataset: Dataset, position: int) -> Row:
    """Return the row at a position; raises NotFound."""
    row = Row.objects.filter(dataset_id=dataset.pk, position=position).first()
    if row is None or position >= dataset.next_position:
        raise NotFound(f"Dataset '{dataset.dataset_id}' has no row {position + 1}")
    return row


def replace_row(dataset_id: str, position: int, text: str, actor: Principal, was: str | None = None) -> Row:
    """Give a row other content; called inside a write. Raises Conflict when it no longer reads ``was``."""
    dataset = locked(dataset_id)
    row = row_at(dataset, position)
    if was is not None and row.content != was:
        raise Conflict(f"Row {position + 1} was changed meanwhile; reload it and try again.")
    Dataset.objects.filter(pk=dataset.pk).update(
        updated_at=now(), size_bytes=dataset.size_bytes + len(text) - len(row.content)
    )
    row.content = text
    row.save(update_fields=["content"])
    recheck(dataset)
    audit.note(actor, "update", "dataset", dataset.dataset_id, row=position)
    return row


def delete_rows(dataset_id: str, places: Sequence[int], actor: Principal) -> Dataset:
    """Take rows away by position and return the dataset; those that are gone already are passed over."""
    dataset = locked(dataset_id)
    rows = Row.objects.filter(dataset_id=dataset.pk, position__in=places, position__lt=dataset.next_position)
    found = list(rows.values_list("pk", "position", "content"))
    if not found:
        return dataset
    Row.objects.filter(pk__in=[pk for pk, _, _ in found])._raw_delete(using=rows.db)
    dataset.gaps = positions.with_gaps(dataset.gaps, [position for _, position, _ in found])
    dataset.row_count -= len(found)
    dataset.size_bytes = max(0, dataset.size_bytes - sum(len(content) for _, _, content in found))
    dataset.updated_at = now()
    dataset.save(update_fields=["gaps", "row_count", "size_bytes", "updated_at"])
    recheck(dataset)
    audit.note(actor, "delete", "dataset_rows", dataset.dataset_id, rows=len(found))
    return dataset


def recheck(dataset: Dataset) -> None:
    """Take the warning back, or tell the next one, once rows that did not fit were mended or deleted."""
    if not dataset.warning:
        return
    first = between(dataset, 0, purposes.LOOKED_AT).order_by("position").values_list("position", "content")
    wrong = ((position, purposes.problem(dataset.purpose, json.loads(content))) for position, content in first)
    dataset.warning = next((f"Row {position + 1}: {why}" for position, why in wrong if why), "")
    dataset.save(update_fields=["warning"])


def fits(dataset: Dataset, row: dict[str, Any]) -> str | None:
    """Return why a row may not be added: it breaks the purpose's columns, which the dataset has kept so far."""
    return None if dataset.warning else purposes.problem(dataset.purpose, row)


def is_ready(dataset: Dataset) -> bool:
    """Return whether the rows may be read."""
    return dataset.state == State.READY
