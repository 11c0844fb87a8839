"""The doors of OTLP over HTTP: who may send, how it is packed and answered, and that an answer means it is stored."""

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from django.db import OperationalError
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from apps.core import db
from apps.telemetry import ingest, known, live, store
from apps.telemetry.models import Span, SpanAttribute, Trace
from apps.telemetry.otlp import translate as otlp
from tests.telemetry import otlp_requests as build
from tests.telemetry.otlp_requests import GZIP, JSON, PROTOBUF


@pytest.fixture(autouse=True)
def nothing_known() -> Any:
    """Forget the rows of the test before."""
    known.forget()
    yield
    known.forget()


async def send(api: httpx2.AsyncClient, request: Any, path: str = "/v1/traces") -> Any:
    """Send a request in JSON and return the answer's body; it must be a success."""
    response = await api.post(path, content=json.dumps(request), headers=JSON)
    assert response.status_code == 200, response.text
    return response.json()


async def count() -> tuple[int, int]:
    """Return how many traces and spans there are."""
    return await db.read(lambda: (Trace.objects.count(), Span.objects.count()))


async def test_protobuf_is_stored_when_it_is_answered(api: httpx2.AsyncClient) -> None:
    body = build.protobuf(build.traces(build.span(name="pay", attributes=build.attributes(amount=3))))

    response = await api.post("/v1/traces", content=body, headers=PROTOBUF)

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "application/x-protobuf"
    span = await db.read(lambda: Span.objects.select_related("trace", "resource").get())
    assert (span.name, span.attributes, span.scope) == ("pay", {"amount": 3}, "shop.checkout")
    assert span.resource is not None and span.resource.service == span.trace.service == "shop"
    assert span.trace.root_span_id == span.span_id


async def test_json_is_answered_in_json(api: httpx2.AsyncClient) -> None:
    assert await send(api, build.traces(build.span())) == {}
    assert await count() == (1, 1)


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("deflate", __import__("zlib").compress)])
async def test_a_packed_body_is_unpacked(api: httpx2.AsyncClient, name: str, pack: Callable[[bytes], bytes]) -> None:
    body = pack(build.protobuf(build.traces(build.span())))

    response = await api.post("/v1/traces", content=body, headers=PROTOBUF | {"Content-Encoding": name})

    assert response.status_code == 200
    assert await count() == (1, 1)


async def test_what_cannot_be_used_is_told_and_the_rest_is_stored(api: httpx2.AsyncClient) -> None:
    request = build.traces(build.span(), build.span(traceId="0" * 32), build.span(endTimeUnixNano=None))

    told = (await send(api, request))["partialSuccess"]
    response = await api.post("/v1/traces", content=build.protobuf(request), headers=PROTOBUF)

    assert told["rejectedSpans"] == "2"
    assert "1 spans rejected: the trace id" in told["errorMessage"] and "end time" in told["errorMessage"]
    partial = build.answer(response.content).partial_success
    assert (partial.rejected_spans, partial.error_message) == (2, told["errorMessage"])
    assert await count() == (1, 1)


async def test_what_is_dropped_of_a_span_is_told_without_a_number(api: httpx2.AsyncClient) -> None:
    many = build.attributes(**{f"key {number}": number for number in range(600)})

    told = await send(api, build.traces(build.span(attributes=many)))

    assert told == {"partialSuccess": {"errorMessage": "88 attributes beyond the first 512 dropped"}}


async def test_the_same_batch_twice_counts_once(api: httpx2.AsyncClient) -> None:
    trace = "ab" * 16
    request = build.traces(build.span(traceId=trace), build.span(traceId=trace, parentSpanId="cd" * 8))

    await send(api, request)
    await send(api, request)

    assert await count() == (1, 2)
    assert (await db.read(Trace.objects.get)).span_count == 2


async def test_parents_may_come_behind_their_children(api: httpx2.AsyncClient) -> None:
    trace, root = "ab" * 16, "cd" * 8

    await send(api, build.traces(build.span(traceId=trace, parentSpanId=root, name="child")))
    assert (await db.read(Trace.objects.get)).root_span_id == ""
    await send(api, build.traces(build.span(traceId=trace, spanId=root, name="root")))

    found = await db.read(Trace.objects.get)
    assert (found.name, found.root_span_id, found.span_count) == ("root", root, 2)


async def test_who_watches_is_told_what_came(api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[store.Saved] = []
    monkeypatch.setattr(live, "announce", told.append)

    await send(api, build.traces(build.span(traceId="ab" * 16)))
    await send(api, build.traces(build.span(traceId="ab" * 16)))

    assert told[0].new == ["ab" * 16]
    assert list(told[1].changed) == ["ab" * 16] and len(told[1].changed["ab" * 16]) == 1


async def test_text_no_database_holds_is_stored_without_it(api: httpx2.AsyncClient) -> None:
    odd = {"nul": "a\0b", "written": r"a\u0000b", "back": "a\\", "é\0": "ü" * 300}

    await send(api, build.traces(build.span(name="n\0", attributes=build.attributes(**odd))))

    span = await db.read(Span.objects.get)
    assert span.name == "n"
    assert span.attributes == {"nul": "ab", "written": r"a\u0000b", "back": "a\\", "é": "ü" * 300}


async def test_only_who_may_work_may_send(client_for: Callable[..., httpx2.AsyncClient]) -> None:
    body = build.protobuf(build.traces(build.span()))

    for path in ("/v1/traces", "/v1/metrics", "/v1/telemetry/events"):
        for role, status in (("viewer", 403), ("", 401)):
            response = await client_for(role).post(path, content=body, headers=PROTOBUF)
            assert (response.status_code, response.json()["status"]) == (status, status)
    assert await count() == (0, 0)


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/metrics"])
async def test_garbage_is_answered_as_the_protocol_says(api: httpx2.AsyncClient, path: str) -> None:
    in_protobuf = await api.post(path, content=b"garbage", headers=PROTOBUF)
    in_json = await api.post(path, content=b"garbage", headers=JSON)
    other = await api.post(path, content=b"garbage", headers={"Content-Type": "text/plain"})
    packing = await api.post(path, content=b"garbage", headers=PROTOBUF | {"Content-Encoding": "br"})
    broken = await api.post(path, content=b"garbage", headers=PROTOBUF | GZIP)

    assert (in_protobuf.status_code, in_protobuf.headers["content-type"]) == (400, "application/x-protobuf")
    assert Status.FromString(in_protobuf.content).code == 3
    assert "protobuf" in Status.FromString(in_protobuf.content).message
    assert (in_json.status_code, in_json.json()["status"]) == (400, 400)
    assert (other.status_code, other.json()["title"]) == (415, "Unsupported Media Type")
    assert packing.status_code == 415 and "gzip" in Status.FromString(packing.content).message
    assert broken.status_code == 400


async def test_a_bomb_is_refused(api: httpx2.AsyncClient, settings: Any) -> None:
    settings.MAX_BODY_BYTES = 1_000_000
    bomb = gzip.compress(b"\0" * 20_000_000)

    in_protobuf = await api.post("/v1/traces", content=bomb, headers=PROTOBUF | GZIP)
    in_json = await api.post("/v1/traces", content=bomb, headers=JSON | GZIP)

    assert (in_protobuf.status_code, Status.FromString(in_protobuf.content).code) == (413, 8)
    assert (in_json.status_code, in_json.json()["title"]) == (413, "Payload Too Large")


async def test_too_many_spans_are_refused_whole(api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "MAX_ITEMS", 2)

    response = await api.post("/v1/traces", content=json.dumps(build.traces(*[build.span()] * 3)), headers=JSON)

    assert response.status_code == 413
    assert await count() == (0, 0)


async def test_a_database_that_takes_nothing_asks_to_come_again(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = build.protobuf(build.traces(build.span()))

    def full(*_: Any) -> None:
        raise OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "save", full)
        refused = await api.post("/v1/traces", content=body, headers=PROTOBUF)
        in_json = await api.post("/v1/traces", content=json.dumps(build.traces(build.span())), headers=JSON)
    accepted = await api.post("/v1/traces", content=body, headers=PROTOBUF)

    for response in (refused, in_json):
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert Status.FromString(refused.content).code == 14
    assert accepted.status_code == 200
    assert await count() == (1, 1)


async def test_what_fails_half_way_is_whole_when_it_is_sent_again(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps(build.traces(*[build.span(traceId="ab" * 16) for _ in range(25)]))
    monkeypatch.setattr(ingest, "PIECE", 10)
    saved: list[int] = []
    save = store.save

    def fail_at_the_second(records: Any) -> store.Saved:
        if len(saved) == 1:
            raise OperationalError("database is locked")
        saved.append(len(records))
        return save(records)

    with monkeypatch.context() as patch:
        patch.setattr(store, "save", fail_at_the_second)
        first = await api.post("/v1/traces", content=body, headers=JSON)
    second = await api.post("/v1/traces", content=body, headers=JSON)

    assert (first.status_code, second.status_code, saved) == (503, 200, [10])
    assert await count() == (1, 25)
    assert (await db.read(Trace.objects.get)).span_count == 25


async def test_more_than_fits_into_memory_is_asked_to_come_again(api: httpx2.AsyncClient, settings: Any) -> None:
    body = build.protobuf(build.traces(*[build.span() for _ in range(50)]))
    settings.MAX_BODY_BYTES = len(body) // 2  # so that four of the largest are two of these

    responses = await asyncio.gather(*(api.post("/v1/traces", content=body, headers=PROTOBUF) for _ in range(6)))

    statuses = sorted(response.status_code for response in responses)
    assert statuses[0] == 200 and statuses[-1] == 503
    assert ingest._held == 0


async def test_eight_exporters_at_once_lose_nothing(api: httpx2.AsyncClient) -> None:
    async def exporter(number: int) -> None:
        for batch in range(4):
            spans = [build.span(traceId=f"{number * 100 + batch + 1:032x}") for _ in range(20)]
            response = await api.post("/v1/traces", content=build.packed(build.traces(*spans)), headers=JSON | GZIP)
            assert response.status_code == 200, response.text

    await asyncio.gather(*(exporter(number) for number in range(8)))

    assert await count() == (32, 640)
    assert set(await db.read(lambda: list(Trace.objects.values_list("span_count", flat=True)))) == {20}


async def test_several_exporters_may_tell_of_one_trace(api: httpx2.AsyncClient) -> None:
    trace, root = "ab" * 16, "cd" * 8

    async def service(number: int) -> None:
        spans = [build.span(traceId=trace, parentSpanId=root) for _ in range(10)]
        await send(api, build.traces(*spans, service=f"service {number}"))

    await asyncio.gather(*(service(number) for number in range(8)), send(api, build.traces(build.span(traceId=trace))))

    assert await count() == (1, 81)
    assert (await db.read(Trace.objects.get)).span_count == 81


BENT = st.binary(max_size=120) | st.builds(lambda place, byte: (place, byte), st.integers(0, 400), st.integers(0, 255))


@examples(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bent=BENT, is_json=st.booleans(), path=st.sampled_from(["/v1/traces", "/v1/metrics"]))
def test_garbage_never_hits_a_bug_and_leaves_nothing_half(
    transactional_db: None, bent: Any, is_json: bool, path: str
) -> None:
    request = build.traces(*[build.span(attributes=build.attributes(a="b")) for _ in range(3)])
    body = json.dumps(request).encode() if is_json else build.protobuf(request)
    if isinstance(bent, tuple):
        body = body[: bent[0] % len(body)] + bytes([bent[1]]) + body[bent[0] % len(body) + 1 :]
    else:
        body = bent

    status, stored, told = asyncio.run(_sent(body, JSON if is_json else PROTOBUF, path))

    assert status in (200, 400)
    assert status == 200 or stored == (0, 0)
    assert stored[1] == told


async def _sent(body: bytes, headers: dict[str, str], path: str) -> tuple[int, tuple[int, int], int]:
    """Send through the reader and the store; return the status, what is stored, and what the traces tell of it."""
    from apps.core.errors import ConsoleError

    def clear() -> None:
        for model in (SpanAttribute, Span, Trace):
            model.objects.all()._raw_delete("default")

    await db.write(clear)
    take = ingest.take_spans if path == "/v1/traces" else ingest.take_samples
    try:
        await take(body, "", is_json=headers is JSON)
        status = 200
    except ConsoleError as error:
        status = error.status
    told = await db.read(lambda: sum(Trace.objects.values_list("span_count", flat=True)))
    return status, await count(), told
