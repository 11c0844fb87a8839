"""Arguments of tool groups are encrypted at rest and come back as they were given."""

from typing import Any

import httpx2
import pytest
from django.db import connection

from apps.agents import groups
from apps.agents.models import Agent, Turn
from apps.core import db
from tests import build

SECRET = "key-of-the-group-0815"
WITH_ARGS = {"name": "mcp::shop", "args": {"api_key": SECRET, "depth": [1, None]}}


def stored(table: str, column: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table}")
        return str(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_an_agents_groups_are_read_as_they_were_given_and_stored_sealed() -> None:
    agent = build.agent(toolgroups=["builtin::search", WITH_ARGS])

    again = Agent.objects.get(pk=agent.pk)
    again.save()

    told = Agent.objects.get().agent_config.model_dump(mode="json")["toolgroups"]
    assert told == ["builtin::search", WITH_ARGS]
    assert SECRET not in stored("agents_agent", "agent_config")
    assert "mcp::shop" in stored("agents_agent", "agent_config")
    assert Agent.objects.filter(agent_config__toolgroups__icontains="mcp::shop").exists()


def test_a_turns_groups_too(session: Any) -> None:
    Turn.objects.create(session=session, input_messages=[], toolgroups=[WITH_ARGS, "builtin::search"])

    assert Turn.objects.get().toolgroups == [WITH_ARGS, "builtin::search"]
    assert SECRET not in stored("agents_turn", "toolgroups")


async def test_the_api_gives_a_configuration_back(api: httpx2.AsyncClient, model: str) -> None:
    config = build.config(model=model, toolgroups=[WITH_ARGS])
    made = (await api.post("/v1alpha/agents", json={"agent_config": config})).json()

    told = (await api.get(f"/v1alpha/agents/{made['agent_id']}")).json()

    assert told["agent_config"]["toolgroups"] == [WITH_ARGS]
    assert SECRET not in await db.read(stored, "agents_agent", "agent_config")


def test_groups_without_arguments_and_rows_of_old_are_left_as_they_are() -> None:
    plain = ["a", {"name": "b", "args": {}}]

    assert groups.sealed(plain) == groups.opened(plain) == plain
    assert groups.opened([WITH_ARGS]) == [WITH_ARGS]
    assert groups.sealed(groups.sealed([WITH_ARGS]))[0]["args"].keys() == {groups.SEALED}
    assert groups.sealed(None) is None


def test_another_secret_key_loses_the_arguments_and_says_so(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    kept = groups.sealed([WITH_ARGS])
    settings.SECRET_KEY = "another one altogether"

    assert groups.opened(kept) == [{"name": "mcp::shop", "args": {}}]
    assert "mcp::shop" in caplog.text
