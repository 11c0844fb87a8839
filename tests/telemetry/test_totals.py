"""Metrics of other programs: data points become points, running totals what was added since the last one."""

import asyncio
import json
import time
from typing import Any

import httpx2
import pytest
from django.db import OperationalError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from apps.core import db
from apps.telemetry import ingest, retention
from apps.telemetry.metrics import points as points_module
from apps.telemetry.models import MetricPoint, MetricSeries, RunningTotal
from tests.telemetry import otlp_requests as build
from tests.telemetry.otlp_requests import JSON, PROTOBUF, START_NS


async def send(api: httpx2.AsyncClient, request: Any) -> Any:
    """Send a request in JSON and return the answer's body; it must be a success."""
    response = await api.post("/v1/metrics", content=json.dumps(request), headers=JSON)
    assert response.status_code == 200, response.text
    return response.json()


async def points(metric: str) -> list[tuple[int, float]]:
    """Return the points of a metric: seconds since the start of time in these tests, and value."""
    rows = MetricPoint.objects.filter(series__metric=metric).order_by("time_s", "pk")
    start_s = START_NS // 10**9
    return await db.read(lambda: [(time_s - start_s, value) for time_s, value in rows.values_list("time_s", "value")])


async def test_a_gauge_becomes_points_of_its_series(api: httpx2.AsyncClient) -> None:
    values = [{"asDouble": 0.5, "timeUnixNano": str(START_NS)}, {"asInt": "2", "timeUnixNano": str(START_NS + 10**9)}]
    request = build.metrics({"name": "load", "unit": "%", "gauge": {"dataPoints": values}})

    response = await api.post("/v1/metrics", content=build.protobuf(request), headers=PROTOBUF)

    assert (response.status_code, response.content) == (200, b"")
    series = await db.read(MetricSeries.objects.get)
    assert (series.metric, series.unit, series.labels) == ("load", "%", [["service", "shop"]])
    assert await points("load") == [(0, 0.5), (1, 2.0)]


async def test_a_running_total_becomes_what_was_added(api: httpx2.AsyncClient) -> None:
    for at_s, value in ((10, 5), (20, 5), (30, 12)):
        await send(api, build.metrics(build.total(value, at_s=at_s)))

    assert await points("orders") == [(10, 5.0), (30, 7.0)]


async def test_running_totals_told_again_or_late_add_nothing(api: httpx2.AsyncClient) -> None:
    for at_s, value in ((10, 5), (30, 12), (30, 12), (10, 5), (20, 8)):
        await send(api, build.metrics(build.total(value, at_s=at_s)))

    assert await points("orders") == [(10, 5.0), (30, 7.0)]


async def test_a_running_total_that_begins_anew_counts_from_nothing(api: httpx2.AsyncClient) -> None:
    for at_s, value, since_s in ((10, 5, 0), (30, 2, 20), (40, 3, 20), (50, 1, 20)):
        await send(api, build.metrics(build.total(value, at_s=at_s, since_s=since_s)))

    assert await points("orders") == [(10, 5.0), (30, 2.0), (40, 1.0), (50, 1.0)]


async def test_processes_that_count_one_series_do_not_disturb_each_other(api: httpx2.AsyncClient) -> None:
    """Workers of one service have the same labels; each sends a total of its own, begun at its own time."""
    for at_s in (10, 20, 30):
        for worker in range(3):
            told = build.total(at_s * (worker + 1), at_s=at_s, since_s=worker)
            await send(api, build.metrics(told, instance=f"worker {worker % 2}"))

    assert sum(value for _, value in await points("orders")) == 30 + 60 + 90
    assert await db.read(MetricSeries.objects.count) == 1
    assert await db.read(RunningTotal.objects.count) == 3


async def test_a_batch_may_hold_several_values_of_one_total(api: httpx2.AsyncClient) -> None:
    later, earlier = build.total(12, at_s=30), build.total(5, at_s=10)

    await send(api, build.metrics(later, earlier, build.total(1, at_s=10, city="Porto")))

    assert await points("orders") == [(10, 5.0), (10, 1.0), (30, 7.0)]


async def test_a_request_that_fails_half_way_counts_once_when_it_is_sent_again(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    delta = {"asInt": "3", "timeUnixNano": str(START_NS)}
    sold = {"name": "sold", "sum": {"dataPoints": [delta], "aggregationTemporality": 1, "isMonotonic": True}}
    request = json.dumps(build.metrics(sold, *[build.total(at_s, at_s=at_s) for at_s in (10, 20, 30)]))
    monkeypatch.setattr(ingest, "PIECE", 2)
    save, saved = points_module.save, []

    def fail_at_the_second(told: Any) -> None:
        if len(saved) == 1:
            raise OperationalError("database is locked")
        saved.append(len(told))
        save(told)

    with monkeypatch.context() as patch:
        patch.setattr(points_module, "save", fail_at_the_second)
        first = await api.post("/v1/metrics", content=request, headers=JSON)
    second = await api.post("/v1/metrics", content=request, headers=JSON)

    assert (first.status_code, second.status_code, saved) == (503, 200, [2])
    assert await points("orders") == [(10, 10.0), (20, 10.0), (30, 10.0)]
    assert await points("sold") == [(0, 3.0)]


async def test_points_that_cannot_be_used_are_told(api: httpx2.AsyncClient) -> None:
    bad = {"name": "load", "gauge": {"dataPoints": [{"timeUnixNano": "5"}]}}
    request = build.metrics(bad, build.total(1, at_s=1))

    told = await send(api, request)
    response = await api.post("/v1/metrics", content=build.protobuf(request), headers=PROTOBUF)

    message = "1 data points rejected: there is no value"
    assert told == {"partialSuccess": {"rejectedDataPoints": "1", "errorMessage": message}}
    partial = ExportMetricsServiceResponse.FromString(response.content).partial_success
    assert (partial.rejected_data_points, partial.error_message) == (1, message)
    assert await points("orders") == [(1, 1.0)]


async def test_counters_of_ended_programs_are_forgotten(api: httpx2.AsyncClient) -> None:
    now_s = int(time.time()) - START_NS // 10**9
    await send(api, build.metrics(build.total(5, at_s=now_s), build.total(5, at_s=-(10**8), city="Porto")))

    await asyncio.to_thread(retention.purge)

    assert await db.read(RunningTotal.objects.count) == 1
