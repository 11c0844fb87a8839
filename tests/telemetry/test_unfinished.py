"""Spans a dead process left open are ended; those of the living, and of other programs, are not."""

import time
from typing import Any

import pytest
from django.db import connection
from django.utils.timezone import now

from apps.agents.models import Turn
from apps.core.process import this_process
from apps.telemetry import unfinished
from apps.telemetry.models import Span, Trace
from tests import build
from tests.telemetry import spans

pytestmark = pytest.mark.django_db(transaction=True)
HOST = this_process().partition(":")[0]


def resource(instance: str, service: str = "stack-console") -> dict[str, Any]:
    return {"service.name": service, "service.instance.id": instance}


def left_open(instance: str = f"{HOST}:999999:1", service: str = "stack-console", **fields: Any) -> str:
    """Store a root that ended nowhere with a child that ended after 10 ms; return the trace's id."""
    start = fields.pop("start_ns", time.time_ns() - 10**9)
    root = spans.record(name="work", start_ns=start, end_ns=None, resource=resource(instance, service), **fields)
    child = {"trace_id": root.trace_id, "parent_span_id": root.span_id, "resource": root.resource}
    spans.save(root, spans.record(name="part", start_ns=start + 10**6, **child))
    return root.trace_id


def end_lost() -> None:
    spans.save(*unfinished._lost())


def test_what_a_dead_process_left_open_ends_with_the_last_that_was_heard() -> None:
    trace_id = left_open()

    end_lost()

    trace, span = Trace.objects.get(trace_id=trace_id), Span.objects.get(name="work")
    assert (span.status, span.message, span.attributes["error"]) == ("error", unfinished.REASON, unfinished.REASON)
    assert span.end_ns == Span.objects.get(name="part").end_ns
    assert (trace.status, trace.end_ns, trace.error_count, trace.span_count) == ("error", span.end_ns, 1, 2)
    assert unfinished._lost() == []


def test_a_turn_ends_with_its_last_sign_of_life(agent: Any) -> None:
    trace_id = left_open()
    turn = Turn.objects.create(session=build.session(agent), input_messages=[], trace_id=trace_id, heartbeat_at=now())

    end_lost()

    assert Span.objects.get(name="work").end_ns == pytest.approx(int(turn.heartbeat_at.timestamp() * 1e9), abs=1_000)


@pytest.mark.parametrize(
    ("instance", "service", "days"),
    [
        (this_process(), "stack-console", 3),
        (f"{HOST}:999999:1", "another program", 3),
        ("elsewhere:1:1", "stack-console", 0.5),
        ("", "stack-console", 3),
    ],
    ids=["this process", "another program", "another machine", "nobody told"],
)
def test_what_may_still_end_stays_open(instance: str, service: str, days: float) -> None:
    left_open(instance, service, start_ns=time.time_ns() - int(days * 86_400e9))

    assert unfinished._lost() == []


def test_what_another_machine_left_open_for_days_is_taken_for_lost() -> None:
    left_open("elsewhere:1:1", start_ns=time.time_ns() - 2 * 86_400 * 10**9)

    assert [record.name for record in unfinished._lost()] == ["work"]


def test_open_spans_are_found_by_an_index_that_holds_no_others() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("Postgres reads small tables whole")

    assert "span_unfinished" in unfinished.open_spans().explain()
    assert "span_unfinished" not in Span.objects.filter(end_ns=None).order_by("start_ns").explain()
