"""The columns of a trace: what the page draws."""

import gzip
import time
from typing import Any

import pytest
from pydantic_core import to_json

from apps.telemetry.models import Span, Trace
from apps.telemetry.traces import structure
from tests.telemetry import spans

TURN = "Turn turn-1 · Clerk"  # a turn that is deleted: its trace is called so
pytestmark = pytest.mark.django_db


def read(columns: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what columns tell of each span, by its name, with parents by their name."""
    number, found = columns["base"], {}
    for at, step in enumerate(columns["id"]):
        number += step
        parent = columns["parent"][at]
        found[number] = {
            "name": columns["names"][columns["name"][at]],
            "parent": parent + columns["base"] if parent > 0 else parent,
            "kind": columns["kinds"][columns["kind"][at]],
            **{name: columns[name][at] for name in ("start", "dur", "error", "tokens")},
        }
    names = {key: one["name"] for key, one in found.items()}
    return {one["name"]: one | {"parent": names.get(one["parent"], one["parent"])} for one in found.values()}


def test_columns_tell_each_span_once_with_its_parent() -> None:
    trace = spans.trace()

    shown = structure.of_trace(trace)
    told = read(shown)

    assert shown["total"] == 4 and len(shown["id"]) == 4
    assert told[TURN]["parent"] == 0
    assert told["inference openai/fake"]["parent"] == TURN
    assert told["lookup"] == {
        "name": "lookup", "parent": TURN, "kind": "tool", "start": 50_000, "dur": 10_000,
        "error": 0, "tokens": -1,
    }  # fmt: skip
    assert told["inference openai/fake"]["tokens"] == 25
    assert shown["live"] is False


def test_one_query_whatever_the_size(django_assert_num_queries: Any) -> None:
    of = spans.trace_id()
    spans.save(*(spans.record(trace_id=of, name=f"n{at}") for at in range(50)))
    trace = Trace.objects.get(trace_id=of)

    with django_assert_num_queries(1):
        assert len(structure.of_trace(trace)["id"]) == 50


def test_an_open_span_has_no_length_and_the_trace_is_live() -> None:
    of, now = spans.trace_id(), time.time_ns()
    spans.save(spans.record(trace_id=of, name="root", start_ns=now - 10**9, end_ns=None))

    shown = structure.of_trace(Trace.objects.get(trace_id=of))

    assert shown["dur"] == [None] and shown["live"] is True
    assert shown["now"] - shown["t0"] >= 10**6


def test_an_open_trace_nobody_hears_of_is_not_live() -> None:
    of = spans.trace_id()
    spans.save(spans.record(trace_id=of, name="root", start_ns=time.time_ns() - structure.STALE_NS - 1, end_ns=None))

    assert structure.of_trace(Trace.objects.get(trace_id=of))["live"] is False


def test_a_span_without_its_parent_names_it_and_its_arrival_is_told() -> None:
    of, late = spans.trace_id(), spans.span_id()
    spans.save(spans.record(trace_id=of, name="child", parent_span_id=late))
    trace = Trace.objects.get(trace_id=of)
    before = structure.of_trace(trace)

    spans.save(spans.record(trace_id=of, span_id=late, name="root"))
    number = Span.objects.get(span_id=late).pk
    frame = structure.of_spans(of, [number])

    assert before["parent"] == [-1] and before["lost"] == [(late, [1])]
    assert frame is not None
    assert frame["sid"] == [late] and frame["base"] == 0 and frame["id"] == [number]
    trace.refresh_from_db()
    assert read(structure.of_trace(trace))["child"]["parent"] == "root"


def test_a_frame_finds_parents_that_are_not_in_it() -> None:
    records = spans.turn_trace()
    spans.save(*records)
    tool = Span.objects.get(name="tool_execution")
    root = Span.objects.get(name="create_agent_turn")

    frame = structure.of_spans(records[0].trace_id, [tool.pk])

    assert frame is not None
    assert frame["parent"] == [root.pk] and frame["lost"] == []


def test_a_frame_of_a_trace_that_is_gone_or_of_too_many_spans_is_none() -> None:
    trace = spans.trace()

    assert structure.of_spans(spans.trace_id(), [1]) is None
    assert structure.of_spans(trace.trace_id, range(structure.FRAME + 1)) is None


def test_a_span_that_names_itself_as_parent_stands_at_the_top() -> None:
    of, own = spans.trace_id(), spans.span_id()
    spans.save(spans.record(trace_id=of, span_id=own, parent_span_id=own, name="loop"))

    assert structure.of_trace(Trace.objects.get(trace_id=of))["parent"] == [0]


def test_what_is_beyond_the_first_answer_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "MOST", 3)
    trace = spans.trace()

    first = structure.of_trace(trace)
    rest = structure.of_trace(trace, first["last"])

    assert len(first["id"]) == 3 and len(rest["id"]) == 1
    assert rest["last"] is None and rest["base"] == 0
    assert rest["parent"][0] > 0


def test_times_go_on_when_a_late_span_began_earlier() -> None:
    trace = spans.trace(at_ms=100)
    spans.save(spans.record(trace_id=trace.trace_id, name="early", at_ms=40))
    trace.refresh_from_db()

    told = read(structure.of_trace(trace))

    assert told["early"]["start"] == 0
    assert told[TURN]["start"] == 60_000


def test_ten_thousand_spans_fit_120_kb() -> None:
    of, root = spans.trace_id(), spans.span_id()
    records = [spans.record(trace_id=of, span_id=root, name="run", for_ms=60_000)]
    for at in range(9_999):
        parent = records[at // 4].span_id
        start = spans.START_NS + at * 5_917_331
        name = f"{('db.query', 'GET', 'chat', 'cache')[at % 4]} {at % 97}"
        end = start + (at * 7_919) % 90_000_000
        records.append(spans.record(trace_id=of, parent_span_id=parent, name=name, start_ns=start, end_ns=end))
    spans.save(*records)
    trace = Trace.objects.get(trace_id=of)

    begun = time.process_time()
    text = to_json(structure.of_trace(trace))
    spent = time.process_time() - begun

    size = len(gzip.compress(text, 6))
    print(f"10,000 spans: {size:,} bytes gzipped, {spent * 1000:.0f} ms of CPU")
    assert size <= 120_000
    assert spent <= 0.6  # 0.3 s on a machine of its own
