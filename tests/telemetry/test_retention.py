"""What is past its time goes, and nothing else does; turns write between the chunks."""

import time
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from itertools import pairwise
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.models import F

from apps.agents.models import Agent
from apps.core import db
from apps.jobs.handle import Cancelled
from apps.telemetry import known, retention
from apps.telemetry.metrics import points
from apps.telemetry.metrics.points import Point
from apps.telemetry.models import AttributeKey, MetricPoint, MetricSeries, Resource, Span, SpanAttribute, Trace
from tests.telemetry import spans

pytestmark = pytest.mark.django_db(transaction=True)
DAY_S = retention.DAY_S


def begun(days_ago: float, **fields: Any) -> Trace:
    return spans.trace(at_ms=_ago_ms(days_ago), **fields)


def _ago_ms(days: float) -> int:
    return (time.time_ns() - int(days * DAY_S * 1e9) - spans.START_NS) // spans.MS


def counted(*values: tuple[float, float], metric: str = "total_tokens", **labels: str) -> None:
    """Store points, given as days ago and value."""
    with transaction.atomic():
        points.save([Point(metric, labels, "tokens", int(time.time() - days * DAY_S), value) for days, value in values])


def test_traces_go_with_all_that_is_theirs_when_their_time_has_passed() -> None:
    begun(8)
    kept = begun(6)

    gone = retention.purge()

    assert (gone["traces"], gone["spans"]) == (1, 4)
    assert Trace.objects.get() == kept
    assert set(Span.objects.values_list("trace", flat=True)) == {kept.pk} and Span.objects.count() == 4
    assert set(SpanAttribute.objects.values_list("trace", flat=True)) == {kept.pk}


def test_a_trace_is_kept_for_as_long_as_its_sender_asked() -> None:
    start = time.time_ns() - 60 * 10**9
    spans.save(
        spans.record(name="short", start_ns=start, ttl_s=30), spans.record(name="long", start_ns=start, ttl_s=90)
    )

    retention.purge()

    assert Trace.objects.get().name == "long"


def test_a_trace_of_many_spans_goes_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MOST", 40)
    monkeypatch.setattr(retention, "FIRST", 40)
    monkeypatch.setattr(retention, "CHUNK_S", 60)
    one, start = spans.trace_id(), time.time_ns() - int(9 * DAY_S * 1e9)
    spans.save(*(spans.record(trace_id=one, start_ns=start, attributes={"n": n}) for n in range(130)))
    begun(9)
    chunks: list[int] = []

    gone = retention.purge(lambda: chunks.append(Span.objects.count()))

    assert (gone["traces"], gone["spans"]) == (2, 134)
    assert max(before - after for before, after in pairwise(chunks)) <= 40
    assert not Span.objects.exists() and not SpanAttribute.objects.exists() and not Trace.objects.exists()


def test_a_wrong_count_of_spans_keeps_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    begun(9)
    Trace.objects.update(span_count=F("span_count") + 10_000)

    assert retention.purge()["traces"] == 1
    assert not Span.objects.exists()


def test_a_purge_that_is_stopped_goes_on_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "FIRST", 4)
    monkeypatch.setattr(retention, "MOST", 4)
    for _ in range(4):
        begun(9)
    looks = iter([False, False])

    def check() -> None:
        if next(looks, True):
            raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        retention.purge(check)

    assert Trace.objects.count() == 2 and Span.objects.count() == 8
    assert retention.purge()["traces"] == 2


def test_chosen_traces_are_deleted_and_others_are_not() -> None:
    one, other = begun(1), begun(1)

    gone = retention.delete_traces([one.trace_id, "f" * 32])

    assert gone == {"traces": 1, "spans": 4}
    assert Trace.objects.get() == other and Span.objects.count() == 4
    assert not SpanAttribute.objects.exclude(trace=other).exists()


def test_old_points_go_and_series_without_any_go_after_them() -> None:
    counted((100, 1.0), (95, 2.0), metric="gone")
    counted((100, 1.0), (1, 2.0), metric="kept")

    gone = retention.purge()

    assert (gone["points"], gone["series"]) == (3, 1)
    assert MetricSeries.objects.get().metric == "kept" and MetricPoint.objects.get().value == 2.0


def test_names_go_when_every_trace_began_after_they_were_last_seen() -> None:
    spans.save(
        spans.record(name="old", start_ns=time.time_ns() - int(3 * DAY_S * 1e9), attributes={"old.key": 1}),
        spans.record(name="new", start_ns=time.time_ns(), attributes={"new.key": 1}, resource={"service.name": "a"}),
    )
    long_ago = int(time.time() - 2.5 * DAY_S)
    AttributeKey.objects.filter(name="old.key").update(seen_s=long_ago)

    assert retention.purge()["keys"] == 0  # a span that uses it is there
    retention.delete_traces([Trace.objects.get(name="old").trace_id])
    gone = retention.purge()

    assert (gone["keys"], gone["resources"]) == (1, 0)
    assert AttributeKey.objects.get().name == "new.key" and Resource.objects.count() == 1


def test_a_name_that_is_used_again_is_seen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    spans.save(spans.record(attributes={"kept.key": 1}, resource={"service.name": "a"}))
    AttributeKey.objects.update(seen_s=1)
    Resource.objects.update(seen_s=1)

    monkeypatch.setattr(known, "SEEN_S", -1)
    spans.save(spans.record(attributes={"kept.key": 2}, resource={"service.name": "a"}))

    assert AttributeKey.objects.get().seen_s > time.time() - 60
    assert Resource.objects.get().seen_s > time.time() - 60


def test_the_command_says_what_went() -> None:
    begun(9)
    counted((100, 1.0))
    told = StringIO()

    call_command("purge", stdout=told)

    lines = dict(line.split(": ") for line in told.getvalue().splitlines())
    assert (lines["traces"], lines["spans"], lines["points"]) == ("1", "4", "1")


def test_turns_are_written_while_much_is_purged(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "FIRST", 50)
    monkeypatch.setattr(retention, "MOST", 50)  # many chunks, however fast the machine is
    start = time.time_ns() - int(9 * DAY_S * 1e9)
    for _ in range(10):
        one = spans.trace_id()
        spans.save(*(spans.record(trace_id=one, start_ns=start, attributes={"n": n, "a": "b"}) for n in range(300)))
    waits = []

    def purge() -> dict[str, int]:
        try:
            return retention.purge()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        purging = thread.submit(purge)
        while not purging.done():
            began = time.perf_counter()
            db.write_soon(Agent.objects.filter(pk=0).update, name="x").result()
            waits.append(time.perf_counter() - began)
            time.sleep(0.005)

    assert purging.result()["spans"] == 3_000
    assert len(waits) > 5 and sorted(waits)[len(waits) // 2] < 0.05


@pytest.mark.parametrize(
    ("rows", "index"),
    [
        (lambda: Trace.objects.filter(expires_s__lte=1).order_by("expires_s").values("span_count"), "trace_expires"),
        (lambda: SpanAttribute.objects.filter(trace__in=[1, 2]).values("pk"), "attribute_of_span"),
        (lambda: SpanAttribute.objects.filter(trace=1, span__in=[1, 2]).values("pk"), "attribute_of_span"),
        (lambda: Span.objects.order_by().filter(trace__in=[1, 2]).values("pk"), "autoindex_telemetry_span"),
        (lambda: retention.old_points().values("pk")[:9], "point_series_time"),
    ],
)  # fmt: skip
def test_what_is_old_is_found_by_an_index(rows: Any, index: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("Postgres reads small tables whole")

    plan = rows().explain()

    assert index in plan and "SCAN telemetry_span" not in plan and "SCAN telemetry_metricpoint" not in plan, plan
