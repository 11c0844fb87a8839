"""What happens to servers: the console is killed, its model server is down, cut, slow or refuses."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.processes import Console, ModelServer
from tests.program import Program, payload, text_in

pytestmark = pytest.mark.slow


def test_a_killed_console_tells_the_truth_about_its_turn(own_console: Console) -> None:
    program = Program(own_console)
    path = program.session("openai/fake-n100-d100")
    with program.stream(path) as frames:
        turn_id = payload(next(frames))["turn_id"]
        began = time.monotonic()
        seen = []
        while time.monotonic() - began < 3:
            seen.append(next(frames))
        own_console.kill()

    own_console.start()
    turn = program.wait_until(f"{path}/{turn_id}", lambda turn: "completed_at" in turn, seconds=30)

    told = len(text_in(seen).split())
    kept = str(turn)
    assert told > 20
    # At most a second of text is lost: ten words at this model's pace, and a few for a busy machine.
    assert f"tok{told - 15} " in kept, kept[-500:]
    ending = turn["output_message"]["content"]
    assert any(word in ending.lower() for word in ("stopped", "ended", "restart", "interrupted")), ending
    assert program.turn(path, "say:On we go.")["output_message"]["content"] == "On we go."


def test_a_waiting_turn_survives_a_restart(own_console: Console) -> None:
    program = Program(own_console)
    tool = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}
    path = program.session(client_tools=[tool])
    waiting = program.turn(path, "call:get_weather {}")
    own_console.kill()
    own_console.start()

    call = waiting["output_message"]["tool_calls"][0]
    answer = {"call_id": call["call_id"], "tool_name": call["tool_name"], "content": "sunny"}
    resume = f"{path}/{waiting['turn_id']}/resume"
    done = program.ok(program.http.post(resume, json={"tool_responses": [answer]}))

    assert done["output_message"]["content"] == "get_weather returned: sunny"


def test_a_console_asked_to_stop_stops_and_leaves_no_running_turn(own_console: Console) -> None:
    program = Program(own_console)
    path = program.session("openai/fake-n100-d100")
    with program.stream(path) as frames:
        turn_id = payload(next(frames))["turn_id"]
        next(frames)
        began = time.monotonic()
        own_console.stop()
        assert time.monotonic() - began < 12

    own_console.start()
    turn = program.wait_until(f"{path}/{turn_id}", lambda turn: "completed_at" in turn, seconds=30)
    assert turn["output_message"]["content"]


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console that waits two seconds for a silent model server, with a model server that comes and goes."""
    extra = {"MODEL_TIMEOUT_S": "2", "MODEL_CONNECT_S": "1"}
    folder: Path = tmp_path_factory.mktemp("patient")
    console = Console(folder, ModelServer().start(), extra).prepare().start()
    yield console
    console.remove()
    console.models.stop()


def test_a_model_server_that_is_down_is_a_bad_gateway_that_names_it(patient: Console) -> None:
    program = Program(patient)
    path = program.session()
    patient.models.stop()

    answer = program.post(path)
    with program.stream(path) as frames:
        last = list(frames)[-1]
    patient.models.start()

    assert answer.status_code == 502, answer.text
    assert "openai" in answer.json()["detail"]
    assert "openai" in last["error"]["message"]
    assert program.turn(path, "say:Back.")["output_message"]["content"] == "Back."


def test_a_stream_cut_by_the_model_server_ends_in_an_error_and_keeps_the_text(patient: Console) -> None:
    program = Program(patient)
    path = program.session()

    with program.stream(path, "drop:7") as frames:
        found = list(frames)
    again = program.post(path, "drop:7")

    assert text_in(found).split() == [f"tok{index}" for index in range(7)]
    assert found[-1]["error"]["message"]
    assert again.status_code == 502
    turns = program.read(path.removesuffix("/turn"))["turns"]
    assert len(turns) == 2
    assert all("completed_at" in turn for turn in turns)
    assert "tok6" in str(turns[0])


def test_a_silent_model_server_is_given_up(patient: Console) -> None:
    program = Program(patient)
    path = program.session("openai/fake-n5-i20000")

    began = time.monotonic()
    answer = program.post(path)

    assert answer.status_code == 504, answer.text
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("refusal", "status", "told"),
    [(400, 400, "asked to fail"), (401, 502, "key"), (404, 404, "asked to fail"), (429, 429, "asked to fail"),
     (500, 502, "asked to fail"), (503, 502, "asked to fail")],
)  # fmt: skip
def test_a_refusal_of_the_model_server_is_told(patient: Console, refusal: int, status: int, told: str) -> None:
    program = Program(patient)

    answer = program.post(program.session(), f"fail:{refusal}")

    assert answer.status_code == status, answer.text
    assert told in answer.json()["detail"]


def test_health_answers_while_the_model_server_is_down(patient: Console) -> None:
    patient.models.stop()
    try:
        assert httpx2.get(f"{patient.url}/v1/health").json() == {"status": "OK"}
        assert httpx2.get(f"{patient.url}/healthz").status_code == 200
    finally:
        patient.models.start()
