"""Turns at once on a running console: exactly as many traces, each whole, none mixed with another."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.processes import Console, ModelServer
from tests.program import Program


@pytest.fixture(scope="module")
def traced(model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console that keeps its spans."""
    one = Console(tmp_path_factory.mktemp("traced"), model_server, {"TELEMETRY": "1"}).prepare().start()
    yield one
    one.remove()


@pytest.mark.parametrize("many", [1, 8, 32])
def test_turns_at_once_are_traces_of_their_own(traced: Console, many: int) -> None:
    take_turns_at_once([traced], many)


def take_turns_at_once(consoles: list[Console], many: int) -> None:
    """Take turns in sessions of their own, each asked and answered with its own word, and look at every trace."""
    programs = [Program(console) for console in consoles]
    with ThreadPoolExecutor(many) as threads:
        paths = list(threads.map(lambda at: programs[at % len(programs)].session("openai/fake-n20-d5"), range(many)))
        words = [f"word-{many}-{at}-" for at in range(many)]
        asked = [(programs[at % len(programs)], paths[at], words[at]) for at in range(many)]
        turns = list(threads.map(lambda one: one[0].turn(one[1], one[2]), asked))

    program = programs[0]
    of_session = {turn["session_id"]: traces_of(program, turn["session_id"]) for turn in turns}
    assert all(len(found) == 1 for found in of_session.values())
    ids = [found[0]["trace_id"] for found in of_session.values()]
    assert len(set(ids)) == many
    for turn, word in zip(turns, words, strict=True):
        [trace] = of_session[turn["session_id"]]
        is_whole(program, trace, turn, word, words)


def traces_of(program: Program, session_id: str) -> list[dict[str, Any]]:
    """Return a session's traces once their roots have ended."""
    conditions = [{"key": "session_id", "op": "eq", "value": session_id}]
    body = {"attribute_filters": conditions, "limit": 1000}
    end = time.monotonic() + 10
    while True:
        found = Program.ok(program.http.post("/v1alpha/telemetry/traces", json=body))["data"]
        if found and all(trace.get("end_time") for trace in found):
            return list(found)
        assert time.monotonic() < end, found
        time.sleep(0.1)


def is_whole(program: Program, trace: dict[str, Any], turn: dict[str, Any], word: str, words: list[str]) -> None:
    """Assert that a trace holds one turn, all of it, and nothing of another."""
    path = f"/v1alpha/telemetry/spans/{trace['root_span_id']}/tree"
    found = list(Program.ok(program.http.post(path, json={}))["data"].values())
    by_name = {span["name"]: span for span in found}
    assert sorted(span["name"] for span in found) == ["create_agent_turn", "inference"]
    root, inference = by_name["create_agent_turn"], by_name["inference"]
    assert root["attributes"]["turn_id"] == turn["turn_id"] and root["status"] == inference["status"] == "ok"
    assert inference["parent_span_id"] == root["span_id"] and inference["trace_id"] == root["trace_id"]
    assert inference["attributes"]["step_id"] == turn["steps"][0]["step_id"]
    told = str(found)
    assert word in told and not [other for other in words if other != word and other in told]
