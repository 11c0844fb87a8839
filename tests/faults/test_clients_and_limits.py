"""What clients do to a server: leave, shout together, send too much, send nonsense."""

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests import build
from tests.processes import Console
from tests.program import Program, payload, text_in

HOSTILE_IDS = [
    "..%2f..%2fetc%2fpasswd", "%00", "'; DROP TABLE agents_agent; --", "<script>alert(1)</script>", "a" * 4000,
    "%F0%9F%92%A9", "{{7*7}}", "null", "-1", "%0d%0aX-Injected:1", "%ff%fe",
]  # fmt: skip


@pytest.fixture
def program(console: Console) -> Program:
    return Program(console)


def test_a_turn_goes_on_when_its_reader_leaves(program: Program) -> None:
    path = program.session("openai/fake-n20-d50")

    with program.stream(path) as frames:
        turn_id = payload(next(frames))["turn_id"]
        for _ in range(5):
            next(frames)

    left = time.monotonic()
    turn = program.wait_until(f"{path}/{turn_id}", lambda turn: "completed_at" in turn)
    assert time.monotonic() - left > 0.2
    assert turn["output_message"]["content"].split() == [f"tok{index}" for index in range(20)]


def test_a_turn_can_be_watched_again_from_the_beginning(program: Program) -> None:
    path = program.session("openai/fake-n20-d50")
    with program.stream(path) as frames:
        turn_id = payload(next(frames))["turn_id"]
        for _ in range(6):
            next(frames)

    with program.http.stream("GET", f"{path}/{turn_id}/events") as response:
        again = [line for line in response.iter_lines() if line.startswith("data: ")]

    assert "turn_start" in again[0]
    assert "turn_complete" in again[-1]
    turn = program.read(f"{path}/{turn_id}")
    assert len(turn["output_message"]["content"].split()) == 20


def test_a_cancelled_turn_keeps_its_text_and_stops_the_model(program: Program, console: Console) -> None:
    path = program.session("openai/fake-n100-d100")
    before = console.models.stats()["cancelled"]
    with program.stream(path) as frames:
        turn_id = payload(next(frames))["turn_id"]
        for _ in range(6):
            next(frames)
        began = time.monotonic()
        program.ok(program.http.post(f"{path}/{turn_id}/cancel"))
        rest = list(frames)

    assert time.monotonic() - began < 1
    assert rest
    turn = program.read(f"{path}/{turn_id}")
    assert "completed_at" in turn
    assert "tok0 tok1" in str(turn)
    end = time.monotonic() + 3
    while console.models.stats()["cancelled"] == before:
        assert time.monotonic() < end, "the model server still generates"
        time.sleep(0.05)
    assert program.turn(path, "say:On we go.")["output_message"]["content"] == "On we go."


def test_of_two_turns_at_once_one_is_refused(program: Program) -> None:
    path = program.session("openai/fake-n20-d50")

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: program.post(path), range(2)))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert next(a for a in answers if a.status_code == 409).headers["x-should-retry"] == "false"


@pytest.mark.slow
def test_a_session_of_two_hundred_turns_stays_whole(program: Program) -> None:
    path = program.session("openai/fake-n1")

    for index in range(200):
        program.turn(path, f"say:Answer {index}.")

    whole = program.read(path.removesuffix("/turn"))
    assert [turn["output_message"]["content"] for turn in whole["turns"]] == [f"Answer {n}." for n in range(200)]


def test_thirty_two_turns_at_once_all_succeed_and_never_mix(program: Program) -> None:
    paths = [program.session("openai/fake-n20-d50") for _ in range(32)]

    def run(index: int) -> str:
        with program.stream(paths[index], f"say:{index} {'word ' * 20}") as frames:
            found = list(frames)
        assert payload(found[-1])["event_type"] == "turn_complete"
        assert text_in(found) == payload(found[-1])["turn"]["output_message"]["content"]
        return text_in(found)

    with ThreadPoolExecutor(32) as threads:
        texts = list(threads.map(run, range(32)))

    assert [text.split()[0] for text in texts] == [str(index) for index in range(32)]


def test_a_body_of_fifty_megabytes_is_refused(program: Program) -> None:
    path = program.session()
    huge = b'{"messages": [{"role": "user", "content": "' + b"x" * 50_000_000 + b'"}]}'

    announced = program.http.post(path, content=huge, headers={"content-type": "application/json"})
    chunked = _send_chunked(program, path, huge)

    for answer in (announced, chunked):
        assert answer.status_code == 413
        assert answer.json()["status"] == 413
    assert program.turn(path, "say:Still here.")["output_message"]["content"] == "Still here."


def _send_chunked(program: Program, path: str, body: bytes) -> httpx2.Response:
    pieces = (body[start : start + 1_000_000] for start in range(0, len(body), 1_000_000))
    return program.http.post(path, content=pieces, headers={"content-type": "application/json"})


def test_garbage_is_refused_and_never_a_server_error(program: Program) -> None:
    path = program.session("openai/fake-n1")
    noise = random.Random(7)
    deep = b"[" * 50_000
    bodies = [noise.randbytes(noise.randint(0, 300)) for _ in range(40)] + [deep, b"null", b'""', b"1e999", b"{}" * 3]

    for body in bodies:
        answer = program.http.post(path, content=body, headers={"content-type": "application/json"})

        assert answer.status_code == 400, (body[:50], answer.text)
        assert set(answer.json()) <= {"status", "title", "detail", "instance"}


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "multipart/form-data", "text/plain"])
def test_a_body_that_says_it_is_something_else_is_refused_with_a_reason(program: Program, kind: str) -> None:
    for path in ("/v1alpha/agents", "/v1alpha/eval/benchmarks", "/v1/scoring/score"):
        answer = program.http.post(path, content=b"--x--", headers={"content-type": kind})

        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
        assert "not valid JSON" in answer.json()["detail"]


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
def test_hostile_ids_are_not_found_and_nothing_more(program: Program, hostile: str) -> None:
    for path in (f"/v1alpha/agents/{hostile}", f"/v1alpha/agents/{hostile}/session/{hostile}/turn/{hostile}"):
        answer = program.http.get(path)

        assert answer.status_code in (400, 404), answer.text
        assert answer.json()["status"] == answer.status_code
        assert "x-injected" not in answer.headers


def test_a_nul_in_an_address_is_refused(program: Program, console: Console) -> None:
    path = program.session().removesuffix("/turn")

    assert program.http.get(f"{path}?turn_ids=%00").status_code == 400
    cookies = {"sessionid": console.facts["cookies"]["viewer"]}
    for page in ("/agents/%00/", "/agents/?find=%00", "/login/?next=%00"):
        assert httpx2.get(console.url + page, cookies=cookies).status_code == 400


def test_strange_text_comes_back_as_it_was_sent(program: Program) -> None:
    path = program.session("openai/fake-n1")
    for text in ("👩‍👩‍👧‍👦 ﷽ \u202e abc", "\ud7ff\ue000", "<b>&amp;\"'\\", "line\r\nline\u2028line", "x" * 200_000):
        turn = program.turn(path, text)

        assert turn["input_messages"][0]["content"] == text


@pytest.mark.asyncio
async def test_slow_readers_do_not_hold_up_others(console: Console) -> None:
    program = Program(console)
    slow_path = program.session("openai/fake-n200")
    quick_path = program.session("openai/fake-n1")
    headers = {"Authorization": f"Bearer {console.key()}"}
    async with httpx2.AsyncClient(base_url=console.url, headers=headers, timeout=30) as http:
        body: dict[str, Any] = {"messages": [build.said("Count.")], "stream": True}
        async with http.stream("POST", slow_path, json=body) as unread:
            began = time.monotonic()
            await asyncio.gather(*(http.get(quick_path.removesuffix("/turn")) for _ in range(10)))
            assert time.monotonic() - began < 2
            assert unread.status_code == 200
