"""Conditions on spans: what they mean, in which order traces come, and by which index they are found."""

import random
from typing import Any

import pytest

from apps.core.errors import BadRequest
from apps.telemetry import query, trees
from apps.telemetry.models import Trace
from apps.telemetry.query import OLDEST
from apps.telemetry.records import SpanRecord
from apps.telemetry.schemas import QueryCondition
from tests.telemetry import spans

pytestmark = pytest.mark.django_db
BIG = 2**53
LONG = "x" * 300
# Every kind of value, and neighbours that must not be taken for one another.
VALUES: list[Any] = [
    None, "", "a", "b", "B", "é", "1", "01", "1.5", "1e0", "-3", "nan", "true", "null", LONG + "1", LONG + "2",
    0, 1, 1.0, 1.5, -3, True, False, BIG, BIG + 1, -BIG - 1, str(BIG + 1), 1e300, [], [1, "a"], ["a", 1],
    {}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": None},
]  # fmt: skip
KEYS = ["k", "dotted.key", 'it\'s "quoted"', "__x__", "a:b", "%s", "session_id", "agent_name", "name", "status"]
HOW_MANY = 160


def where(key: str, op: str, value: Any) -> QueryCondition:
    return QueryCondition(key=key, op=op, value=value)


def found(*conditions: QueryCondition, order: tuple[str, ...] = (), limit: int = 100, offset: int = 0) -> list[str]:
    return [row[0] for row in query.traces(conditions, order, limit, offset)]


def meets(record: SpanRecord, one: QueryCondition) -> bool:
    """What the contract says, in plain words of Python."""
    has = record.attributes.get(one.key)
    if has is None and one.key in ("name", "span_id", "trace_id", "status"):
        has = getattr(record, one.key) or None
        if not isinstance(one.value, str | None):  # what every span has is a text, even where it reads as a number
            return False
    if one.value is None:
        return (has is None) == (one.op == "eq")
    if has is None:
        return False
    ours, theirs = comparable(has, one.value)
    if type(ours) is not type(theirs) and not (isinstance(ours, list | dict) and isinstance(theirs, list | dict)):
        return False
    return (
        {"eq": ours == theirs, "ne": ours != theirs}.get(one.op)
        if one.op in ("eq", "ne")
        else (ours > theirs if one.op == "gt" else ours < theirs)
    )


def comparable(has: Any, asked: Any) -> tuple[Any, Any]:
    from fractions import Fraction

    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    if is_number(asked):
        if isinstance(has, str):
            try:
                has = Fraction(has) if has.strip() == has and "/" not in has else None
            except ValueError:
                has = None
        return (Fraction(has) if is_number(has) or isinstance(has, Fraction) else None), Fraction(asked)
    return has, asked


def compared_long(one: QueryCondition) -> bool:
    """Long texts are told apart by their hash, which has no order."""
    return one.op in ("gt", "lt") and isinstance(one.value, str) and len(one.value) > 250


@pytest.fixture
def stored() -> list[SpanRecord]:
    """A trace for each mix of values; some have two spans, so that no condition is met by two halves."""
    dice = random.Random(4)
    made = []
    for number in range(HOW_MANY):
        trace_id = spans.trace_id()
        picked = {key: dice.choice(VALUES) for key in dice.sample(KEYS, 3)}
        status = dice.choice(["ok", "error", ""])
        end = {"end_ns": None} if not status else {}
        root = spans.record(
            trace_id=trace_id,
            name=dice.choice("abc"),
            status=status,
            attributes=picked,
            at_ms=dice.randrange(50),
            **end,
        )
        made.append(root)
        if number % 2:
            other = {key: dice.choice(VALUES) for key in dice.sample(KEYS, 3)}
            made.append(
                spans.record(
                    trace_id=trace_id, parent_span_id=root.span_id, attributes=other, start_ns=root.start_ns + 1
                )
            )
    spans.save(*made)
    return made


def expected(stored: list[SpanRecord], conditions: list[QueryCondition]) -> list[str]:
    starts = dict(Trace.objects.values_list("trace_id", "start_ns"))
    hits = {one.trace_id for one in stored if all(meets(one, condition) for condition in conditions)}
    return sorted(hits, key=lambda trace_id: (-starts[trace_id], trace_id))


def test_every_operator_on_every_kind_of_value_means_what_the_contract_says(stored: list[SpanRecord]) -> None:
    for key in [*KEYS, "nobody", "span_id", "trace_id"]:
        for op in ("eq", "ne", "gt", "lt"):
            for value in VALUES:
                if op in ("gt", "lt") and (value is None or isinstance(value, list | dict)):
                    continue
                one = where(key, op, value)
                if not compared_long(one):
                    assert found(one, limit=1000) == expected(stored, [one]), one


@pytest.mark.parametrize("small", [True, False])
def test_several_conditions_must_fit_one_span(
    stored: list[SpanRecord], small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small:  # every way of looking has its turn
        for name in ("FEW", "STEP", "LONGEST_STEP"):
            monkeypatch.setattr(query, name, 3)
        monkeypatch.setattr(query, "TRIED", (3, 8))
    dice = random.Random(7)
    hits = 0
    for _ in range(250):
        record = dice.choice(stored)
        conditions = [where(key, "eq", value) for key, value in record.attributes.items()]
        conditions = [*dice.sample(conditions, 2), where(dice.choice(KEYS), "ne", dice.choice(VALUES))]
        conditions = dice.sample(conditions, dice.randrange(1, 4))
        right = expected(stored, conditions)
        limit, offset = dice.randrange(1, 9), dice.randrange(3)
        hits += len(right)
        assert found(*conditions, limit=1000) == right, conditions
        assert found(*conditions, limit=limit, offset=offset) == right[offset : offset + limit], conditions
        assert (
            found(*conditions, order=OLDEST, limit=limit, offset=offset)
            == [one for one in found(*conditions, order=OLDEST, limit=1000)][offset : offset + limit]
        )
    assert hits > 500


def test_two_halves_of_a_condition_on_two_spans_are_no_match() -> None:
    root = spans.record(attributes={"a": 1})
    spans.save(root, spans.record(trace_id=root.trace_id, parent_span_id=root.span_id, attributes={"b": 1, "c": "z"}))

    assert found(where("a", "eq", 1)) == [root.trace_id]
    assert found(where("a", "eq", 1), where("b", "eq", 1)) == []
    assert found(where("b", "eq", 1), where("c", "eq", "z")) == [root.trace_id]


def test_whole_numbers_beyond_floats_are_told_apart_by_their_digits() -> None:
    ids = [spans.record(attributes={"n": BIG + step}, at_ms=step) for step in range(4)]
    spans.save(*ids)
    below = [one.trace_id for one in reversed(ids[:2])]

    assert found(where("n", "eq", BIG + 1)) == [ids[1].trace_id]
    assert found(where("n", "lt", BIG + 2)) == below
    assert found(where("n", "gt", BIG + 1)) == [ids[3].trace_id, ids[2].trace_id]
    assert len(found(where("n", "ne", BIG + 1))) == 3


def test_traces_without_a_known_root_are_left_out() -> None:
    orphan = spans.record(parent_span_id="00000000000000aa", attributes={"k": 1})
    spans.save(orphan)

    assert found() == found(where("k", "eq", 1)) == found(where("k", "gt", 0)) == []


@pytest.mark.parametrize(
    ("order", "right"),
    [
        (("start_time",), [0, 1, 2, 3]),
        (("-start_time",), [3, 2, 1, 0]),
        ((), [3, 2, 1, 0]),
        (("end_time",), [2, 0, 3, 1]),
        (("-end_time",), [1, 3, 0, 2]),
        (("-end_time", "start_time"), [1, 3, 0, 2]),
    ],
)
def test_traces_come_in_the_order_asked_for(order: tuple[str, ...], right: list[int]) -> None:
    """The second trace is still going on: it ends after all others."""
    lengths = [50, None, 5, 60]
    made = [
        spans.record(
            trace_id=f"{number:032x}", at_ms=10 * number, attributes={"k": 1},
            **({"end_ns": None} if length is None else {"for_ms": length}),
        )
        for number, length in enumerate(lengths)
    ]  # fmt: skip
    spans.save(*made)

    for conditions in ([], [where("k", "eq", 1)], [where("k", "gt", 0)], [where("no", "eq", None)]):
        assert [int(one, 16) for one in found(*conditions, order=order)] == right
        assert [int(one, 16) for one in found(*conditions, order=order, limit=2, offset=1)] == right[1:3]


def test_ids_order_traces_and_ties_go_by_trace_id() -> None:
    made = [
        spans.record(trace_id=f"{trace:032x}", span_id=f"{span:016x}", attributes={"k": 1})
        for trace, span in ((3, 1), (1, 2), (2, 3))
    ]
    spans.save(*made)

    assert [int(one, 16) for one in found()] == [1, 2, 3]
    assert [int(one, 16) for one in found(where("k", "eq", 1))] == [1, 2, 3]
    assert [int(one, 16) for one in found(order=("-trace_id",))] == [3, 2, 1]
    assert [int(one, 16) for one in found(order=("root_span_id",))] == [3, 1, 2]
    assert [int(one, 16) for one in found(where("k", "eq", 1), order=("-root_span_id",))] == [2, 1, 3]


def test_an_order_that_is_not_known_is_refused() -> None:
    with pytest.raises(BadRequest, match="order_by: unknown field 'name'; known: start_time"):
        found(order=("name",))


@pytest.mark.parametrize("value", [None, [1], {"a": 1}])
def test_what_has_no_order_cannot_be_larger(value: Any) -> None:
    with pytest.raises(BadRequest, match=r"attribute_filters\.1\.value"):
        found(where("a", "eq", 1), where("a", "gt", value))


def test_a_number_no_column_holds_is_refused() -> None:
    with pytest.raises(BadRequest, match="out of range"):
        found(where("a", "eq", 10**400))


@pytest.mark.parametrize("odd", ["a\0b", "x" * 300 + "\0"])
def test_text_no_database_holds_finds_what_was_kept_of_it(odd: str) -> None:
    one = spans.record(name=odd[:255], attributes={"k": odd, odd[:200]: 1, "agent_name": odd})
    spans.save(one)

    for key, value in (("k", odd), (odd[:200], 1), ("agent_name", odd), ("name", odd[:255])):
        assert found(where(key, "eq", value)) == [one.trace_id]
    for op in ("ne", "gt", "lt"):
        for key in ("k", "agent_name", "name", "span_id", "trace_id", "status"):
            found(where(key, op, odd))
    assert [span.span_id for some in trees.selection([], [odd[:200]], None) for span in some] == [one.span_id]
