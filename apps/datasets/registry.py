"""Registering datasets and taking them away. The same again changes nothing; something else is a conflict."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import transaction
from pydantic_core import to_json

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core.errors import BadRequest, Conflict
from apps.core.ids import new_id, why_unfit
from apps.datasets import purposes, rows, schemas, sources
from apps.datasets.cutting import Cutter
from apps.datasets.models import Addition, Dataset, Row, State
from apps.jobs import runner
from apps.jobs.models import Job

DELETED_AT_ONCE = 20_000
LISTED_ROWS = 10  # rows of a source that the list of datasets tells; each dataset by itself tells all
LISTED_BYTES = 100_000
CLOSING = b"]}}"


class Request:
    """A registration that was read: what it says, its rows as text, and whether the first ones fit the purpose."""

    def __init__(self, asked: schemas.RegisterDatasetRequest, texts: Sequence[str], first: list[dict[str, Any]]):
        self.asked = asked
        self.texts = texts
        self.warning = warning_for(asked.purpose, first)


def read_request(body: bytes) -> Request:
    """Return what a body asks for; raises BadRequest, or TooLarge for a row over the limit."""
    first: list[dict[str, Any]] = []

    def see(number: int, row: dict[str, Any]) -> None:
        if number < purposes.LOOKED_AT:
            first.append(row)

    cutter = Cutter(("source", "rows"), see)
    asked = schemas.RegisterDatasetRequest.model_validate(_storable(cutter.read(body)))
    check_name(asked.dataset_id)
    if isinstance(asked.source, schemas.URIDataSource):
        sources.check(asked.source.uri)
    return Request(asked, cutter.rows, first)


def read_rows(body: bytes, dataset: Dataset) -> list[str]:
    """Return the texts of the rows to append to a dataset; raises BadRequest for one that breaks its columns."""

    def see(number: int, row: dict[str, Any]) -> None:
        if wrong := rows.fits(dataset, row):
            raise BadRequest(f"rows.{number}: {wrong}")

    cutter = Cutter(("rows",), see)
    schemas.AppendRowsRequest.model_validate(cutter.read(body))
    return cutter.rows


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    try:
        to_json(value)
    except ValueError as error:
        raise BadRequest("The body holds half of a surrogate pair outside the rows, which is no character.") from error
    return value


def check_name(dataset_id: str | None) -> None:
    """Raise BadRequest for a name nothing could be found by."""
    if dataset_id is not None and (wrong := why_unfit(dataset_id)):
        raise BadRequest(f"dataset_id: {wrong}")


def warning_for(purpose: str, first: list[dict[str, Any]], start: int = 0) -> str:
    """Return why rows, of which the first stands at position ``start``, do not fit the purpose, or ""."""
    for number, row in enumerate(first, start + 1):
        if wrong := purposes.problem(purpose, row):
            return f"Row {number}: {wrong}"
    return ""


def existing(request: Request) -> Dataset | None:
    """Return the dataset of this name when it holds the same; raises Conflict when it holds something else."""
    asked = request.asked
    found = Dataset.objects.shown().filter(dataset_id=asked.dataset_id or "").first()
    if found is None:
        return None
    same = found.purpose == asked.purpose and found.metadata == (asked.metadata or {})
    if isinstance(asked.source, schemas.URIDataSource):
        same = same and found.source == {"type": "uri", "uri": asked.source.uri}
    else:
        same = same and found.has_rows_source and _same_rows(found, request.texts)
    if not same:
        raise Conflict(
            f"Dataset '{found.dataset_id}' exists with other content; delete it first, or choose another id."
        )
    return found


def _same_rows(dataset: Dataset, texts: Sequence[str]) -> bool:
    first = Addition.objects.filter(dataset=dataset).order_by("start").first()
    registered = first.count if first is not None and first.start == 0 else 0
    if registered != len(texts):
        return False
    at = 0
    for stored in rows.chunks(dataset, 0, min(registered, dataset.row_count)):
        if any(not _equal(mine, theirs) for mine, theirs in zip(stored, texts[at : at + len(stored)], strict=True)):
            return False
        at += len(stored)
    return at == len(texts)


def _equal(one: str, other: str) -> bool:
    return one == other or _value(one) == _value(other)


def _value(text: str) -> Any:
    return json.loads(text)


def make(request: Request, actor: Principal, state: State = State.READY) -> Dataset:
    """Insert the dataset without its rows; called inside a write."""
    asked = request.asked
    source: Any = {"type": "rows"} if isinstance(asked.source, schemas.RowsDataSource) else asked.source.model_dump()
    metadata: Any = asked.metadata or {}
    dataset = Dataset.objects.create(
        dataset_id=asked.dataset_id or f"dataset-{new_id()}",
        purpose=asked.purpose,
        source=source,
        metadata=metadata,
        warning=request.warning,
        state=state,
        created_by_id=actor.user_id,
    )
    audit.note(actor, "create", "dataset", dataset.dataset_id, purpose=dataset.purpose, source=source["type"])
    return dataset


def register_rows(request: Request, actor: Principal, source: rows.Source | None = None, **about: Any) -> Dataset:
    """Insert a dataset with its rows, or return the one that holds them already; called inside a write."""
    found = existing(request)
    if found is not None:
        return found
    dataset = make(request, actor)
    fill(dataset, request.texts, actor, source or rows.Source(), **about)
    return dataset


def fill(dataset: Dataset, texts: Sequence[str], actor: Principal, source: rows.Source, **about: Any) -> None:
    """Store the first rows of a dataset that was just made."""
    if about:
        dataset.read_from = about
        dataset.save(update_fields=["read_from"])
    if texts:
        rows.insert(dataset.pk, 0, texts)
        rows.note_addition(dataset, len(texts), actor, source)
        rows.grow(dataset, len(texts), rows.size_of(texts))


def unregister(dataset_id: str, actor: Principal) -> Dataset:
    """Take a dataset away with its rows; called inside a write. Raises NotFound, Conflict while a job reads it.

    Many rows are hidden at once and removed by a job.
    """
    dataset = rows.locked(dataset_id)
    active = Job.objects.active()
    jobs = active.filter(about_kind="dataset", about_id=dataset.dataset_id)
    # A job about something else tells by an argument of this name which dataset it reads.
    readers = active.filter(arguments__dataset_id=dataset.dataset_id)
    reading = jobs.exclude(job_id=dataset.job_id).first() or readers.first()
    if reading is not None:
        raise Conflict(f"Dataset '{dataset_id}' is in use by job {reading.job_id} ({reading.title}); cancel it first.")
    runner.cancel(jobs, actor)
    audit.note(actor, "delete", "dataset", dataset.dataset_id, rows=dataset.row_count)
    if dataset.next_position <= DELETED_AT_ONCE and dataset.state != State.LOADING:
        remove(dataset)
    else:
        hide(dataset, actor)
    return dataset


def remove(dataset: Dataset) -> None:
    """Delete a dataset, its rows and what is known of them, without loading them."""
    Row.objects.filter(dataset_id=dataset.pk)._raw_delete(using="default")
    Addition.objects.filter(dataset_id=dataset.pk)._raw_delete(using="default")
    Dataset.objects.filter(pk=dataset.pk)._raw_delete(using="default")


def hide(dataset: Dataset, actor: Principal) -> None:
    """Give the name free at once and leave the rows to a job."""
    title = f"Remove the rows of {dataset.dataset_id}"
    Dataset.objects.filter(pk=dataset.pk).update(
        state=State.HIDDEN, dataset_id=f"~{dataset.pk}~{new_id()}", row_count=0
    )
    runner.enqueue("apps.datasets.loading.purge", {"pk": dataset.pk}, kind="dataset removal", title=title, actor=actor)


def listed() -> list[bytes]:
    """Return every dataset as JSON, oldest first; of long sources only the first rows."""
    found = list(Dataset.objects.shown().order_by("id"))
    short = [one.pk for one in found if one.has_rows_source and one.size_bytes <= LISTED_BYTES * max(1, one.row_count)]
    texts: dict[int, list[str]] = {}
    head = Row.objects.filter(dataset_id__in=short, position__lt=LISTED_ROWS).order_by("dataset_id", "position")
    for pk, position, content in head.values_list("dataset_id", "position", "content"):
        if position < LISTED_ROWS:
            texts.setdefault(pk, []).append(content)
    return [b"".join(as_json(one, iter([texts.get(one.pk, [])]))) for one in found]


def as_json(dataset: Dataset, chunks: Iterator[list[str]]) -> Iterator[bytes]:
    """Yield a dataset as the API's JSON; the rows of its source come in chunks and are never held together."""
    if not dataset.has_rows_source:
        yield to_json(dataset.facts())
        return
    yield opening(dataset)
    comma = b""
    for texts in chunks:
        if texts:
            yield comma + ",".join(texts).encode()
            comma = b","
    yield CLOSING


def opening(dataset: Dataset) -> bytes:
    """Return the API's JSON of a dataset up to the first row of its source."""
    facts = dataset.facts()
    del facts["source"]
    return to_json(facts)[:-1] + b',"source":{"type":"rows","rows":['


@transaction.atomic
def register_now(request: Request, actor: Principal, source: rows.Source | None = None) -> Dataset:
    """Register from synchronous code, in a transaction of its own."""
    return register_rows(request, actor, source)
