"""Conditions on spans as SQL: what a span must meet, and the index by which the spans that meet it are found.

Knows how values are kept (``records.indexed``); knows nothing of traces, orders and limits. Names and values are always
parameters: no text of a request becomes SQL. ``s`` is the span in question, ``a`` one of its attributes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from django.db import connection

from apps.core.errors import BadRequest
from apps.telemetry import known
from apps.telemetry.bulk import clean
from apps.telemetry.models import AttributeKey, Status
from apps.telemetry.records import EXACT, HOT, as_number, canonical, indexed, is_hot, shortened
from apps.telemetry.schemas import QueryCondition

PSEUDO = ("name", "span_id", "trace_id", "status")
SIGNS = {"eq": "=", "ne": "<>", "gt": ">", "lt": "<"}
OF_SPAN = "SELECT 1 FROM telemetry_spanattribute a WHERE a.trace_id = s.trace_id AND a.span_id = s.id AND a.key_id = %s"
INDEXED = re.compile(rf"\b(a\.(?:text|number)|s\.(?:name|status|{'|'.join(HOT)}))\b")
# Postgres guesses how many spans have a value from how many have its text, whatever the key: far too few. An OFFSET
# keeps it from collecting them all because of that; SQLite wants a LIMIT before one.
ONE = "LIMIT 1 OFFSET 0"
ATTRIBUTES = "SELECT a.trace_id, a.span_id, a.start_ns FROM telemetry_spanattribute a WHERE a.key_id = %s"
SPANS = "SELECT s.trace_id, s.id AS span_id, s.start_ns FROM telemetry_span s WHERE "


class Term(NamedTuple):
    """A piece of SQL and its parameters."""

    sql: str
    params: tuple[Any, ...] = ()


NEVER = Term("1 = 0")
ALWAYS = Term("1 = 1")


class Walk(NamedTuple):
    """A select of (trace_id, span_id, start_ns) that an index serves, where ``by_start`` the newest first."""

    select: Term
    by_start: bool
    start: str = "a.start_ns"


@dataclass(frozen=True)
class Filter:
    """One condition: whether span ``s`` meets it, and the walks, if there are any, that together find all that do.

    What the walks find is to be tested still unless they are exact.
    """

    test: Term
    walks: tuple[Walk, ...] = field(default=())
    is_exact: bool = True

    @property
    def by_start(self) -> bool:
        """Whether its spans are found newest first."""
        return bool(self.walks) and all(walk.by_start for walk in self.walks)


def filters(conditions: Sequence[QueryCondition]) -> list[Filter]:
    """Return each condition as a filter; raises BadRequest for values that cannot be compared so."""
    for number, one in enumerate(conditions):
        _check(one, f"attribute_filters.{number}.value")
    keys = _keys([one.key for one in conditions])
    return [_tested(_filter(one, keys.get(known.key(one.key)))) for one in conditions]


def present(names: Sequence[str]) -> list[Filter]:
    """Return filters for spans that have each of these attributes, with a value that is not null."""
    keys = _keys(names)
    return [_tested(_own(QueryCondition(key=name, op="ne", value=None), keys.get(known.key(name)))) for name in names]


def _keys(names: Sequence[str]) -> dict[str, int]:
    """Return the primary keys of those names that any span has; asking makes none."""
    wanted = {known.key(name) for name in names}
    return dict(AttributeKey.objects.filter(name__in=wanted).values_list("name", "pk")) if wanted else {}


def _tested(one: Filter) -> Filter:
    """Return the filter with a test of one span at a time.

    SQLite, which knows nothing of how many spans have a value, would look for all of them to test one: a plus keeps
    it from the index.
    """
    if connection.vendor != "sqlite":
        return one
    return replace(one, test=Term(INDEXED.sub(r"+\1", one.test.sql), one.test.params))


def _check(condition: QueryCondition, place: str) -> None:
    value = condition.value
    if condition.op in ("gt", "lt") and (value is None or isinstance(value, list | dict)):
        raise BadRequest(f"{place}: '{condition.op}' compares texts, numbers and booleans; use 'eq' or 'ne'")
    if isinstance(value, int | float) and as_number(value) is None:
        raise BadRequest(f"{place}: the number is out of range")


def _filter(condition: QueryCondition, key: int | None) -> Filter:
    own = _own(condition, key)
    if condition.key not in PSEUDO:
        return own
    of_span = _pseudo(condition)
    if key is None:
        return of_span
    missing = Term(f"NOT EXISTS ({OF_SPAN} {ONE})", (key,))
    if condition.op == "eq" and condition.value is None:
        return Filter(_all(missing, of_span.test))
    walks = (*own.walks, *of_span.walks) if of_span.walks or of_span.test == NEVER else ()
    return Filter(_any(own.test, _all(missing, of_span.test)), walks, is_exact=False)


def _own(condition: QueryCondition, key: int | None) -> Filter:
    """Return the filter for the attribute of this name, in a column of the span or beside it."""
    others = _attribute(condition, key)
    if condition.key not in HOT:
        return others
    column = _hot(condition)
    if condition.op == "eq" and condition.value is None:
        return Filter(_all(column.test, others.test))
    if condition.op == "eq" and is_hot(condition.key, condition.value):
        return column
    return Filter(_any(column.test, others.test), (*column.walks, *others.walks))


def _attribute(condition: QueryCondition, key: int | None) -> Filter:
    if condition.value is None:
        if key is None:
            return Filter(ALWAYS if condition.op == "eq" else NEVER)
        there = Term(f"EXISTS ({OF_SPAN} {ONE})", (key,))
        if condition.op == "eq":
            return Filter(Term(f"NOT {there.sql}", there.params))
        return Filter(there, (Walk(Term(ATTRIBUTES, (key,)), False),))
    if key is None:
        return Filter(NEVER)
    comparison, by_start = _comparison(condition.op, condition.value)
    test = Term(f"EXISTS ({OF_SPAN} AND {comparison.sql} {ONE})", (key, *comparison.params))
    return Filter(test, (Walk(Term(f"{ATTRIBUTES} AND {comparison.sql}", (key, *comparison.params)), by_start),))


def _comparison(op: str, value: Any) -> tuple[Term, bool]:
    """Return what an attribute's row must be, and whether its index gives such rows newest first."""
    sign, is_equal = SIGNS[op], op == "eq"
    if isinstance(value, bool):
        if is_equal:
            return Term("a.text = %s AND a.kind = 'b'", (indexed(value).text,)), True
        return Term(f"a.number {sign} %s AND a.kind = 'b'", (float(value),)), False
    if isinstance(value, int | float):
        return _number(op, value), is_equal and abs(value) < EXACT
    if isinstance(value, str):
        return Term(f"a.text {sign} %s{_order(op)} AND a.kind = 's'", (_kept(value),)), is_equal
    return Term(f"a.text {sign} %s AND a.kind = 'j'", (_kept(canonical(value)),)), is_equal


def _number(op: str, value: float) -> Term:
    number = float(value)
    if abs(value) < EXACT:
        return Term(f"a.number {SIGNS[op]} %s AND a.kind IN ('n', 's')", (number,))
    whole = int(value)
    same = Term("a.number = %s AND a.text IN (%s, %s) AND a.kind IN ('n', 's')", (number, str(whole), str(number)))
    if op == "eq":
        return same if int(number) == whole else Term(same.sql, (number, str(whole), str(whole)))
    if op == "ne":
        return Term(f"a.number IS NOT NULL AND a.kind IN ('n', 's') AND NOT ({same.sql})", same.params)
    # Floats cannot tell neighbours of this size apart; whole numbers of one sign are told apart by their digits.
    digits = str(whole)
    longer = "LENGTH(a.text) > %s" if (op == "gt") == (whole > 0) else "LENGTH(a.text) < %s"
    larger = ">" if (op == "gt") == (whole > 0) else "<"
    tie = f"({longer} OR (LENGTH(a.text) = %s AND a.text {larger} %s{_order(op)}))"
    return Term(
        f"a.kind IN ('n', 's') AND (a.number {SIGNS[op]} %s OR (a.number = %s AND {_no_exponent()} AND {tie}))",
        (number, number, len(digits), len(digits), digits),
    )


def _no_exponent() -> str:
    return "POSITION('e' IN a.text) = 0" if connection.vendor == "postgresql" else "INSTR(a.text, 'e') = 0"


def _hot(condition: QueryCondition) -> Filter:
    column, op, value = f"s.{condition.key}", condition.op, condition.value
    there = f"NOT ({column} = '')"  # word by word as in the indexes, which hold no empty texts
    if value is None:
        if op == "eq":
            return Filter(Term(f"{column} = ''"))
        return Filter(Term(there), (Walk(Term(f"{SPANS}{there}"), False, "s.start_ns"),))
    if not isinstance(value, str):
        return Filter(NEVER)
    test = Term(f"{there} AND {column} {SIGNS[op]} %s{_order(op)}", (_kept(value),))
    return Filter(test, (Walk(Term(SPANS + test.sql, test.params), op == "eq", "s.start_ns"),))


def _pseudo(condition: QueryCondition) -> Filter:
    """Return the filter for what every span has; it is a text, and compared with texts."""
    key, op, value = condition.key, condition.op, condition.value
    if value is None:
        if key != "status":
            return Filter(NEVER if op == "eq" else ALWAYS)
        return Filter(Term("s.status = ''" if op == "eq" else "NOT (s.status = '')"))
    if not isinstance(value, str):
        return Filter(NEVER)
    value, compared = clean(value), f"{SIGNS[op]} %s{_order(op)}"
    if key == "trace_id":
        return _of_trace(compared, value, is_equal=op == "eq")
    if key == "status":
        if op == "eq" and value == Status.ERROR:  # word by word as in the index of failures
            failed = Term("s.status = 'error'")
            return Filter(failed, (Walk(Term(SPANS + failed.sql), True, "s.start_ns"),))
        return Filter(Term(f"NOT (s.status = '') AND s.status {compared}", (value,)))
    test = Term(f"s.{key} {compared}", (value,))
    return Filter(test, (Walk(Term(SPANS + test.sql, test.params), op == "eq", "s.start_ns"),) if op == "eq" else ())


def _of_trace(compared: str, value: str, *, is_equal: bool) -> Filter:
    if not is_equal:
        sql = f"EXISTS (SELECT 1 FROM telemetry_trace x WHERE x.id = s.trace_id AND x.trace_id {compared})"
        return Filter(Term(sql, (value,)))
    test = Term("s.trace_id = (SELECT x.id FROM telemetry_trace x WHERE x.trace_id = %s)", (value,))
    return Filter(test, (Walk(Term(SPANS + test.sql, test.params), False, "s.start_ns"),))


def _kept(text: str) -> str:
    """Return a text as the store keeps it: a database may refuse to compare with what it cannot hold."""
    return clean(shortened(text))


def _order(op: str) -> str:
    """Return the collation that orders texts by their characters' numbers, as SQLite does."""
    return ' COLLATE "C"' if op in ("gt", "lt") and connection.vendor == "postgresql" else ""


def _all(one: Term, other: Term) -> Term:
    return Term(f"({one.sql}) AND ({other.sql})", (*one.params, *other.params))


def _any(one: Term, other: Term) -> Term:
    if NEVER in (one, other):
        return other if one == NEVER else one
    return Term(f"(({one.sql}) OR ({other.sql}))", (*one.params, *other.params))
