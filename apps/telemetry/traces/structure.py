"""The shape of a trace without its bodies, as columns: what the trace page draws, and what its live frames add.

Spans are called by their arrival number, ``Span.pk``: random span ids would double what is sent. The keys:

- ``id`` arrival numbers, each less the one before it, the first less ``base``;
- ``parent`` the parent's arrival number less ``base``; 0 is a span without parent, -1 one whose parent is not here;
- ``lost`` for the latter [parent's span id, [numbers less base]], so that a parent that comes late finds its children;
- ``start`` microseconds after ``t0``, ``dur`` microseconds or null while open;
- ``kind`` places in ``kinds``, ``name`` places in ``names``: what people call them (``naming.label_of``);
- ``error`` 0 or 1; ``tokens`` -1 when none were told;
- ``sid`` span ids, only where spans are added to a page that has others already.
"""

import time
from collections.abc import Sequence
from typing import Any

from django.db.models import Max

from apps.agents.models import Status as TurnStatus
from apps.telemetry.bulk import chunked
from apps.telemetry.models import Kind, SpanAttribute, Status, Trace
from apps.telemetry.traces.naming import LABELLED, LABELLING, Naming, label_of, names_of

MOST = 60_000  # spans of one answer; what is left is asked for with ``after``
FRAME = 2_000  # spans one live frame carries; for more the page reads the structure anew
CHUNK = 400  # values one query names; SQLite may take as few as 999
STALE_NS = 15 * 60 * 10**9  # an open trace of which nothing was heard for this long is not waited for
COLUMNS = (
    "id", "span_id", "parent_span_id", "name", "kind", "status", "start_ns", "end_ns", "input_tokens", "output_tokens",
)  # fmt: skip
DRAWN = ("id", "parent", "start", "dur", "kind", "error", "tokens", "name")
KINDS = [str(kind) for kind in Kind.values]
Row = tuple[Any, ...]
Json = dict[str, Any]


def of_trace(trace: Trace, after: int = 0) -> Json:
    """Return the columns of a trace and the facts of its head; ``after`` leaves out what the page has already."""
    found = trace.spans.order_by("id").values_list(*COLUMNS)
    rows = list((found.filter(id__gt=after) if after else found)[:MOST])
    base = 0 if after else (rows[0][0] - 1 if rows else 0)
    return _columns(trace, rows, base, is_all=not after) | _head(trace, rows)


def of_nothing() -> Json:
    """Return the columns of a trace that is not stored: not yet, or no more."""
    return {
        **{name: [] for name in (*DRAWN, "names", "lost")}, "kinds": KINDS, "base": 0, "t0": 0,
        "total": 0, "last": None, "status": "", "live": False, "now": 0,
    }  # fmt: skip


def of_spans(trace_id: str, numbers: Sequence[int]) -> Json | None:
    """Return the same columns for these spans alone; None when the trace is gone or they are too many."""
    trace = Trace.objects.filter(trace_id=trace_id).first()
    if trace is None or len(numbers) > FRAME:
        return None
    rows: list[Row] = []
    for chunk in chunked(sorted(set(numbers)), CHUNK):
        rows += trace.spans.filter(id__in=chunk).order_by("id").values_list(*COLUMNS)
    return _columns(trace, rows, 0, is_all=False) | _head(trace, [])


def is_live(trace: Trace, naming: Naming | None = None) -> bool:
    """Return whether more is to come: the root is open, its turn is not over, and something was heard lately."""
    if trace.end_ns is not None:
        return False
    turn_state = (naming or names_of([trace])[trace.trace_id]).turn_state
    if turn_state:
        return turn_state == TurnStatus.RUNNING
    newest = trace.spans.aggregate(start=Max("start_ns"), end=Max("end_ns"))
    heard = max(newest["start"] or 0, newest["end"] or 0, trace.start_ns)
    return time.time_ns() - heard < STALE_NS


def _head(trace: Trace, rows: list[Row]) -> Json:
    return {
        "total": trace.span_count,
        "last": rows[-1][0] if len(rows) == MOST else None,
        "status": trace.status,
        "live": is_live(trace),
        "now": time.time_ns() // 1000,
    }


def _columns(trace: Trace, rows: list[Row], base: int, *, is_all: bool) -> Json:
    t0 = trace.start_ns // 1000
    known = _known(trace, rows, is_all=is_all)
    names: dict[str, int] = {}
    labels = _labels(trace, rows)
    kinds = {kind: place for place, kind in enumerate(KINDS)}
    lost: dict[str, list[int]] = {}
    columns: Json = {name: [] for name in DRAWN}
    ids, parents, starts, durations, of_kind, errors, tokens, named = (column.append for column in columns.values())
    before = base
    for number, span_id, parent_id, name, kind, status, start, end, read, written in rows:
        parent = known.get(parent_id, -1) if parent_id and parent_id != span_id else 0
        if parent == -1:
            lost.setdefault(parent_id, []).append(number - base)
        ids(number - before)
        before = number
        parents(parent - base if parent > 0 else parent)
        starts(start // 1000 - t0)
        durations(None if end is None else max(0, (end - start) // 1000))
        of_kind(kinds.get(kind, 0))
        errors(int(status == Status.ERROR))
        tokens(-1 if read is None and written is None else (read or 0) + (written or 0))
        named(names.setdefault(labels.get(number) or name, len(names)))
    columns |= {"base": base, "t0": t0, "kinds": KINDS, "names": list(names), "lost": list(lost.items())}
    return columns if is_all else columns | {"sid": [row[1] for row in rows]}


def _labels(trace: Trace, rows: list[Row]) -> dict[int, str]:
    """Return what to call the spans whose names say too little, by their arrival number."""
    named = {row[0]: row[3] for row in rows if row[3] in LABELLED}
    if not named:
        return {}
    naming = names_of([trace])[trace.trace_id]
    told: dict[int, dict[str, str]] = {number: {} for number in named}
    for chunk in chunked(list(named), CHUNK):
        found = SpanAttribute.objects.filter(trace=trace, span__in=chunk, key__name__in=LABELLING)
        for number, key, text in found.values_list("span_id", "key__name", "text"):
            told[number][key] = text
    return {number: label_of(name, told[number], naming) for number, name in named.items()}


def _known(trace: Trace, rows: list[Row], *, is_all: bool) -> dict[str, int]:
    """Return the arrival number of each parent that is here by its span id."""
    known = {row[1]: row[0] for row in rows}
    if not is_all:
        wanted = {row[2] for row in rows if row[2]} - known.keys()
        for chunk in chunked(sorted(wanted), CHUNK):
            known |= trace.spans.filter(span_id__in=chunk).values_list("span_id", "id")
    return known
