"""Spans in the order of their trees, as JSON: one, those below one, those of all matching traces.

A tree is walked on its bare ids; what spans hold is read afterwards, a bounded number at a time, and attributes that
are asked for whole are passed on as they are stored.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from apps.core.errors import NotFound
from apps.telemetry.bulk import chunked
from apps.telemetry.conditions import ALWAYS, NEVER, Filter, Term, present
from apps.telemetry.query import OLDEST, fetch, joined_tests, matching, one_of
from apps.telemetry.schemas import QueryCondition
from apps.telemetry.windows import SECOND_NS

Json = dict[str, Any]
HELD = 250  # spans whose attributes are held at once
WALKED = 5_000  # spans of whole traces that are walked at once
NAMED = 500  # traces that are looked up at once


class Found(NamedTuple):
    """A span as it is answered; ``attributes`` is JSON text."""

    pk: int
    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    status: str
    start_ns: int
    end_ns: int | None
    attributes: str

    def asked(self, keys: Sequence[str]) -> Json:
        """Return the attributes of these names that are there and not null, in the order asked."""
        held = from_json(self.attributes)
        return {key: held[key] for key in keys if held.get(key) is not None}


FOUND = (
    "SELECT s.id, t.trace_id, s.span_id, s.parent_span_id, s.name, s.status, s.start_ns, s.end_ns, s.attributes "
    "FROM telemetry_span s JOIN telemetry_trace t ON t.id = s.trace_id WHERE "
)


class _Node(NamedTuple):
    """A span without what it holds."""

    start_ns: int
    pk: int
    span_id: str
    parent_span_id: str
    trace: int


NODE = "SELECT s.start_ns, s.id, s.span_id, s.parent_span_id, s.trace_id FROM telemetry_span s "
ROOT = "JOIN telemetry_trace t ON t.id = s.trace_id AND t.root_span_id = s.span_id"


def trace(trace_id: str) -> tuple[Any, ...]:
    """Return id, root span id, start and end of a trace, its topmost span for a root not known; raises NotFound."""
    told = "SELECT t.id, t.trace_id, t.root_span_id, t.start_ns, t.end_ns FROM telemetry_trace t WHERE t.trace_id = %s"
    rows = fetch(Term(told, (trace_id,)))
    if not rows:
        raise NotFound(f"Trace '{_shown(trace_id)}' not found")
    pk, _, root, start_ns, end_ns = rows[0]
    return trace_id, root or _topmost(_nodes([pk])), start_ns, end_ns


def span(trace_id: str, span_id: str) -> Found:
    """Return a span of a trace; raises NotFound, also for a span of another trace."""
    select = Term(f"{FOUND}t.trace_id = %s AND s.span_id = %s", (trace_id, span_id))
    rows = fetch(select)
    if not rows:
        raise NotFound(f"Span '{_shown(span_id)}' not found in trace '{_shown(trace_id)}'")
    return Found(*rows[0])


def subtree(span_id: str, max_depth: int | None) -> Iterator[list[Found]]:
    """Yield the newest span of this id and what is below it, in order of depth, then start; raises NotFound."""
    newest = "WHERE s.span_id = %s ORDER BY s.start_ns DESC, s.id DESC LIMIT 1"
    rows = [_Node(*row) for row in fetch(Term(NODE + newest, (span_id,)))]
    if not rows:
        raise NotFound(f"Span '{_shown(span_id)}' not found")
    order = _below(rows[0], _nodes([rows[0].trace]), max_depth)
    for some in chunked(order, HELD):
        yield _held(some, ())


def selection(
    conditions: Sequence[QueryCondition], keys: Sequence[str], max_depth: int | None
) -> Iterator[list[Found]]:
    """Yield the spans of all traces that match, from their roots down, that have every attribute of ``keys``.

    They come by the start of their trace, then depth, then start. Raises BadRequest at the first step.
    """
    traces = matching(conditions, OLDEST)
    wanted = [one for one in present(keys) if one.test != ALWAYS]
    if any(one.test == NEVER for one in wanted):  # nothing has such an attribute
        return
    for portion in _portions(traces):
        nodes: dict[int, list[_Node]] = {}
        for node in _nodes(list(portion), ROOT if max_depth is not None and max_depth <= 1 else ""):
            nodes.setdefault(node.trace, []).append(node)
        order = [pk for trace, root in portion.items() for pk in _from_root(root, nodes.get(trace, []), max_depth)]
        for some in chunked(order, HELD):
            yield _held(some, wanted)


def _portions(pks: Sequence[int]) -> Iterator[dict[int, str]]:
    """Yield traces with their root span ids, as many at once as may be walked."""
    told = "SELECT t.id, t.root_span_id, t.span_count FROM telemetry_trace t WHERE "
    portion: dict[int, str] = {}
    size = 0
    for some in chunked(pks, NAMED):
        rows = {row[0]: row[1:] for row in fetch(one_of(told, "t.id", some))}
        for pk in some:
            root, count = rows.get(pk, ("", 0))
            if portion and size + count > WALKED:
                yield portion
                portion, size = {}, 0
            portion[pk] = root
            size += count
    if portion:
        yield portion


def _nodes(traces: Sequence[int], which: str = "") -> list[_Node]:
    return [_Node(*row) for row in fetch(one_of(f"{NODE}{which} WHERE ", "s.trace_id", traces))]


def _from_root(root: str, nodes: list[_Node], max_depth: int | None) -> list[int]:
    top = next((node for node in nodes if node.span_id == root), None)
    return [] if top is None else _below(top, nodes, max_depth)


def _below(top: _Node, nodes: list[_Node], max_depth: int | None) -> list[int]:
    """Return a span and those below it in order of depth, then start; a span that is its own forebear comes once."""
    children: dict[str, list[_Node]] = {}
    for node in nodes:
        children.setdefault(node.parent_span_id, []).append(node)
    level, order, seen = [top], [top.pk], {top.pk}
    depth = 1
    while level and (max_depth is None or depth < max_depth):
        below = (child for node in level for child in children.get(node.span_id, ()))
        level = sorted(child for child in below if child.pk not in seen)
        order += [child.pk for child in level]
        seen.update(child.pk for child in level)
        depth += 1
    return order


def _topmost(nodes: list[_Node]) -> str:
    ids = {node.span_id for node in nodes}
    tops = sorted(node for node in nodes if node.parent_span_id not in ids)
    return (tops or sorted(nodes))[0].span_id if nodes else ""


def _held(pks: Sequence[int], wanted: Sequence[Filter]) -> list[Found]:
    """Return spans that pass, with all they hold, in this order."""
    select = one_of(FOUND, "s.id", pks)
    test = joined_tests(wanted)
    rows = fetch(Term(f"{select.sql} AND {test.sql}", test.params))
    found = {row[0]: Found(*row) for row in rows}
    return [found[pk] for pk in pks if pk in found]


def as_json(one: Found, keys: Sequence[str] | None = None) -> str:
    """Return a span as the API's JSON, with all attributes or those of ``keys``; what is not known is left out."""
    return ",".join(_members(one, keys)) + "}"


def as_entry(one: Found, keys: Sequence[str] | None = None) -> str:
    """Return a span with its status, under its id, as it stands in a tree."""
    status = [f'"status":"{one.status}"'] if one.status else []
    return f"{_text(one.span_id)}:{','.join(_members(one, keys) + status)}}}"


def _members(one: Found, keys: Sequence[str] | None) -> list[str]:
    attributes = one.attributes if keys is None else _text(one.asked(keys))
    parts = [f'{{"span_id":{_text(one.span_id)},"trace_id":{_text(one.trace_id)}']
    if one.parent_span_id:
        parts.append(f'"parent_span_id":{_text(one.parent_span_id)}')
    parts.append(f'"name":{_text(one.name)},"start_time":"{moment(one.start_ns)}"')
    if one.end_ns is not None:
        parts.append(f'"end_time":"{moment(one.end_ns)}"')
    parts.append(f'"attributes":{attributes}')
    return parts


def pieces(chunks: Iterator[list[Found]], told: Callable[[Found], str]) -> Iterator[bytes]:
    """Yield each chunk of spans as JSON, with commas between spans and none at the ends."""
    for chunk in chunks:
        if chunk:
            yield ",".join(map(told, chunk)).encode()


def trace_json(trace_id: str, root_span_id: str, start_ns: int, end_ns: int | None) -> str:
    """Return a trace as the API's JSON."""
    end = "" if end_ns is None else f',"end_time":"{moment(end_ns)}"'
    ids = f'{{"trace_id":{_text(trace_id)},"root_span_id":{_text(root_span_id)}'
    return f'{ids},"start_time":"{moment(start_ns)}"{end}}}'


def moment(time_ns: int) -> str:
    """Return a time as RFC 3339 with microseconds."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


@lru_cache(maxsize=4_096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _text(value: Any) -> str:
    return to_json(value).decode()


def _shown(name: str) -> str:
    return name if len(name) <= 100 else f"{name[:100]}…"
