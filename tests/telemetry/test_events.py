"""The events of Llama Stack clients: folded into their spans, in whatever order they come."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import httpx2
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from apps.core import db
from apps.telemetry import events, known
from apps.telemetry.event_schemas import LogEventRequest
from apps.telemetry.models import MetricPoint, Span, SpanAttribute, Trace

PATH = "/v1/telemetry/events"
TRACE, ROOT, CHILD = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
AT_NS = 1_790_000_000_000_000_000
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def nothing_known() -> Any:
    """Forget the rows of the test before."""
    known.forget()
    yield
    known.forget()


def at(seconds: float) -> str:
    """Return a moment some seconds after the start of time in these tests."""
    return (datetime.fromtimestamp(AT_NS // 10**9, UTC) + timedelta(seconds=seconds)).isoformat()


def event(kind: str, span: str = ROOT, *, seconds: float = 0, **fields: Any) -> Json:
    """Return an event, by default of the root span."""
    return {"type": kind, "trace_id": TRACE, "span_id": span, "timestamp": at(seconds), **fields}


def start(span: str = ROOT, name: str = "plan", parent: str | None = None, **fields: Any) -> Json:
    """Return the begin of a span."""
    payload = {"type": "span_start", "name": name} | ({"parent_span_id": parent} if parent else {})
    return event("structured_log", span, payload=payload, **fields)


def end(span: str = ROOT, status: str = "ok", *, seconds: float = 5, **fields: Any) -> Json:
    """Return the end of a span."""
    return event("structured_log", span, seconds=seconds, payload={"type": "span_end", "status": status}, **fields)


def line(span: str = ROOT, message: str = "thinking", *, seconds: float = 2, **fields: Any) -> Json:
    """Return a line of text of a span."""
    return event("unstructured_log", span, seconds=seconds, message=message, severity="info", **fields)


async def log(api: httpx2.AsyncClient, *told: Json, ttl_s: int = 604_800) -> None:
    """Send events one by one; each must be taken."""
    for one in told:
        response = await api.post(PATH, json={"event": one, "ttl_seconds": ttl_s})
        assert (response.status_code, response.text) == (200, "null")


async def span(span_id: str = ROOT) -> Span:
    """Return a stored span with its trace."""
    return await db.read(lambda: Span.objects.select_related("trace").get(span_id=span_id))


async def test_a_span_begins_speaks_and_ends(api: httpx2.AsyncClient) -> None:
    await log(api, start(attributes={"agent_id": "a", "none": None}))
    open_one = await span()
    assert (open_one.name, open_one.status, open_one.start_ns, open_one.end_ns) == ("plan", "", AT_NS, None)
    assert open_one.trace.root_span_id == ROOT and open_one.trace.end_ns is None

    await log(api, line(attributes={"step": 1}), end(attributes={"cost": 0.5}))

    ended = await span()
    assert (ended.status, ended.end_ns, ended.trace.end_ns) == ("ok", AT_NS + 5 * 10**9, AT_NS + 5 * 10**9)
    assert ended.attributes == {"agent_id": "a", "cost": 0.5, "__ttl__": 604_800}
    told = {"message": "thinking", "severity": "info", "step": 1}
    assert ended.events == [{"name": "unstructured_log", "time_ns": AT_NS + 2 * 10**9, "attributes": told}]
    assert ended.trace.span_count == 1


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_order_of_events_changes_nothing(api: httpx2.AsyncClient, order: tuple[int, ...]) -> None:
    usage = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3}
    of_child = [
        start(CHILD, "inference", ROOT, seconds=1, attributes={"a": 1, "both": "start"}),
        line(CHILD),
        end(CHILD, "error", attributes={"error": "too long", "both": "end", **usage}),
    ]

    await log(api, *(of_child[number] for number in order), start(), end(seconds=6))

    child = await span(CHILD)
    assert (child.name, child.parent_span_id, child.kind) == ("inference", ROOT, "inf")
    assert (child.start_ns, child.end_ns) == (AT_NS + 10**9, AT_NS + 5 * 10**9)
    assert (child.status, child.message) == ("error", "too long")
    assert child.attributes == {"a": 1, "both": "end", "error": "too long", **usage, "__ttl__": 604_800}
    assert [one["attributes"]["message"] for one in child.events] == ["thinking"]
    trace = child.trace
    assert (trace.name, trace.root_span_id, trace.status) == ("plan", ROOT, "ok")
    assert (trace.span_count, trace.error_count, trace.start_ns) == (2, 1, AT_NS)
    assert (trace.input_tokens, trace.output_tokens, trace.end_ns) == (7, 3, AT_NS + 6 * 10**9)


async def test_an_end_alone_makes_the_span(api: httpx2.AsyncClient) -> None:
    await log(api, end(CHILD))

    found = await span(CHILD)
    assert (found.name, found.status, found.start_ns, found.end_ns) == ("", "ok", AT_NS + 5 * 10**9, AT_NS + 5 * 10**9)
    assert found.trace.root_span_id == ""  # nobody told yet that it is one


async def test_events_sent_again_change_nothing(api: httpx2.AsyncClient) -> None:
    for _ in range(2):
        await log(api, start(attributes={"a": 1}), line(), line(message="done", seconds=3), end())

    found = await span()
    assert [one["attributes"]["message"] for one in found.events] == ["thinking", "done"]
    assert found.trace.span_count == 1
    assert await db.read(SpanAttribute.objects.count) == 2  # a and __ttl__


async def test_lines_stand_in_the_order_of_their_times(api: httpx2.AsyncClient) -> None:
    await log(api, line(message="second", seconds=3), line(message="first", seconds=1), start())

    assert [one["attributes"]["message"] for one in (await span()).events] == ["first", "second"]


async def test_a_span_holds_only_so_many_lines(api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.telemetry.otlp.translate.MAX_EVENTS", 2)
    await log(api, start(), line(message="1"), line(message="2"))

    refused = await api.post(PATH, json={"event": line(message="3"), "ttl_seconds": 60})

    assert refused.status_code == 413 and "2 events" in refused.json()["detail"]
    assert len((await span()).events) == 2


async def test_a_metric_becomes_a_point(api: httpx2.AsyncClient) -> None:
    told = {"metric": "tokens", "value": 7, "unit": "tokens", "attributes": {"model_id": "m", "n": 1, "ok": True}}

    await log(api, event("metric", **told), event("metric", seconds=60, **(told | {"value": 0.5})))

    points = await db.read(lambda: list(MetricPoint.objects.select_related("series").order_by("time_s")))
    assert [(point.time_s, point.value) for point in points] == [(AT_NS // 10**9, 7.0), (AT_NS // 10**9 + 60, 0.5)]
    series = points[0].series
    assert (series.metric, series.unit) == ("tokens", "tokens")
    assert series.labels == [["model_id", "m"], ["n", "1"], ["ok", "true"]]
    assert await db.read(Trace.objects.count) == 0


async def test_how_long_to_keep_it_is_heeded(api: httpx2.AsyncClient) -> None:
    await log(api, start(), ttl_s=60)

    assert (await span()).trace.expires_s == AT_NS // 10**9 + 60

    await log(api, start(CHILD, parent=ROOT), ttl_s=600)

    assert (await span()).trace.expires_s == AT_NS // 10**9 + 600


@pytest.mark.parametrize(
    ("trace_id", "span_id", "stored"),
    [
        (TRACE.upper(), ROOT.upper(), (TRACE, ROOT)),
        ("0af76519-16cd-43dd-8448-eb211c80319c", "b7ad6b71-6920-3331-8448-eb211c80319c", (TRACE, "8448eb211c80319c")),
        ("abc", "d", ("abc".zfill(32), "d".zfill(16))),
    ],
)
async def test_ids_come_in_several_forms(
    api: httpx2.AsyncClient, trace_id: str, span_id: str, stored: tuple[str, str]
) -> None:
    await log(api, start() | {"trace_id": trace_id, "span_id": span_id})

    found = await db.read(lambda: Span.objects.select_related("trace").get())
    assert (found.trace.trace_id, found.span_id) == stored


@pytest.mark.parametrize(
    "timestamp", [at(0), "2026-09-21T16:13:20+02:00", "2026-09-21T14:13:20", "2026-09-21T14:13:20.000000123Z"]
)
async def test_times_come_in_several_forms(api: httpx2.AsyncClient, timestamp: str) -> None:
    await log(api, start() | {"timestamp": timestamp})

    assert (await span()).start_ns == AT_NS


BAD = [
    ({"type": "other"}, "type"),
    ({"trace_id": "xyz"}, "trace_id"),
    ({"trace_id": "0" * 32}, "trace_id"),
    ({"trace_id": "a" * 33}, "trace_id"),
    ({"span_id": ""}, "span_id"),
    ({"span_id": "a" * 16 + "0" * 16}, "span_id"),
    ({"timestamp": "soon"}, "timestamp"),
    ({"timestamp": "1969-01-01T00:00:00Z"}, "1970"),
    ({"timestamp": "2300-01-01T00:00:00Z"}, "2262"),
    ({"payload": {"type": "span_start"}}, "name"),
    ({"payload": {"type": "span_start", "name": "x", "parent_span_id": ROOT}}, "its own parent"),
    ({"payload": {"type": "span_end", "status": "fine"}}, "status"),
    ({"payload": {"type": "span_stop"}}, "payload"),
    ({"attributes": {"a": [1]}}, "attributes"),
    ({"attributes": {str(number): number for number in range(600)}}, "attributes"),
    ({"message": "x"}, "message"),
]


@pytest.mark.parametrize(("change", "why"), BAD)
async def test_an_event_that_does_not_fit_is_refused(api: httpx2.AsyncClient, change: Json, why: str) -> None:
    response = await api.post(PATH, json={"event": start() | change, "ttl_seconds": 60})

    assert (response.status_code, response.json()["status"]) == (400, 400)
    assert why in response.json()["detail"]
    assert await db.read(Trace.objects.count) == 0


@pytest.mark.parametrize("body", [{}, {"event": start()}, {"event": start(), "ttl_seconds": 0}, {"ttl_seconds": 5}, []])
async def test_a_body_that_does_not_fit_is_refused(api: httpx2.AsyncClient, body: Any) -> None:
    assert (await api.post(PATH, json=body)).status_code == 400
    assert await db.read(Trace.objects.count) == 0


@pytest.mark.parametrize("value", ["1e400", "NaN", '"7"', "null", "1" * 5_000])
async def test_a_metric_without_a_number_is_refused(api: httpx2.AsyncClient, value: str) -> None:
    told = event("metric", metric="m", unit="", value=0)
    body = f'{{"event": {told!r}, "ttl_seconds": 5}}'.replace("'", '"').replace('"value": 0', f'"value": {value}')

    response = await api.post(PATH, content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == 400
    assert await db.read(MetricPoint.objects.count) == 0


def test_processes_that_take_in_events_of_one_new_span_lose_none(transactional_db: None) -> None:
    told = [start(), end(), *(line(message=str(number), seconds=number) for number in range(6))]
    at_once = threading.Barrier(len(told))

    def process(one: Json) -> None:  # each on a connection of its own
        at_once.wait(10)
        with closing(connection), transaction.atomic():
            events._keep(LogEventRequest(event=one, ttl_seconds=60))

    with ThreadPoolExecutor(len(told)) as threads:
        list(threads.map(process, told))

    found = Span.objects.select_related("trace").get()
    assert (found.name, found.status, found.trace.root_span_id) == ("plan", "ok", ROOT)
    assert [one["attributes"]["message"] for one in found.events] == ["0", "1", "2", "3", "4", "5"]


ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.lists(st.none(), max_size=1)


@examples(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), base=st.sampled_from([start(), end(), line(), event("metric", metric="m", value=1, unit="u")]))
def test_an_odd_event_is_taken_or_refused(transactional_db: None, data: st.DataObject, base: Json) -> None:
    field = data.draw(st.sampled_from(sorted(base)))
    odd = base | {field: data.draw(ODD), "attributes": data.draw(st.dictionaries(st.text(max_size=5), ODD, max_size=2))}

    try:
        asked = LogEventRequest.model_validate({"event": odd, "ttl_seconds": 60})
    except ValidationError:
        return
    with transaction.atomic():
        events._keep(asked)


async def test_many_clients_at_once_lose_no_event(api: httpx2.AsyncClient) -> None:
    children = [f"{number:016x}" for number in range(1, 9)]

    async def client(child: str) -> None:
        await log(api, line(ROOT, f"from {child}"), end(child), start(child, "work", ROOT), line(child))

    await asyncio.gather(*(client(child) for child in children), log(api, start(), end()))

    trace = await db.read(Trace.objects.get)
    assert (trace.name, trace.root_span_id, trace.span_count) == ("plan", ROOT, 9)
    assert len((await span()).events) == 8
    assert {(await span(child)).name for child in children} == {"work"}
