"""The admin site leads to the console: from each object's page there to its page here."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from apps.agents.models import Pending
from apps.datasets.models import Row
from apps.evals.models import EvaluatedRow, HumanScore, Schedule, ScoringFunction
from apps.telemetry.metrics import points
from apps.telemetry.metrics.points import Point
from apps.telemetry.models import MetricSeries, Span
from tests import build
from tests.agents import past
from tests.evals import made
from tests.telemetry import spans

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(people: dict[str, Any]) -> Client:
    client = Client()
    client.force_login(people["admin"])
    return client


def evaluated() -> list[Any]:
    """Return one of each thing that evaluates."""
    dataset, benchmark = made.dataset("a/b"), made.benchmark("new", "a/b")
    run = made.evaluation([1.0], on="new")
    schedule = Schedule.objects.create(benchmark=benchmark, configs=[run.config], every="day", next_at=now())
    human = HumanScore.objects.create(evaluation=run, position=0, score=4)
    basic = {"provider_id": "basic", "provider_scoring_fn_id": "basic::equality"}
    scorer = ScoringFunction.objects.create(scoring_fn_id="mine::a/edit", return_type={"type": "number"}, **basic)
    rows = [Row.objects.filter(dataset=dataset)[0], EvaluatedRow.objects.get()]
    return [dataset, benchmark, run, run.job, schedule, human, scorer, *rows]


def conversed() -> list[Any]:
    """Return one of each thing a conversation leaves."""
    session = build.session(build.agent(name="Support desk"))
    turn = past.turn(session)
    call = Pending.objects.create(turn=turn, call_id="1", tool_name="refund", arguments="{}")
    return [session.agent, session, turn, turn.steps.get(), call]


def measured() -> list[Any]:
    """Return a trace, a span of it and a metric."""
    spans.save(*spans.turn_trace())
    points.save([Point("total_tokens", {}, "tokens", 1_700_000_000, 3.0)])
    span = Span.objects.select_related("trace").order_by("pk")[0]
    return [span.trace, span, MetricSeries.objects.get()]


def configured() -> list[Any]:
    """Return a provider and a model."""
    provider = build.provider()
    return [provider, build.model(provider, identifier="a/try")]


@pytest.mark.parametrize("things", [evaluated, conversed, measured, configured])
def test_each_object_leads_from_the_admin_to_its_page(browser: Client, things: Any) -> None:
    for one in things():
        place = f"/admin/{one._meta.app_label}/{one._meta.model_name}/"
        page = browser.get(f"{place}{one.pk}/change/").content.decode()
        link = re.search(r'href="([^"]+)" class="viewsitelink"', page)
        assert link, one

        answer = browser.get(link[1], follow=True)
        path = answer.redirect_chain[-1][0] if answer.redirect_chain else link[1]

        assert answer.status_code == 200 and "/admin/" not in path, one
        in_list = re.findall(r'field-(?:in_)?console"><a href="([^"]+)"', browser.get(place).content.decode())
        assert path.removeprefix("http://testserver") in in_list, one
