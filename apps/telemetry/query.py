"""Which traces have one span that meets every condition, in the order asked for.

Values are looked up by their indexes, whose entries stand newest first. A span never starts before its trace, so the
newest traces are certain as soon as the spans looked at have become older than the last of them. Where no index is in
that order, the newest traces are tried one by one, a few thousand of them, and only then all spans are collected.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

from apps.core.errors import BadRequest
from apps.telemetry.conditions import ALWAYS, NEVER, ONE, Filter, Term, filters
from apps.telemetry.schemas import QueryCondition

FEW = 2_000  # spans that are sooner collected than tried trace by trace
TRIED = (250, 2_000)  # traces that are tried before all spans are collected
STEP, LONGEST_STEP = 500, 20_000  # spans looked at in one step of a walk
FIELDS = ("start_time", "end_time", "trace_id", "root_span_id")
DEFAULT = ("-start_time",)
OLDEST = ("start_time",)
ROOTED = "NOT (t.root_span_id = '')"  # word by word as in the index
Row = tuple[Any, ...]


def traces(conditions: Sequence[QueryCondition], order_by: Sequence[str], limit: int, offset: int) -> list[Row]:
    """Return trace id, root span id, start and end of the traces asked for; raises BadRequest."""
    order = check_order(order_by)
    pks = matching(conditions, order, limit, offset)
    told = "SELECT t.id, t.trace_id, t.root_span_id, t.start_ns, t.end_ns FROM telemetry_trace t WHERE "
    found = {row[0]: row[1:] for row in fetch(one_of(told, "t.id", pks))} if pks else {}
    return [found[pk] for pk in pks if pk in found]


def check_order(order_by: Sequence[str]) -> tuple[str, ...]:
    """Return the order, the default one when none is asked for; raises BadRequest for an unknown field."""
    for one in order_by:
        if one.removeprefix("-") not in FIELDS:
            shown = one if len(one) < 60 else f"{one[:60]}…"
            raise BadRequest(f"order_by: unknown field '{shown}'; known: {', '.join(FIELDS)}, with '-' for descending")
    return tuple(order_by) or DEFAULT


def matching(
    conditions: Sequence[QueryCondition], order: tuple[str, ...], limit: int | None = None, offset: int = 0
) -> list[int]:
    """Return the primary keys of traces with a known root and one span that meets every condition."""
    asked = [one for one in filters(conditions) if one.test != ALWAYS]
    if limit == 0 or any(one.test == NEVER for one in asked):
        return []
    if not asked:
        return _keys(_select("telemetry_trace t", (), order, limit, offset))
    driver = _driver([one for one in asked if one.walks])
    if driver is None:
        return _keys(_tried("telemetry_trace t", asked, order, limit, offset))
    others = [one for one in asked if one is not driver or not one.is_exact]
    if limit is not None and order == DEFAULT and driver.by_start:
        return _walked(driver, others, limit, offset)
    if limit is not None and _count(driver) > FEW:
        for tried in TRIED:
            some = f"(SELECT * FROM telemetry_trace t WHERE {ROOTED} ORDER BY {_ordered(order)} LIMIT {tried}) t"
            found = _keys(_tried(some, asked, order, limit, offset))
            if len(found) == limit:
                return found
    return _keys(_collected(driver, others, order, limit, offset))


def _driver(walkable: Sequence[Filter]) -> Filter | None:
    """Return the filter that the fewest spans meet, as far as counting is cheap; of equal ones one in order of time."""
    if len(walkable) < 2:
        return walkable[0] if walkable else None
    return min(walkable, key=lambda one: (_count(one), not one.by_start))


def _count(one: Filter) -> int:
    limited = [Term(f"SELECT 1 FROM ({walk.select.sql} LIMIT {FEW + 1}) w", walk.select.params) for walk in one.walks]
    counted = _joined(" UNION ALL ", limited)
    return int(_fetch_by_index(Term(f"SELECT COUNT(*) FROM ({counted.sql}) c", counted.params))[0][0])


def _walked(driver: Filter, others: Sequence[Filter], limit: int, offset: int) -> list[int]:
    """Return the newest traces, looking at the driver's spans from the newest on until they are certain."""
    needed, step = offset + limit, max(STEP, min(2 * (offset + limit), LONGEST_STEP))
    found: dict[int, tuple[int, str]] = {}
    until: int | None = None
    while True:
        rows = _fetch_by_index(_step(driver, others, until, step))
        found |= {pk: (-start, trace_id) for _, pk, start, trace_id, meets in rows if meets}
        best = sorted((place, pk) for pk, place in found.items())[:needed]
        if len(rows) < step:
            break
        last = min(row[0] for row in rows)
        if len(best) == needed and last < -best[-1][0][0]:
            break
        # Spans of one instant may be more than a step: then a longer one gets past them.
        step = step * 2 if last == until else min(step * 2, LONGEST_STEP)
        until = last
    return [pk for _, pk in best[offset:]]


def _step(driver: Filter, others: Sequence[Filter], until: int | None, step: int) -> Term:
    walks = []
    for walk in driver.walks:
        below = Term("", ()) if until is None else Term(f" AND {walk.start} <= %s", (until,))
        newest = f"{walk.select.sql}{below.sql} ORDER BY {walk.start} DESC LIMIT {step}"
        walks.append(Term(f"SELECT * FROM ({newest}) w", (*walk.select.params, *below.params)))
    spans, test = _joined(" UNION ALL ", walks), joined_tests(others)
    return Term(
        f"SELECT w.start_ns, t.id, t.start_ns, t.trace_id, CASE WHEN {ROOTED} AND {test.sql} THEN 1 ELSE 0 END "
        f"FROM (SELECT * FROM ({spans.sql}) u ORDER BY start_ns DESC LIMIT {step}) w "
        "LEFT JOIN telemetry_trace t ON t.id = w.trace_id LEFT JOIN telemetry_span s ON s.id = w.span_id",
        (*test.params, *spans.params),
    )


def _tried(table: str, asked: Sequence[Filter], order: tuple[str, ...], limit: int | None, offset: int) -> Term:
    """Return the select of traces that tries each in order."""
    test = joined_tests(asked)
    span = f" AND EXISTS (SELECT 1 FROM telemetry_span s WHERE s.trace_id = t.id AND {test.sql} {ONE})"
    return _select(table, test.params, order, limit, offset, span)


def _collected(
    driver: Filter, others: Sequence[Filter], order: tuple[str, ...], limit: int | None, offset: int
) -> Term:
    """Return the select of traces that collects the driver's spans first.

    The cross joins keep SQLite to that order; the plus keeps it from reading a whole index to have each trace once.
    """
    spans = _joined(" UNION ALL ", [walk.select for walk in driver.walks])
    if others:
        test = joined_tests(others)
        joined = f"({spans.sql}) w CROSS JOIN telemetry_span s WHERE s.id = w.span_id AND {test.sql}"
        spans = Term(joined, (*spans.params, *test.params))
    else:
        spans = Term(f"({spans.sql}) w", spans.params)
    table = f"(SELECT DISTINCT +w.trace_id AS pk FROM {spans.sql}) c CROSS JOIN telemetry_trace t"
    return _select(table, spans.params, order, limit, offset, " AND t.id = c.pk")


def _select(
    table: str, params: tuple[Any, ...], order: tuple[str, ...], limit: int | None, offset: int, where: str = ""
) -> Term:
    page = "" if limit is None else f" LIMIT {limit:d} OFFSET {offset:d}"
    return Term(f"SELECT t.id FROM {table} WHERE {ROOTED}{where} ORDER BY {_ordered(order)}{page}", params)


def _ordered(order: tuple[str, ...]) -> str:
    """Return the order as SQL, the trace's id last; a trace that goes on ends after all others."""
    columns = {"start_time": "t.start_ns", "end_time": "t.end_ns"}
    parts = []
    for one in order:
        name = one.removeprefix("-")
        down = one != name
        nulls = (" NULLS FIRST" if down else " NULLS LAST") if name == "end_time" else ""
        parts.append(f"{columns.get(name, f't.{name}')}{' DESC' if down else ''}{nulls}")
    return ", ".join([*parts, "t.trace_id"])


def joined_tests(some: Sequence[Filter]) -> Term:
    """Return what a span must be to meet all filters."""
    return _joined(" AND ", [Term(f"({one.test.sql})", one.test.params) for one in some]) if some else ALWAYS


def _joined(by: str, terms: Sequence[Term]) -> Term:
    return Term(by.join(term.sql for term in terms), tuple(value for term in terms for value in term.params))


def one_of(select: str, column: str, pks: Sequence[int]) -> Term:
    """Return a select of rows by their primary keys, which are numbers of our own."""
    return Term(f"{select}{column} IN ({', '.join(str(int(pk)) for pk in pks)})")


def _keys(select: Term) -> list[int]:
    return [row[0] for row in fetch(select)]


def _fetch_by_index(select: Term) -> list[Row]:
    """Return the rows of a select that needs only the first ones of an index.

    Postgres, which takes them for few (see ``conditions.ONE``), would collect all and sort them.
    """
    if connection.vendor != "postgresql":
        return fetch(select)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off")
        return fetch(select)


def fetch(select: Term) -> list[Row]:
    """Return the rows of a select."""
    with connection.cursor() as cursor:
        cursor.execute(select.sql, select.params)
        rows: list[Row] = cursor.fetchall()
    return rows
