"""Telemetry while its process is killed and its database is locked, full or away: turns never wait for it."""

import asyncio
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.db import OperationalError
from opentelemetry import trace

from apps.core import db
from apps.telemetry.models import Trace
from apps.telemetry.records import SpanRecord
from apps.telemetry.sink import StoreSpans, keep
from tests import build
from tests.processes import Console, ModelServer
from tests.program import Program, payload

TRACES = "/v1alpha/telemetry/traces"


@pytest.fixture
def traced(model_server: ModelServer, tmp_path: Path) -> Iterator[Console]:
    """A console that keeps its spans and that a test may kill."""
    one = Console(tmp_path, model_server, {"TELEMETRY": "1"}).prepare().start()
    yield one
    one.remove()


def traces(program: Program, **of: str) -> list[dict[str, Any]]:
    """Return the traces of a session, or of whatever attribute is named."""
    filters = [{"key": key, "op": "eq", "value": value} for key, value in of.items()]
    return list(Program.ok(program.http.post(TRACES, json={"attribute_filters": filters, "limit": 1000}))["data"])


def spans(program: Program, trace: dict[str, Any]) -> dict[str, Any]:
    """Return the spans of a trace by their names; of several of a name the last one."""
    path = f"/v1alpha/telemetry/spans/{trace['root_span_id']}/tree"
    found = Program.ok(program.http.post(path, json={}))["data"]
    return {span["name"]: span for span in found.values()}


def until(is_so: Callable[[], Any], seconds: float = 15) -> Any:
    """Return what the condition answers once it holds."""
    end = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.1)
    return found


@contextmanager
def locked(console: Console) -> Iterator[None]:
    """Hold the write lock of the SQLite file, or of the table of spans on Postgres, as another process would."""
    if url := console.extra.get("DATABASE_URL"):
        import psycopg

        with psycopg.connect(url) as server:
            server.execute("LOCK TABLE telemetry_span IN ACCESS EXCLUSIVE MODE")
            yield
            server.rollback()
        return
    with closing(sqlite3.connect(console.folder / "console.sqlite3", isolation_level=None, timeout=20)) as file:
        file.execute("BEGIN IMMEDIATE")
        yield
        file.execute("ROLLBACK")


def is_told(console: Console, session_id: str, times: int) -> list[dict[str, Any]] | None:
    """Return a session's traces once there are so many and all have ended."""
    found = traces(Program(console), session_id=session_id)
    return found if len(found) == times and all(trace.get("end_time") for trace in found) else None


def session_of(path: str) -> str:
    """Return the session in the path of its turns."""
    return path.split("/")[5]


@pytest.mark.slow
def test_a_killed_console_loses_a_second_of_spans_at_most_and_ends_what_was_open(traced: Console) -> None:
    program = Program(traced)
    path, long_path = program.session(), program.session("openai/fake-n100-d100")
    for _ in range(10):
        program.turn(path)
    time.sleep(1.0)
    with program.stream(long_path) as frames:
        payload(next(frames))
        time.sleep(2)
        traced.kill()
    killed_at = time.time()

    traced.start()

    assert len(traces(Program(traced), session_id=session_of(path))) == 10
    [lost] = until(lambda: is_told(traced, session_of(long_path), 1))
    found = spans(Program(traced), lost)
    root, inference = found["create_agent_turn"], found["inference"]
    assert (root["status"], inference["status"]) == ("error", "error")
    assert "stopped" in root["attributes"]["error"]
    ended_at = datetime.fromisoformat(root["end_time"]).timestamp()
    assert killed_at - 2.5 < ended_at <= killed_at + 0.5


@pytest.mark.slow
@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_turn_in_which_the_console_was_asked_to_stop_is_told_to_be_cut_short(
    traced: Console, signal_: signal.Signals
) -> None:
    program = Program(traced)
    path = program.session("openai/fake-n100-d100")
    with program.stream(path) as frames:
        until(lambda: payload(next(frames)).get("event_type") == "step_progress")
        assert traced.process
        traced.process.send_signal(signal_)
        began = time.monotonic()
        traced.process.wait(20)
    assert time.monotonic() - began < 10
    assert "the server stops" in traced.log() and "ending 1 running turn" in traced.log()

    traced.start()

    [trace_] = until(lambda: traces(Program(traced), session_id=session_of(path)))
    found = spans(Program(traced), trace_)
    for name in ("create_agent_turn", "inference"):
        assert found[name]["status"] == "error"
        assert found[name]["attributes"]["error"] == "The server was shut down while this turn ran."
        assert found[name]["attributes"]["output"]


@pytest.mark.slow
@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_console_asked_to_stop_stores_every_span_before(traced: Console, signal_: signal.Signals) -> None:
    program = Program(traced)
    path = program.session()
    for _ in range(20):
        program.turn(path)
    assert traced.process
    traced.process.send_signal(signal_)
    traced.process.wait(20)

    traced.start()

    found = is_told(traced, session_of(path), 20)
    assert found, traced.log()[-2000:]
    assert all({"create_agent_turn", "inference"} <= spans(Program(traced), trace).keys() for trace in found)


@pytest.mark.slow
def test_turns_stream_on_while_the_database_is_locked(traced: Console) -> None:
    program = Program(traced)
    path = program.session("openai/fake-n60-d50")
    program.turn(path)  # what a first turn imports is not what is measured

    at = []
    with program.stream(path) as frames:
        payload(next(frames))
        with locked(traced):
            for _ in range(40):
                next(frames)
                at.append(time.monotonic())
        rest = list(frames)

    assert max(after - before for before, after in pairwise(at)) < 0.7
    assert payload(rest[-1])["event_type"] == "turn_complete"
    assert until(lambda: is_told(traced, session_of(path), 2))


@pytest.mark.slow
def test_turns_end_while_the_table_of_spans_is_locked(traced: Console) -> None:
    if "DATABASE_URL" not in traced.extra:
        pytest.skip("SQLite has one lock for all tables: a turn's own rows wait for it too")
    program = Program(traced)
    path = program.session()
    program.turn(path)

    with locked(traced):
        began = time.monotonic()
        for _ in range(10):
            program.turn(path)
        took = time.monotonic() - began

    assert took < 5
    assert until(lambda: is_told(traced, session_of(path), 11))


async def test_turns_end_while_the_disk_is_full_and_their_spans_come_afterwards(
    api: httpx2.AsyncClient, agent: Any, session: Any
) -> None:
    disk = Disk()
    path = f"/v1alpha/agents/{agent.agent_id}/session/{session.session_id}/turn"
    with kept_by(StoreSpans(disk)) as processor:
        for _ in range(5):
            began = time.monotonic()
            answer = await api.post(path, json={"messages": [build.said("hello")]})
            assert answer.status_code == 200 and time.monotonic() - began < 2
        assert await asyncio.to_thread(processor.force_flush) is False
        assert disk.refused and await db.read(Trace.objects.count) == 0

        disk.is_full = False
        assert await asyncio.to_thread(processor.force_flush)

    found = await db.read(lambda: list(Trace.objects.filter(session_id=session.session_id)))
    assert len(found) == 5 and {trace.span_count for trace in found} == {2}


class Disk:
    """Takes spans unless it is full."""

    def __init__(self) -> None:
        self.is_full, self.refused = True, 0

    def __call__(self, records: list[SpanRecord]) -> None:
        if self.is_full:
            self.refused += 1
            raise OperationalError("database or disk is full")
        keep(records)


@contextmanager
def kept_by(processor: StoreSpans) -> Iterator[StoreSpans]:
    """Give spans of this process to a processor while the block runs."""
    provider: Any = trace.get_tracer_provider()
    before = provider._active_span_processor._span_processors
    provider.add_span_processor(processor)
    try:
        yield processor
    finally:
        provider._active_span_processor._span_processors = before
        processor.shutdown()
