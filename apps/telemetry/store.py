"""Writes spans, and keeps the row of their trace in step: the one place that does.

Every door hands its spans to ``save``. Spans may come in any order, twice, while they are still open, and long after
their trace seemed over; each is counted once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Max

from apps.core.fields import json_text
from apps.telemetry import known, summing
from apps.telemetry.bulk import chunked, clean, insert, insert_returning, update
from apps.telemetry.models import NAME, Span, SpanAttribute, Trace
from apps.telemetry.records import HOT, SpanRecord, values

Spot = tuple[int, str]  # the trace's primary key and the span's id
ASKED = 5_000  # ids one query names
SPAN_COLUMNS = (
    "trace_id", "span_id", "parent_span_id", "name", "kind", "status", "start_ns", "end_ns", "input_tokens",
    "output_tokens", *HOT, "otel_kind", "scope", "resource_id", "message", "attributes", "events", "links",
)  # fmt: skip
KNOWN = ("trace_id", "span_id", "name", "kind", "status", "start_ns", "end_ns", "input_tokens", "output_tokens")
ATTRIBUTE_COLUMNS = ("key_id", "kind", "text", "number", "start_ns", "trace_id", "span_id")


@dataclass
class Saved:
    """What a save did: ids of traces that are new, and for those that were known the spans that are new or changed."""

    new: list[str] = field(default_factory=list)
    changed: dict[str, list[int]] = field(default_factory=dict)


def save(records: Sequence[SpanRecord]) -> Saved:
    """Store spans and return what changed; called inside a write, whose failure undoes it all."""
    merged = _merged(records)
    if not merged:
        return Saved()
    with transaction.atomic():
        traces, new = _traces(merged)
        fresh, again = _apart(merged, traces, new)
        pks = _insert_spans(fresh, traces)
        _replace_spans(again, traces)
        pks |= {_spot(record, traces): old.pk for record, old in again}
        written = [*fresh, *(record for record, _ in again)]
        _insert_attributes(written, traces, pks)
        _sum_up(fresh, again, traces, new)
    return _saved(new, written, traces, pks)


def record_of(span: Span, trace_id: str) -> SpanRecord:
    """Return a stored span as it came, to be stored anew; its resource is loaded with it."""
    return SpanRecord(
        trace_id=trace_id,
        span_id=span.span_id,
        name=span.name,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        parent_span_id=span.parent_span_id,
        status=span.status,
        message=span.message,
        attributes=span.attributes,
        events=span.events or [],
        links=span.links or [],
        otel_kind=span.otel_kind,
        scope=span.scope,
        resource=span.resource.attributes if span.resource else {},
    )


def _merged(records: Sequence[SpanRecord]) -> list[SpanRecord]:
    """Return each span once, in order of start; of one that came twice, what ended counts."""
    merged: dict[tuple[str, str], SpanRecord] = {}
    for record in records:
        record.forget_credentials()
        key = (record.trace_id, record.span_id)
        if key not in merged or merged[key].end_ns is None or record.replaces:
            merged[key] = record
    return sorted(merged.values(), key=lambda record: record.start_ns)


def _traces(records: list[SpanRecord]) -> tuple[dict[str, Trace], set[str]]:
    """Return the row of each span's trace, locked, and the ids of those that were made now."""
    ids = sorted({record.trace_id for record in records})
    found = _locked(ids)
    missing = [trace_id for trace_id in ids if trace_id not in found]
    if not missing:
        return found, set()
    by_trace: dict[str, list[SpanRecord]] = {}
    for record in records:
        by_trace.setdefault(record.trace_id, []).append(record)
    made = {trace_id: summing.begun(by_trace[trace_id]) for trace_id in missing}
    rows = [summing.values_of(made[trace_id]) for trace_id in missing]
    pks = dict(insert_returning(Trace, ("trace_id", *summing.COLUMNS), rows, "trace_id"))
    for trace_id, pk in pks.items():
        made[trace_id].pk = pk
        found[trace_id] = made[trace_id]
    found |= _locked([trace_id for trace_id in missing if trace_id not in pks])  # another process was faster
    return found, set(pks)


def _locked(ids: Sequence[str]) -> dict[str, Trace]:
    rows = Trace.objects.select_for_update().order_by("trace_id")
    return {row.trace_id: row for some in chunked(ids, ASKED) for row in rows.filter(trace_id__in=some)}


def _apart(
    records: list[SpanRecord], traces: dict[str, Trace], new: set[str]
) -> tuple[list[SpanRecord], list[tuple[SpanRecord, Span]]]:
    """Return the spans that are not there yet, and those that take the place of one that is."""
    stored = _stored([record for record in records if record.trace_id not in new], traces)
    fresh, again = [], []
    for record in records:
        old = stored.get(_spot(record, traces))
        if old is None:
            fresh.append(record)
        elif record.replaces or (not _is_settled(old) and record.end_ns is not None):
            again.append((record, old))
    return fresh, again


def _stored(records: list[SpanRecord], traces: dict[str, Trace]) -> dict[Spot, Span]:
    """Return the spans that are there already, without what they hold."""
    found: dict[Spot, Span] = {}
    for some in chunked(records, ASKED):
        spans = Span.objects.order_by().filter(
            trace__in={traces[record.trace_id].pk for record in some}, span_id__in={record.span_id for record in some}
        )
        found |= {(span.trace_id, span.span_id): span for span in spans.only(*KNOWN)}
    return found


def _is_settled(span: Span) -> bool:
    """Return whether it has ended and has a name: what comes again is the same."""
    return span.end_ns is not None and bool(span.name)


def _spot(record: SpanRecord, traces: dict[str, Trace]) -> Spot:
    return traces[record.trace_id].pk, record.span_id


def _insert_spans(records: list[SpanRecord], traces: dict[str, Trace]) -> dict[Spot, int]:
    stored = insert_returning(Span, SPAN_COLUMNS, _rows(records, traces), "trace_id", "span_id")
    return {(trace, span_id): pk for trace, span_id, pk in stored}


def _replace_spans(again: list[tuple[SpanRecord, Span]], traces: dict[str, Trace]) -> None:
    if not again:
        return
    rows = _rows([record for record, _ in again], traces)
    update(Span, SPAN_COLUMNS, [(*row, old.pk) for row, (_, old) in zip(rows, again, strict=True)])
    places = {traces[record.trace_id].pk for record, _ in again}
    for some in chunked([old.pk for _, old in again], ASKED):
        SpanAttribute.objects.filter(trace__in=places, span__in=some)._raw_delete("default")


def _rows(records: list[SpanRecord], traces: dict[str, Trace]) -> list[tuple[Any, ...]]:
    resources = known.resources([record.resource for record in records])
    pairs = zip(records, resources, strict=True)
    return [_span_values(record, traces[record.trace_id].pk, resource) for record, resource in pairs]


def _span_values(record: SpanRecord, trace: int, resource: int | None) -> tuple[Any, ...]:
    return (
        trace, record.span_id, record.parent_span_id, clean(record.name)[:NAME], str(record.kind), record.status,
        record.start_ns, record.end_ns, record.tokens("input"), record.tokens("output"),
        *(clean(record.hot(name)) for name in HOT),
        record.otel_kind, clean(record.scope)[:NAME], resource,
        clean(record.message), json_text(record.attributes),
        json_text(record.events) if record.events else None, json_text(record.links) if record.links else None,
    )  # fmt: skip


def _insert_attributes(records: list[SpanRecord], traces: dict[str, Trace], pks: dict[Spot, int]) -> None:
    # A span that another process stored meanwhile has its values already.
    told = [(spot, record, list(values(record))) for record in records if (spot := _spot(record, traces)) in pks]
    keys = known.keys({name for _, _, some in told for name, _ in some})
    rows = [
        (keys[known.key(name)], value.kind, clean(value.text), value.number, record.start_ns, spot[0], pks[spot])
        for spot, record, some in told
        for name, value in some
    ]
    insert(SpanAttribute, ATTRIBUTE_COLUMNS, rows)


def _sum_up(
    fresh: list[SpanRecord], again: list[tuple[SpanRecord, Span]], traces: dict[str, Trace], new: set[str]
) -> None:
    """Count into traces that were there before what came now."""
    counted = [*((record, None) for record in fresh if record.trace_id not in new), *again]
    touched = {trace_id: traces[trace_id] for trace_id in sorted({record.trace_id for record, _ in counted})}
    were_open = {trace.pk for trace in touched.values() if summing.is_open(trace)}
    for record, old in counted:
        if old is not None:
            summing.take_back(traces[record.trace_id], old)
        summing.add(traces[record.trace_id], record)
    ends = _last_ends([trace.pk for trace in touched.values() if trace.pk in were_open and not summing.is_open(trace)])
    for trace in touched.values():
        trace.end_ns = None if summing.is_open(trace) else ends.get(trace.pk, trace.end_ns)
    update(Trace, summing.COLUMNS, [(*summing.values_of(trace)[1:], trace.pk) for trace in touched.values()])


def _last_ends(traces: list[int]) -> dict[int, int]:
    """Return the end of the last span of each trace that is open no more: while it was, nobody kept it."""
    ends: dict[int, int] = {}
    for some in chunked(traces, ASKED):
        rows = Span.objects.order_by().filter(trace__in=some, end_ns__isnull=False).values("trace")
        ends |= {int(pk): last for pk, last in rows.annotate(last=Max("end_ns")).values_list("trace", "last")}
    return ends


def _saved(new: set[str], records: list[SpanRecord], traces: dict[str, Trace], pks: dict[Spot, int]) -> Saved:
    changed: dict[str, list[int]] = {}
    for record in records:
        spot = _spot(record, traces)
        if record.trace_id not in new and spot in pks:
            changed.setdefault(record.trace_id, []).append(pks[spot])
    return Saved(sorted(new), changed)
