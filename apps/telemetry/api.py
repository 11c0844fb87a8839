"""The seven operations of telemetry: traces, spans, their trees, spans as rows of a dataset, and metrics.

Those that only read are open to whoever may read, though they are sent by POST.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import Router

from apps.accounts.auth import caller, viewer
from apps.core import db
from apps.core.answers import answer, nothing
from apps.telemetry import exporting, query, schemas, trees
from apps.telemetry.metrics import series

router = Router(tags=["Telemetry"])
JSON = "application/json"
READS: dict[str, Any] = {"auth": viewer, "openapi_extra": {"x-role": "viewer"}}
TRACES = 100  # told when no limit is asked for


@router.post("/telemetry/traces", response=schemas.QueryTracesResponse, **READS)
async def query_traces(request: HttpRequest, body: schemas.QueryTracesRequest) -> HttpResponse:
    """List traces that have one span which meets every condition, newest first unless told otherwise.

    Traces whose root span is not known are left out. ``order_by`` takes ``start_time``, ``end_time``, ``trace_id`` and
    ``root_span_id``, with ``-`` before it for descending.
    """
    limit = TRACES if body.limit is None else body.limit
    found = await db.read(query.traces, body.attribute_filters or [], body.order_by or [], limit, body.offset or 0)
    return HttpResponse(f'{{"data":[{",".join(trees.trace_json(*row) for row in found)}]}}', content_type=JSON)


@router.get("/telemetry/traces/{path:trace_id}/spans/{path:span_id}", response=schemas.Span)
async def get_span(request: HttpRequest, trace_id: str, span_id: str) -> HttpResponse:
    """Return a span of a trace with all its attributes."""
    return HttpResponse(trees.as_json(await db.read(trees.span, trace_id, span_id)), content_type=JSON)


@router.get("/telemetry/traces/{path:trace_id}", response=schemas.Trace)
async def get_trace(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Return a trace; one whose root is not known is told with its topmost span."""
    return HttpResponse(trees.trace_json(*await db.read(trees.trace, trace_id)), content_type=JSON)


@router.post("/telemetry/spans", response=schemas.QuerySpansResponse, **READS)
async def query_spans(request: HttpRequest, body: schemas.QuerySpansRequest) -> HttpResponse | StreamingHttpResponse:
    """List the spans of all matching traces, from each root down, that have every attribute asked for.

    Without attributes asked for, every span comes with all it has.
    """
    keys = body.attributes_to_return
    told = partial(trees.as_json, keys=keys or None)

    def begin() -> Iterator[bytes]:
        return trees.pieces(trees.selection(body.attribute_filters, keys, body.max_depth), told)

    return await _answer(b'{"data":[', begin, b"]}")


@router.post("/telemetry/spans/export")
async def save_spans_to_dataset(request: HttpRequest, body: schemas.SaveSpansToDatasetRequest) -> HttpResponse:
    """Append spans, chosen as ``query_spans`` does, to a dataset: one row for each, one column for each attribute."""
    await exporting.export(body, caller(request))
    return nothing()


@router.post("/telemetry/spans/{path:span_id}/tree", response=schemas.QuerySpanTreeResponse, **READS)
async def get_span_tree(
    request: HttpRequest, span_id: str, body: schemas.GetSpanTreeRequest
) -> HttpResponse | StreamingHttpResponse:
    """Return a span and all below it by span id, in order of depth, then start."""
    told = partial(trees.as_entry, keys=body.attributes_to_return or None)

    def begin() -> Iterator[bytes]:
        return trees.pieces(trees.subtree(span_id, body.max_depth), told)

    return await _answer(b'{"data":{', begin, b"}}")


@router.post("/telemetry/metrics/{path:metric_name}", response=schemas.QueryMetricsResponse, **READS)
async def query_metrics(request: HttpRequest, metric_name: str, body: schemas.QueryMetricsRequest) -> HttpResponse:
    """Return the values of a metric over time, one series for each set of labels."""
    found = await db.read(series.query, metric_name, body)
    return answer(schemas.QueryMetricsResponse(data=found))


async def _answer(
    head: bytes, begin: Callable[[], Iterator[bytes]], tail: bytes
) -> HttpResponse | StreamingHttpResponse:
    """Answer with the pieces between head and tail: at once where there is one, else as they are read."""

    def begun() -> tuple[Iterator[bytes], list[bytes]]:
        pieces = begin()  # anew each time: the reader may have to try twice
        return pieces, list(islice(pieces, 2))

    pieces, first = await db.read(begun)
    if len(first) < 2:
        return HttpResponse(b"".join((head, *first, tail)), content_type=JSON)
    return StreamingHttpResponse(_streamed(head, first, pieces, tail), content_type=JSON)


async def _streamed(head: bytes, first: list[bytes], pieces: Iterator[bytes], tail: bytes) -> AsyncIterator[bytes]:
    yield head + b",".join(first)
    while (piece := await db.step(pieces)) is not None:
        yield b"," + piece
    yield tail
