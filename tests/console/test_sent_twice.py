"""A deletion that is sent twice by one form is done once, and both answers lead to the same place."""

from typing import Any

import pytest
from django.test import Client

from tests import build
from tests.evals import made

pytestmark = pytest.mark.django_db


def places() -> list[str]:
    """Return where one of each thing is deleted."""
    session = build.session(build.agent(name="Support desk"))
    chat = f"/chat/{session.agent.agent_id}/{session.session_id}/delete/"
    model = build.model(build.provider())
    made.dataset()
    made.benchmark()
    return [
        chat, f"/agents/{session.agent.agent_id}/delete/", f"/models/{model.identifier}/unregister/",
        "/providers/scripted/delete/", "/benchmarks/bench/delete/", "/datasets/qa/delete/",
    ]  # fmt: skip


def test_a_deletion_that_is_sent_twice_leads_where_the_first_one_did(people: dict[str, Any]) -> None:
    browser = Client()
    browser.force_login(people["admin"])

    for number, place in enumerate(places()):
        answers = [browser.post(place, {"once": f"key-{number}"}) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [302, 302], place
        assert answers[0]["Location"] == answers[1]["Location"], place
