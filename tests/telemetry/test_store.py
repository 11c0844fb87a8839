"""Spans in any order, twice, open and late: each is counted once, and its trace kept in step."""

import random

import pytest

from apps.telemetry.models import AttributeKey, Span, SpanAttribute, Trace
from tests.telemetry import spans

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_turn_is_one_trace_summed_up() -> None:
    records = spans.turn_trace(said="Where is order 7?", answer="On its way.")

    saved = spans.save(*records)

    trace = Trace.objects.get()
    assert saved.new == [trace.trace_id] and not saved.changed
    assert (trace.name, trace.kind, trace.status) == ("create_agent_turn", "turn", "ok")
    assert trace.root_span_id == records[0].span_id
    assert (trace.span_count, trace.error_count) == (4, 0)
    assert (trace.input_tokens, trace.output_tokens, trace.tokens) == (40, 10, 50)
    assert (trace.agent_name, trace.session_id, trace.model) == ("Clerk", "session-1", "openai/fake")
    assert (trace.input, trace.output) == ("Where is order 7?", "On its way.")
    assert trace.duration_ns == 110 * spans.MS


@pytest.mark.parametrize("seed", range(8))
def test_the_order_in_which_spans_come_changes_nothing(seed: int) -> None:
    records = [*spans.turn_trace(status="error", error="broke"), *spans.turn_trace(at_ms=500)]
    spans.save(*records)
    names = [field.name for field in Trace._meta.fields if field.name not in ("id", "trace_id")]
    whole = sorted(Trace.objects.values_list(*names))
    Span.objects.all().delete()
    Trace.objects.all().delete()

    random.Random(seed).shuffle(records)
    while records:
        some, records = records[: 1 + seed % 3], records[1 + seed % 3 :]
        spans.save(*some)

    assert sorted(Trace.objects.values_list(*names)) == whole


def test_what_is_sent_twice_counts_once() -> None:
    records = spans.turn_trace()

    spans.save(*records, *records)
    again = spans.save(*records)

    assert Span.objects.count() == Trace.objects.get().span_count == 4
    assert not again.new and not again.changed
    assert SpanAttribute.objects.filter(key__name="tool_name").count() == 1


def test_an_open_span_is_replaced_when_it_ends() -> None:
    done = spans.turn_trace(status="error", error="no reply")
    opened = spans.record(
        trace_id=done[0].trace_id, span_id=done[0].span_id, name="create_agent_turn", end_ns=None, attributes={"a": 1}
    )

    spans.save(opened, done[1])
    open_trace = Trace.objects.get()
    number = Span.objects.get(span_id=opened.span_id).pk
    saved = spans.save(*done)

    assert (open_trace.status, open_trace.end_ns, open_trace.duration_ns) == ("", None, None)
    trace, root = Trace.objects.get(), Span.objects.get(span_id=opened.span_id)
    assert root.pk == number and root.message == "no reply" and root.attributes["agent_id"] == "agent-1"
    assert (trace.status, trace.span_count, trace.error_count) == ("error", 4, 1)
    assert number in saved.changed[trace.trace_id]
    assert not SpanAttribute.objects.filter(span=root, key__name="a").exists()


def test_a_trace_without_its_root_is_told_by_the_span_that_began_first() -> None:
    late = spans.record(parent_span_id="f" * 16, name="second", at_ms=20)
    first = spans.record(trace_id=late.trace_id, parent_span_id="f" * 16, name="first", at_ms=5)
    spans.save(late)
    spans.save(first)
    rootless = Trace.objects.get()

    root = spans.record(trace_id=late.trace_id, span_id="f" * 16, name="root", for_ms=100)
    spans.save(root)

    assert (rootless.root_span_id, rootless.name) == ("", "first")
    assert rootless.end_ns == late.end_ns
    trace = Trace.objects.get()
    assert (trace.root_span_id, trace.name, trace.end_ns) == ("f" * 16, "root", root.end_ns)


def test_values_are_kept_by_their_type_and_hot_ones_in_columns() -> None:
    given = {"agent_id": "a", "n": 5, "b": True, "s": "5", "o": {"y": 1, "x": [2]}, "none": None, "a.\"b'": "x" * 300}

    spans.save(spans.record(attributes=given))

    span = Span.objects.get()
    assert span.attributes == given and span.agent_id == "a"
    kept = {one.key.name: (one.kind, one.text, one.number) for one in SpanAttribute.objects.select_related("key")}
    assert kept["n"] == ("n", "5", 5.0) and kept["b"] == ("b", "true", 1.0) and kept["s"] == ("s", "5", 5.0)
    assert kept["o"] == ("j", '{"x":[2],"y":1}', None)
    assert len(kept["a.\"b'"][1]) == 250
    assert "none" not in kept and "agent_id" not in kept


def test_text_no_database_holds_is_cleaned() -> None:
    spans.save(spans.record(name="a\0b\ud800", attributes={"k\0": "v\0\ud800"}, message="\0"))

    assert Span.objects.get().name == "ab?"
    assert AttributeKey.objects.get().name == "k"


def test_a_thousand_spans_take_as_many_queries_as_ten(django_assert_max_num_queries) -> None:  # type: ignore[no-untyped-def]
    spans.save(*spans.turn_trace())
    many = [record for at in range(250) for record in spans.turn_trace(at_ms=at)]

    with django_assert_max_num_queries(12):
        spans.save(*many)

    assert Trace.objects.count() == 251 and Span.objects.count() == 1004
