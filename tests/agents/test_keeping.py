"""A turn of a chat kept as a row of a dataset."""

import json
from typing import Any

import pytest
from django.test import Client

from apps.datasets.models import Dataset, Row
from tests import build


@pytest.fixture
def web(operator: Any) -> Client:
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def place(session: Any) -> str:
    from apps.agents import models

    turn = models.Turn.objects.create(
        session=session,
        status="completed",
        input_messages=[build.said("Which pole?")],
        output_message={"role": "assistant", "content": "11-204.", "stop_reason": "end_of_turn", "tool_calls": []},
        trace_id="a" * 32,
    )
    moment = turn.started_at
    answer = {"step_type": "inference", "model_response": turn.output_message}
    models.Step.objects.create(turn=turn, step_type="inference", details=answer, started_at=moment, completed_at=moment)
    return f"/chat/{session.agent.agent_id}/{session.session_id}/turn/{turn.turn_id}/keep/"


TALK = [
    {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which pole?"},
    {"role": "assistant", "content": "11-204."},
]  # fmt: skip


@pytest.mark.parametrize(
    ("purpose", "row"),
    [
        ("post-training/messages", {"messages": TALK}),
        ("eval/messages-answer", {"messages": TALK[1:2], "answer": "11-204."}),
        ("eval/question-answer", {"question": "Which pole?", "answer": "11-204."}),
    ],
)
def test_a_turn_becomes_a_row_that_fits(web: Client, place: str, purpose: str, row: Any) -> None:
    asked = web.get(place, {"purpose": purpose}, headers={"HX-Request": "true"}).content.decode()
    assert "11-204." in asked

    kept = web.post(place, {"name": "kept", "purpose": purpose})

    assert kept.headers["Location"] == "/datasets/kept/"
    assert json.loads(Row.objects.get().content) == row
    assert Dataset.objects.get().warning == ""


def test_a_row_knows_its_turn_and_a_turn_is_not_kept_twice(web: Client, place: str) -> None:
    web.post(place, {"name": "kept", "purpose": "post-training/messages"})
    row = Row.objects.get()
    assert row.origin["turn_id"] in place
    assert row.origin["trace_id"] == "a" * 32
    assert "a turn of Test" in web.get("/datasets/kept/rows/1/").content.decode()

    again = web.post(place, {"into": "kept"}, headers={"HX-Request": "true"})
    assert again.status_code == 422
    assert "holds this turn already" in again.content.decode()
    assert web.post(place, {"into": "kept", "again": "on"}).status_code == 302
    assert Row.objects.count() == 2
    assert "one row" in web.get("/datasets/").content.decode() or Dataset.objects.get().row_count == 2


def test_readers_are_refused(place: str, viewer: Any) -> None:
    client = Client()
    client.force_login(viewer)
    assert client.get(place).status_code == 403
