"""What is read out of OTLP, in both encodings: the same spans and samples, whatever of them is odd."""

import gzip
import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import BadRequest, ConsoleError, TooLarge
from apps.telemetry.metrics.totals import Sample
from apps.telemetry.otlp import http as otlp_http
from apps.telemetry.otlp import translate as otlp
from apps.telemetry.records import SpanRecord
from tests.telemetry import otlp_requests as build
from tests.telemetry.otlp_requests import START_NS

ANY = [
    ({"stringValue": "a"}, "a"),
    ({"stringValue": ""}, ""),
    ({"boolValue": False}, False),
    ({"intValue": "9007199254740993"}, 9007199254740993),
    ({"intValue": "-5"}, -5),
    ({"doubleValue": 1.5}, 1.5),
    ({"doubleValue": "NaN"}, "NaN"),
    ({"doubleValue": "-Infinity"}, "-Infinity"),
    ({"bytesValue": b64encode(b"\x00\xff").decode()}, "AP8="),
    ({"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}, {}]}}, ["a", 1, None]),
    ({"arrayValue": {}}, []),
    ({"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}}, {"k": True}),
    ({}, None),
]


def read(request: Any) -> tuple[list[SpanRecord], otlp.Refused]:
    """Read a request in both encodings; they must say the same."""
    found = otlp.spans(json.dumps(request).encode(), is_json=True)
    assert otlp.spans(build.protobuf(request), is_json=False) == found
    return found


def one(**fields: Any) -> SpanRecord:
    """Return a span as it is read."""
    records, refused = read(build.traces(build.span(**fields)))
    assert refused.message == ""
    return records[0]


def samples(*metrics: Any) -> list[Sample]:
    """Read metrics in both encodings; they must say the same."""
    request = build.metrics(*metrics)
    found, refused = otlp.samples(json.dumps(request).encode(), is_json=True)
    assert (found, refused) == otlp.samples(build.protobuf(request), is_json=False)
    return found


def test_a_span_is_read_whole() -> None:
    ids = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331"}
    link = {"traceId": "1" * 32, "spanId": "2" * 16, "attributes": build.attributes(why="retry")}
    event = {"name": "sent", "timeUnixNano": str(START_NS + 5), "attributes": build.attributes(size=3)}

    record = one(**ids, kind=3, parentSpanId="00f067aa0ba902b7", events=[event], links=[link], status={"code": 1})

    assert (record.trace_id, record.span_id, record.parent_span_id) == (*ids.values(), "00f067aa0ba902b7")
    assert (record.start_ns, record.end_ns) == (START_NS, START_NS + 1_000_000)
    assert record.events == [{"name": "sent", "time_ns": START_NS + 5, "attributes": {"size": 3}}]
    assert record.links == [{"trace_id": "1" * 32, "span_id": "2" * 16, "attributes": {"why": "retry"}}]
    assert (record.name, record.status, record.otel_kind, record.scope) == ("work", "ok", 3, "shop.checkout")
    assert record.resource == {"service.name": "shop"} and not record.is_own


@pytest.mark.parametrize(("told", "value"), ANY)
def test_every_kind_of_value_becomes_json(told: Any, value: Any) -> None:
    assert one(attributes=[{"key": "it", "value": told}]).attributes == {"it": value}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"status": {"code": 2, "message": "no such order"}}, "no such order"),
        ({"status": {"code": 2}, "events": [{"name": "exception", "attributes": "KeyError: 7"}]}, "KeyError: 7"),
        ({"status": {"code": 2}, "attributes": build.attributes(**{"error.type": "timeout"})}, "timeout"),
    ],
)
def test_a_failed_span_says_why(fields: Any, message: str) -> None:
    for event in fields.get("events", []):
        event["attributes"] = build.attributes(**{"exception.message": message})

    record = one(**fields)

    assert (record.status, record.message, record.attributes["error"]) == ("error", message, message)


def test_an_error_that_the_program_tells_itself_stays() -> None:
    record = one(status={"code": 2, "message": "no"}, attributes=build.attributes(error=True))

    assert (record.message, record.attributes["error"]) == ("no", True)


def test_a_failed_span_without_any_reason_has_none() -> None:
    record = one(status={"code": 2})

    assert (record.status, record.message, record.attributes) == ("error", "", {})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"traceId": "0" * 32}, "trace id"),
        ({"traceId": "ab" * 15}, "trace id"),
        ({"traceId": None}, "trace id"),
        ({"spanId": "0" * 16}, "span id"),
        ({"spanId": "ab" * 16}, "span id"),
        ({"parentSpanId": "abcd"}, "parent"),
        ({"spanId": "ab" * 8, "parentSpanId": "ab" * 8}, "its own parent"),
        ({"startTimeUnixNano": None}, "start time"),
        ({"startTimeUnixNano": str(2**63)}, "start time"),
        ({"endTimeUnixNano": None}, "end time"),
        ({"endTimeUnixNano": str(2**64 - 1)}, "end time"),
    ],
)
def test_an_unusable_span_is_refused_and_the_others_are_kept(fields: Any, reason: str) -> None:
    records, refused = read(build.traces(build.span(name="before"), build.span(**fields), build.span(name="behind")))

    assert [record.name for record in records] == ["before", "behind"]
    assert refused.count == 1 and reason in refused.message


def test_odd_but_usable_spans_are_brought_in_order(settings: Any) -> None:
    settings.TELEMETRY_MAX_TEXT = 300

    record = one(
        name="n" * 300,
        endTimeUnixNano=str(START_NS - 5),
        parentSpanId="0" * 16,
        kind=77,
        attributes=build.attributes(**{"k" * 300: 1, "long": "x" * 400, "nul": "a\0b", "": "nameless"}),
        links=[{"traceId": "", "spanId": ""}],
    )

    assert record.name == "n" * 255 and record.end_ns == START_NS
    assert (record.parent_span_id, record.otel_kind, record.links) == ("", 0, [])
    assert record.attributes == {
        "k" * 255: 1,
        "long": "x" * 300 + "… (100 characters cut)",
        "nul": "ab",
    }


def test_a_nameless_span_has_a_name() -> None:
    assert one(name="").name == "unnamed"


def test_what_is_too_many_is_dropped_and_told() -> None:
    many = build.attributes(**{f"key {number}": number for number in range(600)})
    events = [{"name": "tick", "timeUnixNano": "1"}] * 1_001

    (record,), refused = read(build.traces(build.span(attributes=many, events=events)))

    assert len(record.attributes) == otlp.MAX_ATTRIBUTES and len(record.events) == otlp.MAX_EVENTS
    assert refused.count == 0
    assert "88 attributes" in refused.message and "1 events" in refused.message


def test_a_span_may_say_how_long_it_is_kept() -> None:
    assert one(attributes=build.attributes(__ttl__=60)).ttl_s == 60
    assert one(attributes=build.attributes(__ttl__=-1)).ttl_s is None
    assert one(attributes=build.attributes(__ttl__=True)).ttl_s is None


def test_too_many_spans_are_too_large_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "MAX_ITEMS", 2)

    assert len(read(build.traces(build.span(), build.span()))[0]) == 2
    with pytest.raises(TooLarge, match="smaller batches"):
        otlp.spans(build.protobuf(build.traces(*[build.span()] * 3)), is_json=False)


@pytest.mark.parametrize("depth", [5, 19, 30])
def test_what_lies_too_deep_in_a_value_is_left_out(depth: int) -> None:
    told: Any = {"stringValue": "deep"}
    for _ in range(depth):
        told = {"kvlistValue": {"values": [{"key": "in", "value": told}]}}

    value = one(attributes=[{"key": "it", "value": told}]).attributes["it"]

    steps = 0
    while isinstance(value, dict):
        value, steps = value["in"], steps + 1
    assert (steps, value) == ((depth, "deep") if depth <= 20 else (20, None))


def test_json_is_read_in_the_other_spelling_too() -> None:
    told = build.span(
        traceId="AB" * 16,
        kind="SPAN_KIND_CLIENT",
        status={"code": "STATUS_CODE_ERROR", "message": "x"},
        attributes=[{"key": "n", "value": {"int_value": 5}}],
    )
    told["start_time_unix_nano"] = int(told.pop("startTimeUnixNano"))
    request = {"resource_spans": [{"scope_spans": [{"spans": [told]}]}]}

    (record,), _ = otlp.spans(json.dumps(request).encode(), is_json=True)

    assert (record.trace_id, record.otel_kind, record.status) == ("ab" * 16, 3, "error")
    assert (record.start_ns, record.attributes) == (START_NS, {"n": 5, "error": "x"})


def test_half_a_character_in_json_costs_a_character_and_not_the_batch() -> None:
    body = json.dumps(build.traces(build.span(attributes=build.attributes(it="ab")))).replace('"ab"', r'"a\ud83d b"')

    (record,), _ = otlp.spans(body.encode(), is_json=True)

    assert record.attributes == {"it": "a? b"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"{", "not valid JSON"),
        (b'{"a": "\\ud83d', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"\\ud" + b"[" * 100_000, "not valid JSON"),
        (b'{"resourceSpans": {}}', "resourceSpans"),
        (b'{"resourceSpans": [5]}', "resourceSpans"),
        (b'{"resourceSpans": [{"resource": []}]}', "resource"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 5}]}]}]}', "traceId"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "soon"}]}]}]}', "startTimeUnixNano"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": 1e400}]}]}]}', "startTimeUnixNano"),
        (b'{"resourceSpans": [{"resource": {"attributes": [{"key": "a", "value": {"b": 1}}]}}]}', "not a value"),
        (b'{"resourceSpans": [{"resource": {"attributes": [{"key": "a", "value": 1}]}}]}', "value"),
    ],
)
def test_json_that_is_no_request_is_refused_with_the_place(body: bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        otlp.spans(body, is_json=True)


def test_protobuf_that_is_no_request_is_refused() -> None:
    for body in (b"garbage", b'{"resourceSpans": []}', build.protobuf(build.traces(build.span()))[:-3]):
        with pytest.raises(BadRequest, match="ExportTraceServiceRequest"):
            otlp.spans(body, is_json=False)


WORDS = st.sampled_from(["resourceSpans", "scopeSpans", "spans", "traceId", "name", "attributes", "key", "value"])
GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(GARBAGE)
def test_any_json_is_read_or_refused(value: Any) -> None:
    for request in (value, {"resourceSpans": [value]}, build.traces(value), build.traces(build.span(attributes=value))):
        body = json.dumps(request).encode()
        for reading in (otlp.spans, otlp.samples):
            try:
                reading(body, is_json=True)
            except ConsoleError as error:
                assert error.status == 400


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 120), st.integers(0, 255))
def test_any_protobuf_is_read_or_refused(noise: bytes, place: int, byte: int) -> None:
    bent = bytearray(build.protobuf(build.traces(build.span(attributes=build.attributes(a="b", c=1)))))
    bent[place % len(bent)] = byte
    for body in (noise, bytes(bent)):
        for reading in (otlp.spans, otlp.samples):
            try:
                reading(body, is_json=False)
            except ConsoleError as error:
                assert error.status == 400


def test_deeply_nested_protobuf_is_read_or_refused() -> None:
    value = b""
    for _ in range(500):  # a list in a list in a list: AnyValue.array_value.values …
        value = _field(5, _field(1, value))
    for field in (2, 1, 1, 1):  # KeyValue.value, Resource.attributes, ResourceSpans.resource, resource_spans
        value = _field(field, value)

    with pytest.raises(BadRequest):
        otlp.spans(value, is_json=False)


def _field(number: int, body: bytes) -> bytes:
    size = bytearray()
    left = len(body)
    while left > 127:
        size.append(left & 127 | 128)
        left >>= 7
    return bytes([number << 3 | 2, *size, left]) + body


def test_gauges_and_sums_become_samples() -> None:
    point = {"asDouble": 2.5, "timeUnixNano": str(START_NS), "attributes": build.attributes(city="Porto", n=1, ok=True)}
    gauge = {"name": "load", "unit": "%", "gauge": {"dataPoints": [point]}}
    delta = {"name": "sold", "sum": {"dataPoints": [point], "aggregationTemporality": 1, "isMonotonic": True}}
    level = {"name": "level", "sum": {"dataPoints": [point], "aggregationTemporality": 2}}

    found = samples(gauge, delta, level, build.total(7, at_s=1))

    labels = {"city": "Porto", "n": "1", "ok": "true", "service": "shop"}
    assert found[0] == Sample("load", labels, "%", START_NS, 2.5)
    assert found[1] == Sample("sold", labels, "", START_NS, 2.5)
    assert found[2] == Sample("level", labels, "", START_NS, 2.5)
    assert found[3].value == 7.0 and found[3].counter.endswith(f":{START_NS}")


def test_histograms_and_summaries_become_a_count_and_a_sum() -> None:
    point = {"count": "3", "sum": 7.5, "timeUnixNano": str(START_NS), "startTimeUnixNano": str(START_NS - 1)}
    bare = {"count": "2", "timeUnixNano": str(START_NS)}
    told = [
        {"name": "took", "unit": "s", "histogram": {"dataPoints": [point], "aggregationTemporality": 1}},
        {"name": "wide", "unit": "s", "exponentialHistogram": {"dataPoints": [bare], "aggregationTemporality": 1}},
        {"name": "old", "unit": "s", "summary": {"dataPoints": [point]}},
    ]

    found = [(sample.metric, sample.unit, sample.value, bool(sample.counter)) for sample in samples(*told)]

    assert found == [
        ("took_count", "", 3.0, False),
        ("took_sum", "s", 7.5, False),
        ("wide_count", "", 2.0, False),
        ("old_count", "", 3.0, True),
        ("old_sum", "s", 7.5, True),
    ]


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ({"name": " ", "gauge": {"dataPoints": [{"asInt": "1", "timeUnixNano": "5"}]}}, "no name"),
        ({"name": "a", "gauge": {"dataPoints": [{"asInt": "1"}]}}, "time is missing"),
        ({"name": "a", "gauge": {"dataPoints": [{"timeUnixNano": "5"}]}}, "no value"),
        ({"name": "a", "gauge": {"dataPoints": [{"asDouble": "NaN", "timeUnixNano": "5"}]}}, "finite"),
        ({"name": "a", "sum": {"dataPoints": [{"asInt": "1", "timeUnixNano": "5"}]}}, "temporality"),
    ],
)
def test_an_unusable_data_point_is_refused(metric: Any, reason: str) -> None:
    request = build.metrics(metric, build.total(1, at_s=1))

    for found, refused in (
        otlp.samples(json.dumps(request).encode(), is_json=True),
        otlp.samples(build.protobuf(request), is_json=False),
    ):
        assert len(found) == 1
        assert refused.count == 1 and reason in refused.message


def test_a_point_told_to_be_missing_is_no_fault() -> None:
    point = {"timeUnixNano": "5", "flags": 1}

    assert samples({"name": "a", "gauge": {"dataPoints": [point]}}) == []


def test_a_bomb_is_refused_before_it_goes_off(settings: Any) -> None:
    settings.MAX_BODY_BYTES = 1_000_000
    bomb = gzip.compress(b"\0" * 50_000_000)

    with pytest.raises(TooLarge, match="1,000,000"):
        otlp_http.unpacked(bomb, "gzip")


def test_a_packed_body_that_is_broken_is_refused() -> None:
    whole = gzip.compress(b"hello")

    assert otlp_http.unpacked(whole, "gzip") == b"hello"
    for body in (b"not gzip", whole[:-4], whole + b"more"):
        with pytest.raises(BadRequest, match="gzip"):
            otlp_http.unpacked(body, "gzip")
