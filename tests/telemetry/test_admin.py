"""The admin shows telemetry without counting it, with queries that stay the same however much there is."""

import re
import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.core.uncounted import Uncounted
from apps.telemetry.metrics import points
from apps.telemetry.metrics.points import Point
from apps.telemetry.models import MetricPoint, MetricSeries, Resource, Span, Trace
from tests.telemetry import spans

LISTS = ("trace", "span", "resource", "metricseries", "metricpoint")


@pytest.fixture
def site(people: dict[str, Any]) -> Client:
    """An admin's browser, and two of everything."""
    other = spans.record(name="<b>other</b>", resource={"service.name": "shop"})
    spans.save(*spans.turn_trace(), other, spans.record(trace_id=other.trace_id, resource={"service.name": "till"}))
    points.save([Point("total_tokens", {"model_id": model}, "tokens", int(time.time()), 3.0) for model in "mn"])
    client = Client()
    client.force_login(people["admin"])
    return client


@pytest.mark.parametrize("place", LISTS)
def test_a_list_is_read_by_key_and_never_counted(site: Client, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.telemetry.admin.ReadOnly.list_per_page", 1)

    with CaptureQueriesContext(connection) as queries:
        page = site.get(f"/admin/telemetry/{place}/")

    told = [query["sql"] for query in queries if f"telemetry_{place}" in query["sql"]]
    assert page.status_code == 200 and len(queries) <= 10
    assert told and all("LIMIT" in sql for sql in told if sql.startswith("SELECT"))
    assert not any("COUNT(" in sql or "DISTINCT" in sql for sql in told)


@pytest.mark.parametrize("model", [Trace, Span, MetricPoint])
def test_a_list_is_read_in_the_order_of_an_index(site: Client, model: Any) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("Postgres sorts small tables")
    from django.contrib import admin

    order = admin.site._registry[model].ordering
    plan = model.objects.order_by(*order, *([] if "-pk" in order else ["-pk"])).values("pk")[:50].explain()

    assert "TEMP B-TREE" not in plan, plan


def test_a_span_is_shown_whole_and_leads_to_the_console(site: Client) -> None:
    span = Span.objects.get(name="<b>other</b>")

    page = site.get(f"/admin/telemetry/span/{span.pk}/change/").content.decode()

    assert "&lt;b&gt;other" in page and "<b>other" not in page
    assert 'name="_save"' not in page
    link = re.search(r'href="([^"]+)" class="viewsitelink"', page)
    assert link and site.get(link[1])["Location"].endswith(f"/traces/{span.trace.trace_id}/?span={span.span_id}")


def test_spans_are_found_by_their_id_and_by_their_traces(site: Client) -> None:
    trace = Trace.objects.get(span_count=4)
    span = trace.spans.first()
    assert span is not None

    by_span = site.get("/admin/telemetry/span/", {"q": span.span_id})
    by_trace = site.get("/admin/telemetry/span/", {"q": trace.trace_id})
    by_words = site.get("/admin/telemetry/span/", {"q": "inference"})

    assert list(site.get("/admin/telemetry/trace/", {"q": trace.trace_id.upper()}).context["cl"].result_list) == [trace]
    shown = [page.context["cl"].result_list for page in (by_span, by_trace, by_words)]
    assert list(shown[0]) == [span]
    assert {one.trace_id for one in shown[1]} == {trace.pk} and len(shown[1]) == 4
    assert list(shown[2]) == []


def test_a_metric_leads_to_its_page_also_when_no_address_can_name_it(site: Client) -> None:
    MetricSeries.objects.create(metric="", digest="x")

    page = site.get("/admin/telemetry/metricseries/").content.decode()

    assert 'href="/metrics/total_tokens/"' in page and "model_id=m" in page


def test_nothing_is_added_changed_or_deleted(site: Client) -> None:
    for model in (Trace, Span, Resource, MetricSeries, MetricPoint):
        row = model.objects.first()  # type: ignore[attr-defined]
        place = f"/admin/telemetry/{model._meta.model_name}"

        answers = [site.get(f"{place}/add/"), site.post(f"{place}/{row.pk}/delete/", {"post": "yes"})]

        assert [answer.status_code for answer in answers] == [403, 403]
        assert site.get(f"{place}/{row.pk}/change/").status_code == 200


def test_pages_go_on_up_to_a_bound(monkeypatch: pytest.MonkeyPatch, site: Client) -> None:
    monkeypatch.setattr("apps.core.uncounted.MANY", 3)

    assert Uncounted(Span.objects.order_by("-pk"), 50).count == 3
