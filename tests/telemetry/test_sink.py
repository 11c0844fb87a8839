"""Spans of this process: stored in batches, open ones too; a store that is away keeps nobody waiting."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DataError, OperationalError, connections
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode

from apps.core import live
from apps.telemetry import sink
from apps.telemetry.models import MetricPoint, Span, Trace
from apps.telemetry.records import SpanRecord
from apps.telemetry.sink import StoreSpans
from tests.telemetry import spans

pytestmark = pytest.mark.django_db(transaction=True)


class Kept:
    """A store that remembers what it was given, and can be away."""

    def __init__(self) -> None:
        self.records: list[SpanRecord] = []
        self.is_away = False
        self.has_some = threading.Event()

    def __call__(self, records: list[SpanRecord]) -> None:
        if self.is_away:
            raise OperationalError("database or disk is full")
        self.records += records
        self.has_some.set()


@pytest.fixture
def kept() -> Kept:
    """A store in memory."""
    return Kept()


@pytest.fixture
def processor(kept: Kept) -> Iterator[StoreSpans]:
    """A processor that fills it, stopped in the end."""
    one = StoreSpans(kept)
    yield one
    one.shutdown()


@pytest.fixture
def tracer(processor: StoreSpans) -> Any:
    """A tracer whose spans go there."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider.get_tracer("test")


def test_an_ended_span_is_stored_by_itself(tracer: Any, kept: Kept) -> None:
    with tracer.start_as_current_span("work", attributes={"a": 1}):
        pass

    assert kept.has_some.wait(5)
    [record] = kept.records
    assert (record.name, record.status, record.attributes["a"]) == ("work", "ok", 1)
    assert record.attributes["__ttl__"] == record.ttl_s == 604_800


def test_a_span_that_stays_open_is_stored_as_open_and_again_when_it_ends(tracer: Any, kept: Kept) -> None:
    span = tracer.start_span("long")
    assert kept.has_some.wait(5)
    time.sleep(1)
    assert [(record.name, record.end_ns, record.status) for record in kept.records] == [("long", None, "")]

    kept.has_some.clear()
    span.end()

    assert kept.has_some.wait(5)
    assert [record.status for record in kept.records] == ["", "ok"]


def test_a_failure_is_told_as_status_and_attribute(tracer: Any, processor: StoreSpans, kept: Kept) -> None:
    with pytest.raises(ValueError), tracer.start_as_current_span("work"):
        raise ValueError("seven is not a colour")
    with tracer.start_as_current_span("told") as span:
        span.set_status(Status(StatusCode.ERROR, "no reply"))
    processor.force_flush()

    raised, told = kept.records
    assert raised.status == told.status == "error"
    assert "seven is not a colour" in raised.attributes["error"] and raised.events[0]["name"] == "exception"
    assert told.attributes["error"] == told.message == "no reply"


def test_a_store_that_is_away_loses_nothing(
    tracer: Any, processor: StoreSpans, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "RETRY_S", 0.05)
    kept.is_away = True
    for number in range(600):
        tracer.start_span(f"span {number}").end()
    assert processor.force_flush() is False

    kept.is_away = False

    assert processor.force_flush() is True
    assert [record.name for record in kept.records] == [f"span {number}" for number in range(600)]


def test_memory_is_bounded_while_the_store_is_away(
    tracer: Any, processor: StoreSpans, kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sink, "KEPT", 100)
    monkeypatch.setattr(sink, "RETRY_S", 0.05)
    kept.is_away = True
    for number in range(1_000):
        tracer.start_span(f"span {number}").end()

    kept.is_away = False
    processor.force_flush()

    assert len(kept.records) <= 100 + sink.BATCH
    assert kept.records[-1].name == "span 999"
    assert "spans were dropped" in caplog.text


def test_text_in_memory_is_bounded_while_the_store_is_away(
    tracer: Any, processor: StoreSpans, kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sink, "KEPT_CHARS", 10_000)
    monkeypatch.setattr(sink, "RETRY_S", 0.05)
    kept.is_away = True
    processor.force_flush()
    for number in range(100):
        tracer.start_span(f"span {number}", attributes={"input": "x" * 1_000}).end()
    assert len(processor._ended) <= 10

    kept.is_away = False
    processor.force_flush()

    assert kept.records[-1].name == "span 99" and "spans were dropped" in caplog.text


def test_a_span_that_cannot_be_stored_costs_no_other(tracer: Any, processor: StoreSpans, kept: Kept) -> None:
    def write(records: list[SpanRecord]) -> None:
        if any(record.name == "lost" for record in records):
            raise DataError("no column takes it")
        kept(records)

    processor._write = write
    with processor._one_drain:
        for name in ("before", "lost", "after"):
            tracer.start_span(name).end()
    processor.force_flush()

    assert [record.name for record in kept.records] == ["before", "after"]


def test_a_store_that_goes_away_while_spans_are_tried_alone_loses_none(
    tracer: Any, processor: StoreSpans, kept: Kept
) -> None:
    def write(records: list[SpanRecord]) -> None:
        if any(record.name == "lost" for record in records):
            kept.is_away = len(records) == 1  # from the next one on
            raise DataError("no column takes it")
        kept(records)

    processor._write = write
    with processor._one_drain:
        for name in ("before", "lost", "after"):
            tracer.start_span(name).end()
    assert processor.force_flush() is False

    processor._write = kept
    kept.is_away = False

    assert processor.force_flush() is True
    assert [record.name for record in kept.records] == ["before", "after"]


def test_a_span_that_ends_while_it_is_looked_at_comes_once(
    tracer: Any, processor: StoreSpans, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "OPEN_AFTER_S", 0)
    look = processor._untold

    def ending() -> dict[int, Any]:
        found = look()
        for span in found.values():
            span.end()
        return found

    with processor._one_drain:
        tracer.start_span("quick")
        monkeypatch.setattr(processor, "_untold", ending)
        processor._drain()
    processor.force_flush()

    assert [(record.name, record.status) for record in kept.records] == [("quick", "ok")]


def test_a_clean_stop_stores_what_is_left(kept: Kept) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(StoreSpans(kept))
    for _ in range(1_000):
        provider.get_tracer("test").start_span("last words").end()

    provider.shutdown()

    assert len(kept.records) == 1_000


def test_long_text_is_cut_and_says_so(tracer: Any, processor: StoreSpans, kept: Kept, settings: Any) -> None:
    settings.TELEMETRY_MAX_TEXT = 100
    tracer.start_span("long", attributes={"input": "x" * 150, "list": ["a", "b"]}).end()
    processor.force_flush()

    attributes = kept.records[0].attributes
    assert attributes["input"] == "x" * 100 + "… (50 characters cut)"
    assert attributes["list"] == ["a", "b"]


def test_a_call_to_a_model_is_counted(transactional_db: None) -> None:
    one = StoreSpans()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(one)
    told = {"gen_ai.request.model": "m", "gen_ai.provider.name": "p", "time_to_first_token_s": 0.25, "agent_id": "a"}
    usage = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3}
    provider.get_tracer("test").start_span("inference", attributes=told | usage).end()

    provider.shutdown()

    assert Trace.objects.get().tokens == Span.objects.get().input_tokens + 3 == 10
    points = {point.series.metric: point for point in MetricPoint.objects.select_related("series")}
    values = {name: point.value for name, point in points.items()}
    assert values == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "time_to_first_token": 0.25}
    assert points["prompt_tokens"].series.labels == [["agent_id", "a"], ["model_id", "m"], ["provider_id", "p"]]
    assert points["prompt_tokens"].series.unit == "tokens"
    connections.close_all()


def test_who_watches_a_trace_hears_that_its_turn_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(live, "tell", lambda topic, event: told.append((topic, event)))
    asked = spans.record(name="create_agent_turn", attributes={"turn_id": "t1"})
    sink.keep([asked, spans.record(name="create_agent_turn", attributes={"turn_id": "t2"})])
    told.clear()

    sink.keep([spans.record(name="resume_agent_turn", at_ms=9, attributes={"turn_id": "t1"})])

    assert [topic for topic, _ in told if topic != "traces"] == [f"trace:{asked.trace_id}"]
