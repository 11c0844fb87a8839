"""With thousands of spans every question is answered by an index, whatever the database believes of its tables."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.telemetry import query, trees
from apps.telemetry.conditions import filters
from apps.telemetry.models import AttributeKey, Span, SpanAttribute, Trace
from apps.telemetry.query import DEFAULT, OLDEST, _tried, fetch
from apps.telemetry.schemas import QueryCondition
from tests.telemetry import spans

pytestmark = pytest.mark.django_db
TRACES = 1_500


def where(key: str, value: Any, op: str = "eq") -> QueryCondition:
    return QueryCondition(key=key, op=op, value=value)


@pytest.fixture(scope="module", params=["without statistics", "with statistics"])
def filled(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """Three spans in each trace; half of the traces are of one tier. Nobody makes statistics of a SQLite file."""
    is_analysed = request.param == "with statistics"
    if not is_analysed and connection.vendor == "postgresql":
        pytest.skip("Postgres looks at its tables by itself")
    with django_db_blocker.unblock():
        first = _fill()
        if is_analysed:
            _execute("ANALYZE")
        yield first
        for model in (SpanAttribute, AttributeKey, Span, Trace):
            model.objects.all()._raw_delete("default")
        if is_analysed and connection.vendor == "sqlite":
            _execute("DELETE FROM sqlite_stat1")
            _execute("ANALYZE sqlite_schema")


def _fill() -> str:
    dice = random.Random(1)
    made = []
    for number in range(TRACES):
        about = {"user": f"user-{number}", "tier": ("gold", "free")[number % 2], "agent_id": f"agent-{number % 9}"}
        root = spans.record(at_ms=1000 * number, name="create_agent_turn", attributes=about)
        made.append(root)
        for place in (1, 2):
            told = {"tokens": dice.randrange(4_000), "text": "word " * 40}
            below = {"trace_id": root.trace_id, "parent_span_id": root.span_id, "name": "inference"}
            made.append(spans.record(**below, at_ms=1000 * number + place, attributes=told))
    spans.save(*made)
    return made[0].span_id


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def plans(asked: Any) -> list[str]:
    """Return the plan of each query that was made, one line for each table it reads.

    Postgres rightly reads a table of this size whole when half of it is asked for; it is told to think of a large one.
    """
    with CaptureQueriesContext(
        connection,
    ) as made:
        asked()
    words = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    lines = []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        for one in made.captured_queries:
            if one["sql"].startswith("SELECT"):
                cursor.execute(words + one["sql"].replace("%", "%%"))
                lines += [str(row[-1]) for row in cursor.fetchall()]
    assert lines
    return lines


def whole_tables(lines: list[str]) -> list[str]:
    """Return the steps of a plan that read every row of a table of spans or their values; failures have an index."""
    tables = ("telemetry_span", "telemetry_spanattribute", " s", " a")
    found = [line for line in lines if line.strip().startswith(("SCAN", "Seq Scan", "->  Seq Scan"))]
    found = [line for line in found if "span_failed" not in line]
    return [line for line in found if line.strip().split(" USING ")[0].split("(")[0].rstrip().endswith(tables)]


QUESTIONS = {
    "latest": [],
    "sparse": [where("user", "user-7")],
    "dense": [where("tier", "gold")],
    "a column": [where("agent_id", "agent-3")],
    "a name": [where("name", "inference")],
    "failures": [where("status", "error")],
    "a number": [where("tokens", 77)],
    "a range": [where("tokens", 3_900, "gt")],
    "a dense range": [where("tokens", 10, "gt")],
    "two": [where("tier", "gold"), where("agent_id", "agent-3")],
    "another tier": [where("tier", "gold", "ne")],
    "nobody": [where("user", "nobody")],
    "a span": [where("span_id", "00000000000000aa")],
    "a trace": [where("trace_id", "f" * 32)],
    "without": [where("user", None)],
}


@pytest.mark.parametrize("order", [DEFAULT, OLDEST])
@pytest.mark.parametrize("name", QUESTIONS)
def test_traces_are_found_by_an_index(filled: str, name: str, order: tuple[str, ...]) -> None:
    lines = plans(lambda: query.traces(QUESTIONS[name], order, 50, 0))

    assert whole_tables(lines) == []


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_span_is_tested_by_its_own_values(filled: str, name: str) -> None:
    """And not by looking up all spans that have the value."""
    if connection.vendor == "postgresql":
        pytest.skip("Postgres knows how many there are")
    asked = filters(QUESTIONS[name])
    lines = plans(lambda: fetch(_tried("telemetry_trace t", asked, DEFAULT, 50, 0))) if asked else []

    assert [line for line in lines if "SEARCH s" in line and "(trace_id=?" not in line and "rowid=?" not in line] == []
    assert [line for line in lines if "SEARCH a" in line and "attribute_of_span" not in line] == []


def test_a_value_is_looked_up_newest_first_without_sorting(filled: str) -> None:
    lines = plans(lambda: query.matching([where("tier", "gold")], DEFAULT, 50))

    assert any("attribute_text" in line for line in lines)


def test_a_tree_is_read_by_its_trace(filled: str) -> None:
    lines = plans(lambda: list(trees.subtree(filled, None)))

    assert whole_tables(lines) == []
    assert any("span_by_id" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "most"),
    [("latest", 2), ("sparse", 3), ("dense", 3), ("a column", 3), ("a range", 4), ("without", 3), ("two", 5)],
)
def test_a_question_costs_a_fixed_number_of_queries(filled: str, name: str, most: int) -> None:
    with CaptureQueriesContext(connection) as made:
        found = query.traces(QUESTIONS[name], DEFAULT, 50, 0)

    assert len(found) == (1 if name == "sparse" else 50)
    assert len([one for one in made.captured_queries if one["sql"].startswith("SELECT")]) <= most


def test_all_spans_of_many_traces_are_read_a_bounded_number_at_a_time(filled: str) -> None:
    sizes = [len(chunk) for chunk in trees.selection([], ["tokens"], None)]

    assert sum(sizes) == 2 * TRACES
    assert max(sizes) <= trees.HELD


def test_the_newest_traces_are_certain_before_all_values_are_seen(filled: str) -> None:
    with CaptureQueriesContext(connection) as made:
        found = query.matching([where("tier", "gold")], DEFAULT, 20)

    walks = [one for one in made.captured_queries if "spanattribute" in one["sql"]]
    assert len(found) == 20
    assert len(walks) == 1
