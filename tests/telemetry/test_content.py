"""What spans of a turn hold: what was asked and answered unless that is switched off, and never a tool's secrets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import pytest
from django.db import connection
from opentelemetry import trace

from apps.agents import preparation
from apps.core import db
from apps.core.redaction import HIDDEN
from apps.inference.schemas import ToolDef
from apps.telemetry.models import Span, Trace
from apps.telemetry.sink import StoreSpans
from apps.tools.runtime import ServerTool, ToolResult
from tests import build
from tests.agents.test_runtime import calls, text
from tests.agents.test_secrets import SCHEMA

SECRET, GROUP_SECRET, WORDS = "hunter2-of-the-model", "key-of-the-group-0815", "an unmistakable question"
CONTENT = {"input", "output", "request", "__args__"}


@pytest.fixture
def kept(api: httpx2.AsyncClient) -> Iterator[StoreSpans]:
    """The processor of a console: spans of this process are stored while the test runs."""
    provider: Any = trace.get_tracer_provider()
    processor = StoreSpans()
    before = provider._active_span_processor._span_processors
    provider.add_span_processor(processor)
    yield processor
    provider._active_span_processor._span_processors = before
    processor.shutdown()


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A tool of this server that takes a password, and a model that knows one; what the tool was given."""
    given: list[dict[str, Any]] = []
    streams = [calls(("log_in", json.dumps({"user": "ana", "password": SECRET}))), text("Ana", " is in.")]

    async def run(arguments: dict[str, Any]) -> ToolResult:
        given.append(arguments)
        return ToolResult(f"{arguments['user']} is in with {arguments['password']}", {"key": arguments["token"]})

    async def collect(groups: dict[str, dict[str, Any]]) -> list[ServerTool]:
        schema = SCHEMA | {"properties": {**SCHEMA["properties"], "token": {"writeOnly": True}}}  # type: ignore[dict-item]
        definition = ToolDef(name="log_in", description="Log in", input_schema=schema)
        return [ServerTool(definition, run, args) for args in groups.values()]

    async def stream(target: Any, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        for chunk in streams.pop(0):
            yield chunk

    monkeypatch.setattr(preparation.tools, "collect", collect)
    monkeypatch.setattr(preparation.chat, "stream", stream)
    return given


async def take_turn(api: httpx2.AsyncClient, kept: StoreSpans, agent: Any, session: Any) -> dict[str, Any]:
    """Take a turn with the tool's group and return it once its spans are stored."""
    groups = [{"name": "builtin::log_in", "args": {"token": GROUP_SECRET}}]
    body = {"messages": [build.said(WORDS)], "toolgroups": groups}
    answer = await api.post(f"/v1alpha/agents/{agent.agent_id}/session/{session.session_id}/turn", json=body)
    assert answer.status_code == 200, answer.text
    assert await asyncio.to_thread(kept.force_flush)
    return dict(answer.json())


def rows(but: Callable[[str], bool] = lambda table: False) -> str:
    """Return every row of the database as text, but those of some tables."""
    with connection.cursor() as cursor:
        found = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            found += [str(row) for row in cursor.fetchall() if not but(table)]
    return "\n".join(found)


async def test_a_tools_secret_reaches_it_and_is_nowhere_in_the_database(
    api: httpx2.AsyncClient, kept: StoreSpans, tool: list[dict[str, Any]], agent: Any, session: Any
) -> None:
    turn = await take_turn(api, kept, agent, session)

    [given] = tool
    assert (given["password"], given["token"]) == (SECRET, GROUP_SECRET)
    assert SECRET not in json.dumps(turn) and GROUP_SECRET not in json.dumps(turn)
    assert turn["steps"][1]["tool_responses"][0]["content"] == f"ana is in with {HIDDEN}"
    told = await db.read(rows)
    assert SECRET not in told and GROUP_SECRET not in told
    spans = await db.read(rows, lambda table: not table.startswith("telemetry_"))
    assert GROUP_SECRET not in spans and HIDDEN in spans and "builtin::log_in" in spans


async def test_spans_hold_what_was_asked_and_answered(
    api: httpx2.AsyncClient, kept: StoreSpans, tool: list[dict[str, Any]], agent: Any, session: Any
) -> None:
    await take_turn(api, kept, agent, session)

    by_name = {span.name: span.attributes for span in await db.read(lambda: list(Span.objects.all()))}
    assert WORDS in by_name["create_agent_turn"]["request"]
    assert {"input", "output"} <= by_name["inference"].keys() & by_name["tool_execution"].keys()


async def test_with_content_off_spans_tell_who_when_and_how_long_alone(
    api: httpx2.AsyncClient, kept: StoreSpans, tool: list[dict[str, Any]], agent: Any, session: Any, settings: Any
) -> None:
    settings.TELEMETRY_CONTENT = False

    await take_turn(api, kept, agent, session)
    chat = {"model": "scripted/scripted", "messages": [build.said(WORDS)]}
    await api.post("/v1/chat/completions", json=chat)
    assert await asyncio.to_thread(kept.force_flush)

    found = await db.read(lambda: list(Span.objects.all()))
    assert {"create_agent_turn", "inference", "tool_execution"} <= {span.name for span in found}
    assert not any(CONTENT & span.attributes.keys() for span in found)
    assert await db.read(lambda: list(Trace.objects.exclude(input="", output=""))) == []
    told = await db.read(rows, lambda table: not table.startswith("telemetry_"))
    assert not any(words in told for words in (WORDS, "Ana", "ana is in", SECRET, GROUP_SECRET))
