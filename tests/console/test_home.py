"""The first page: its numbers are the rows', its queries do not grow."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from apps.agents.models import Pending, Status, Turn
from apps.console.overview import overview
from apps.jobs.models import Job
from apps.telemetry.metrics import dashboard
from tests import build
from tests.evals import made
from tests.telemetry import spans

pytestmark = pytest.mark.django_db


def turn(session: Any, status: str = Status.COMPLETED, **fields: Any) -> Turn:
    """Return a new turn row."""
    return Turn.objects.create(session=session, status=status, input_messages=[build.said("Hi")], **fields)


def run(seconds: float, minutes: float = 5, **fields: Any) -> None:
    """Store the trace of a turn that ran so long, so many minutes ago."""
    start_ns = int((now() - timedelta(minutes=minutes)).timestamp() * 10**9)
    attributes = {"turn_id": "turn-1", "session_id": "session-1"}
    name = fields.pop("name", "create_agent_turn")
    end_ns = start_ns + int(seconds * 10**9)
    spans.save(spans.record(name=name, start_ns=start_ns, end_ns=end_ns, attributes=attributes, **fields))


def waiting(session: Any, tool: str = "refund") -> Turn:
    """Return a turn that waits for somebody."""
    row = turn(session, Status.WAITING, waiting_since=now())
    Pending.objects.create(turn=row, call_id="call-1", tool_name=tool, arguments="{}")
    return row


@pytest.fixture
def client() -> Client:
    """An operator's browser."""
    browser = Client()
    browser.force_login(build.user("operator"), backend="django.contrib.auth.backends.ModelBackend")
    return browser


@pytest.fixture
def session() -> Any:
    """A session of an agent."""
    return build.session(build.agent(name="Support desk"), session_name="Jacket exchange")


def test_an_empty_console_says_what_comes_first(client: Client) -> None:
    page = client.get("/").content.decode()

    assert 'data-ui="first-steps"' in page
    assert "No sessions yet" in page
    assert "Nothing waits for you." in page


def test_the_first_steps_go_once_they_are_done_or_long_past(client: Client, session: Any) -> None:
    build.model(build.provider())
    turn(session, answered_by="Ana")
    made.evaluation([1.0])
    assert 'data-ui="first-steps"' not in client.get("/").content.decode()

    Turn.objects.update(answered_by="")
    assert 'data-ui="first-steps"' in client.get("/").content.decode()
    for _ in range(100):
        turn(session)
    assert 'data-ui="first-steps"' not in client.get("/").content.decode()


def test_numbers_are_those_of_the_last_day(session: Any) -> None:
    start = now() - timedelta(minutes=5)
    turn(session, started_at=start, completed_at=start + timedelta(seconds=2), input_tokens=100, output_tokens=20)
    turn(session, Status.FAILED, started_at=start, completed_at=start + timedelta(seconds=8), error="No answer")
    turn(session, started_at=now() - timedelta(hours=25), input_tokens=999, output_tokens=999)

    numbers = overview().numbers

    assert (numbers.turns, numbers.failed, numbers.tokens) == (2, 1, 120)
    assert numbers.error_rate == 0.5


def test_the_turn_time_is_that_of_metrics_and_leaves_out_the_wait_for_a_person(session: Any) -> None:
    start = now() - timedelta(minutes=5)
    turn(session, started_at=start, completed_at=now(), answered_at=now(), answered_by="Ana")
    run(2)
    run(1, name="resume_agent_turn")
    run(40, status="error")
    run(50, minutes=60 * 25)

    panels = dashboard.build(dashboard.wanted({})).panels

    assert overview().numbers.p95_s == panels["time"].total == 2


def test_turns_and_errors_are_those_of_metrics(session: Any) -> None:
    for status in (Status.COMPLETED, Status.COMPLETED, Status.FAILED):
        turn(session, status)
        run(1, status="error" if status == Status.FAILED else "ok")
    run(1, name="resume_agent_turn")

    numbers, panels = overview().numbers, dashboard.build(dashboard.wanted({})).panels

    assert numbers.turns == panels["turns"].total == 3
    assert numbers.error_rate == panels["errors"].total == pytest.approx(1 / 3)


def test_a_line_shows_the_hours_and_leaves_gaps(session: Any) -> None:
    start = now() - timedelta(hours=2)
    turn(session, started_at=start, completed_at=start + timedelta(seconds=2))
    turn(session, started_at=now(), completed_at=now())
    run(2, minutes=120)
    run(1, minutes=0)

    lines = overview().numbers.lines

    assert lines["turns"] is not None
    assert lines["turns"].line.count("L") == 23
    assert lines["p95"] is not None
    assert lines["p95"].line.count("M") == 2
    assert lines["tokens"] is None


def test_numbers_nobody_knows_are_unknown() -> None:
    numbers = overview().numbers

    assert (numbers.turns, numbers.error_rate, numbers.p95_s, numbers.tokens) == (0, None, None, None)


def test_what_waits_runs_and_failed_is_shown_with_the_way_to_it(client: Client, session: Any) -> None:
    other = build.session(session.agent, session_name="Gift card")
    asked = waiting(session)
    turn(other, Status.FAILED, error="The model server is down", completed_at=now())
    turn(other, Status.RUNNING)

    page = client.get("/").content.decode()

    assert f"/{session.session_id}/#turn-{asked.turn_id}" in page
    assert "refund" in page
    assert "The model server is down" in page
    assert "Answering" in page


def test_a_job_tells_the_time_left_or_when_it_was_started(client: Client) -> None:
    pace = {"rate": 2.0, "eta_s": 50.0}
    job = Job.objects.create(title="Load gold", kind="load", status="in_progress", started_at=now(), progress=pace)

    assert "about 50 s left" in client.get("/").content.decode()
    Job.objects.filter(pk=job.pk).update(progress={"done": 1, "total": 9})
    assert 'started <time datetime="' in " ".join(client.get("/").content.decode().split())


def test_a_session_tells_its_turns_and_tokens(session: Any) -> None:
    turn(session, input_tokens=10, output_tokens=5)
    turn(session, Status.FAILED, input_tokens=1, output_tokens=1)

    shown: Any = overview().sessions[0]

    assert (shown.turn_count, shown.tokens, shown.last_status) == (2, 17, Status.FAILED)


def test_an_operator_is_not_shown_what_a_viewer_may_not_do(session: Any) -> None:
    waiting(session)
    viewer = Client()
    viewer.force_login(build.user("viewer"), backend="django.contrib.auth.backends.ModelBackend")

    page = viewer.get("/").content.decode()

    assert 'data-ui="new-agent"' not in page
    assert ">Answer</a>" not in page


def test_the_part_comes_alone_for_the_live_layer(client: Client) -> None:
    part = client.get("/", headers={"HX-Request": "true"}).content.decode()

    assert part.lstrip().startswith('<div id="overview"')
    assert "<html" not in part


@pytest.mark.parametrize("many", [0, 30])
def test_queries_do_not_grow_with_rows(
    client: Client, session: Any, many: int, django_assert_max_num_queries: Any
) -> None:
    for index in range(many):
        other = build.session(session.agent, session_name=f"Session {index}")
        waiting(other)
        turn(other, Status.FAILED, completed_at=now())
        turn(other, Status.RUNNING)
        build.provider(f"provider-{index}")
    client.get("/")

    with django_assert_max_num_queries(18):
        assert client.get("/").status_code == 200
