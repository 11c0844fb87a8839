"""Two web processes on one Postgres and one Redis: it does not matter which one is asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.processes import Console, ModelServer
from tests.program import Program, payload, text_in


@pytest.fixture(scope="module")
def pair(model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Console, Console]]:
    folder: Path = tmp_path_factory.mktemp("pair")
    first = Console(folder, model_server).prepare().start()
    second = first.beside()
    second.log_name = "second.log"
    second.start()
    yield first, second
    second.stop()
    first.remove()


@contextmanager
def watch(console: Console, topic: str, number: int = 0) -> Iterator[ClientConnection]:
    """Open the live socket of a page on one topic."""
    headers = {"Cookie": f"sessionid={console.facts['cookies']['operator']}"}
    address = f"ws{console.url.removeprefix('http')}/ws/live/"
    with connect(address, origin=Origin(console.url), additional_headers=headers) as socket:
        socket.send(json.dumps({"sub": {topic: number}}))
        assert json.loads(socket.recv(timeout=5))["k"] == "watching"
        yield socket


def received(socket: ClientConnection, until: Any, seconds: float = 10) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while not found or not until(found[-1]):
        found.append(json.loads(socket.recv(timeout=seconds)))
    return found


def test_a_turn_started_on_one_is_watched_on_the_other(pair: tuple[Console, Console]) -> None:
    first, second = pair
    program = Program(first)
    path = program.session("openai/fake-n20-d50")
    session_id = path.split("/")[-2]
    with watch(second, f"session:{session_id}") as socket:
        with program.stream(path) as frames:
            turn_id = payload(next(frames))["turn_id"]
            with Program(second).http.stream("GET", f"{path}/{turn_id}/events") as response:
                events = [line for line in response.iter_lines() if line.startswith("data: ")]
            own = list(frames)
        shown = received(socket, lambda frame: "turn-foot" in frame.get("h", ""))

    assert text_in(own).split()[-1] == "tok19"
    assert "turn_complete" in events[-1]
    numbers = [frame["n"] for frame in shown if "n" in frame]
    assert numbers == sorted(numbers)
    assert "tok19" in json.dumps(shown)


def test_a_turn_started_on_one_is_cancelled_on_the_other(pair: tuple[Console, Console]) -> None:
    first, second = pair
    program = Program(first)
    path = program.session("openai/fake-n100-d100")

    with program.stream(path) as frames:
        turn_id = payload(next(frames))["turn_id"]
        next(frames)
        Program.ok(Program(second).http.post(f"{path}/{turn_id}/cancel"))
        rest = list(frames)

    assert rest
    assert "completed_at" in program.wait_until(f"{path}/{turn_id}", lambda turn: "completed_at" in turn)


def test_one_running_turn_for_a_session_however_many_processes(pair: tuple[Console, Console]) -> None:
    first, second = pair
    program = Program(first)
    path = program.session("openai/fake-n20-d50")

    with program.stream(path) as frames:
        next(frames)
        refused = Program(second).post(path)
        list(frames)

    assert refused.status_code == 409


def test_a_waiting_turn_is_resumed_on_the_other(pair: tuple[Console, Console]) -> None:
    first, second = pair
    tool = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}
    program = Program(first)
    path = program.session(client_tools=[tool])
    waiting = program.turn(path, "call:get_weather {}")
    call = waiting["output_message"]["tool_calls"][0]
    answer = {"call_id": call["call_id"], "tool_name": call["tool_name"], "content": "sunny"}

    resume = f"{path}/{waiting['turn_id']}/resume"
    done = Program.ok(Program(second).http.post(resume, json={"tool_responses": [answer]}))

    assert done["output_message"]["content"] == "get_weather returned: sunny"


def test_a_revoked_key_is_refused_by_both(pair: tuple[Console, Console]) -> None:
    first, second = pair
    for console in (first, second):
        assert Program(console, role="").http.get("/v1alpha/agents").status_code == 401
        assert Program(console).http.get("/v1alpha/agents").status_code == 200


def test_a_turn_of_a_killed_process_is_ended_by_the_other(pair: tuple[Console, Console], tmp_path: Path) -> None:
    first, _ = pair
    third = first.beside()
    third.log_name = "third.log"
    third.extra = {**first.extra, "TURN_LOST_AFTER_S": "4"}
    third.start()
    program = Program(third)
    path = program.session("openai/fake-n100-d100")
    with program.stream(path) as frames:
        turn_id = payload(next(frames))["turn_id"]
        next(frames)
        third.kill()

    turn = Program(first).wait_until(f"{path}/{turn_id}", lambda turn: "completed_at" in turn, seconds=45)

    assert turn["output_message"]["content"]
