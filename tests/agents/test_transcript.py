"""How a stored turn reads: what ended it, how fast it was, what was attached, what shape its answer has."""

from datetime import timedelta
from typing import Any

import pytest
from django.http import QueryDict

from apps.agents import models, side
from apps.agents.starters import STARTERS, chips_of
from apps.agents.transcript import TurnView
from tests import build
from tests.agents import past

pytestmark = pytest.mark.django_db


@pytest.fixture
def session() -> Any:
    """A session of an agent with a tool."""
    return build.session(build.agent(client_tools=[build.tool("get_weather")]))


def view(row: models.Turn) -> TurnView:
    """The turn as pages read it."""
    return TurnView(row=row, number=1)


@pytest.mark.parametrize(
    ("status", "facts", "error", "words"),
    [
        ("completed", {}, "", "end of turn"),
        ("cancelled", {}, "", "Stopped"),
        ("failed", {"is_partial": True}, "The server stopped while this turn ran.", "Server stopped"),
        ("failed", {"is_partial": True}, "The model server is away.", "Failed"),
    ],
)
def test_a_step_tells_what_ended_it(session: Any, status: str, facts: Any, error: str, words: str) -> None:
    row = past.turn(session, status=status, error=error)
    row.steps.update(facts=facts)

    assert view(row).steps[-1].stop_reason == words


def test_speed_is_tokens_over_the_time_of_all_inferences(session: Any) -> None:
    row = past.turn(session)
    past.step(row, "inference", model_response=past.answered("More"))
    for step in row.steps.all():
        begun = step.started_at
        times = {"started_at": begun.isoformat(), "completed_at": (begun + timedelta(seconds=2)).isoformat()}
        step.details, step.facts = step.details | times, {"output_tokens": 10, "first_token_ms": 1990}
        step.save()

    assert view(row).tokens_per_s == pytest.approx(5)


def test_who_answered_is_told_on_the_step_that_began_to_wait_before(session: Any) -> None:
    row = past.turn(session, answered_by="Ana")
    step = past.used_tool(row, past.call(), "Rain")
    row.answered_at = step.started_at + timedelta(milliseconds=5)

    assert view(row).steps[-1].facts["answered_by"] == "Ana"


def test_a_document_keeps_the_name_of_its_file(session: Any) -> None:
    row = past.turn(session, documents=[{"content": "tea", "mime_type": 'text/plain; name="my notes.txt"'}])

    paper = view(row).papers[0]

    assert (paper.name, paper.mime_type) == ("my notes.txt", "text/plain")


def test_an_answer_in_a_shape_is_data() -> None:
    shape = {"type": "json_schema", "json_schema": {"type": "object"}}
    shaped = build.session(build.agent(response_format=shape))

    assert view(past.turn(shaped, answer='{"summary": "Tea"}')).shaped == {"summary": "Tea"}
    assert view(past.turn(shaped, answer="Sorry.")).shaped is None
    assert view(past.turn(build.session(build.agent()), answer='{"a": 1}')).shaped is None


def test_the_pane_shows_the_step_that_runs(session: Any) -> None:
    row = past.turn(session, status="running", completed_at=None, output_message=None)
    thinking = side.context(session, QueryDict(), [view(row)])["bars"]
    past.step(row, "inference", model_response=past.answered("", past.call()))
    working = side.context(session, QueryDict(), [view(models.Turn.objects.get(pk=row.pk))])["bars"]

    assert [(bar.step.name, bar.step.is_open) for bar in thinking] == [("Inference", True)]
    assert [(bar.step.name, bar.step.is_open) for bar in working] == [("Inference", False), ("get_weather", True)]


def test_first_messages_fit_the_agent() -> None:
    plain, asking = build.agent(), build.agent(client_tools=[build.tool("ask")])

    assert chips_of(plain.agent_config) != chips_of(asking.agent_config)
    assert STARTERS["asks-people"].initial["tool_choice"] == "required"
