"""Telemetry of two web processes on one Postgres and one Redis: one store, whoever made the spans."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Console, ModelServer
from tests.program import Program, payload
from tests.telemetry.test_concurrency import take_turns_at_once, traces_of


@pytest.fixture(scope="module")
def pair(model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Console, Console]]:
    """Two consoles on the same data that keep their spans."""
    folder: Path = tmp_path_factory.mktemp("traced-pair")
    first = Console(folder, model_server, {"TELEMETRY": "1"}).prepare().start()
    second = first.beside()
    second.log_name = "second.log"
    second.start()
    yield first, second
    second.stop()
    first.remove()


@pytest.mark.parametrize("many", [8, 32])
def test_turns_at_once_on_both_are_traces_of_their_own(pair: tuple[Console, Console], many: int) -> None:
    take_turns_at_once(list(pair), many)


def test_what_a_killed_process_left_open_is_ended_by_the_other(pair: tuple[Console, Console]) -> None:
    first, second = pair
    third = first.beside()
    third.log_name = "third.log"
    third.start()
    program = Program(third)
    path = program.session("openai/fake-n100-d100")
    with program.stream(path) as frames:
        payload(next(frames))
        time.sleep(1.5)
        third.kill()

    end = time.monotonic() + 40
    while not (found := _ended(Program(second), path.split("/")[5])):
        assert time.monotonic() < end, "the trace of the killed process stays open"
        time.sleep(0.5)

    assert found == ["error"]


def _ended(program: Program, session_id: str) -> list[str]:
    try:
        [trace] = traces_of(program, session_id)
    except AssertionError:  # still open
        return []
    path = f"/v1alpha/telemetry/spans/{trace['root_span_id']}/tree"
    spans = Program.ok(program.http.post(path, json={}))["data"]
    return [spans[trace["root_span_id"]]["status"]]
