"""The console is killed in the middle of an append, a registration, an upload: all or nothing, and on it goes."""

import json
import threading
import time
from typing import Any

import httpx2
import pytest

from tests import build
from tests.processes import Console
from tests.program import Program

pytestmark = pytest.mark.slow
COUNT = 150_000
BATCH = 700


def line(n: int) -> str:
    return json.dumps({"question": f"What is {n}?", "answer": str(n)})


def numbers(program: Program, name: str) -> list[int]:
    """Return the numbers of all rows of a dataset, in order."""
    page = program.read(f"/v1beta/datasetio/iterrows/{name}")
    assert page["has_more"] is False
    return [int(row["answer"]) for row in page["data"]]


def register(program: Program, name: str, source: Any) -> Any:
    body = {"purpose": "eval/question-answer", "dataset_id": name, "source": source}
    return program.ok(program.http.post("/v1beta/datasets", json=body))


def jobs_done(program: Program, name: str, seconds: float = 60) -> float:
    """Wait until a dataset can be read; return how long it took."""
    began = time.monotonic()
    while (answer := program.http.get(f"/v1beta/datasetio/iterrows/{name}?limit=0")).status_code != 200:
        assert "still being loaded" in answer.text, answer.text
        assert time.monotonic() - began < seconds, answer.text
        time.sleep(0.2)
    return time.monotonic() - began


def test_a_load_goes_on_after_the_console_was_killed(own_console: Console) -> None:
    folder = own_console.folder / "datasets"
    folder.mkdir(exist_ok=True)
    (folder / "big.jsonl").write_text("\n".join(map(line, range(COUNT))))
    program = Program(own_console)
    register(program, "big", {"type": "uri", "uri": "lsfs://big.jsonl"})
    time.sleep(0.8)
    assert "still being loaded" in program.http.get("/v1beta/datasetio/iterrows/big").text
    own_console.kill()

    own_console.start()

    assert jobs_done(program, "big") < 45
    assert numbers(program, "big") == list(range(COUNT))


def test_an_append_that_was_killed_is_there_whole_or_not_at_all(own_console: Console) -> None:
    program = Program(own_console)
    register(program, "log", {"type": "rows", "rows": []})
    acknowledged = []

    def write() -> None:
        with Program(own_console).http as http:
            for at in range(0, 1_000_000, BATCH):
                rows = [json.loads(line(n)) for n in range(at, at + BATCH)]
                try:
                    answer = http.post("/v1beta/datasetio/append-rows/log", json={"rows": rows})
                except httpx2.HTTPError:
                    return
                if answer.status_code == 200:
                    acknowledged.append(at + BATCH)

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(2.5)
    own_console.kill()
    writer.join()

    own_console.start()
    kept = numbers(program, "log")

    assert len(acknowledged) > 3
    assert len(kept) % BATCH == 0
    assert len(kept) in (acknowledged[-1], acknowledged[-1] + BATCH)
    assert kept == list(range(len(kept)))
    register(program, "after", {"type": "rows", "rows": [json.loads(line(1))]})


def test_an_upload_goes_on_where_it_was_killed(own_console: Console) -> None:
    body = "\n".join(map(line, range(COUNT))).encode()
    part = 1_000_000
    with httpx2.Client(base_url=own_console.url, timeout=60, follow_redirects=False) as web:
        web.get("/login/")
        token = {"X-CSRFToken": web.cookies["csrftoken"], "Referer": own_console.url}
        signed = web.post("/login/", data={"username": "operator", "password": build.PASSWORD}, headers=token)
        assert signed.status_code == 302, signed.text
        token["X-CSRFToken"] = web.cookies["csrftoken"]
        about = {"name": "big.jsonl", "size": str(len(body)), "dataset_id": "up", "purpose": "eval/question-answer"}
        place = web.post("/datasets/files/", data=about, headers=token).json()

        def put(at: int) -> Any:
            return web.post(place["part"], content=body[at : at + part], headers={**token, "X-Offset": str(at)})

        assert put(0).json() == {"received": part}
        assert put(part).json() == {"received": 2 * part}
        own_console.kill()
        own_console.start()
        received = put(0).json()["received"]
        assert received == 2 * part
        while received < len(body):
            received = put(received).json()["received"]
        form = {"act": "load", "purpose": "eval/question-answer", "dataset_id": "up"}
        loaded = web.post(place["preview"], data=form, headers=token)
        assert loaded.headers["Location"] == "/datasets/up/", loaded.text
    time.sleep(0.5)
    own_console.kill()
    own_console.start()
    program = Program(own_console)
    assert jobs_done(program, "up") < 45
    assert numbers(program, "up") == list(range(COUNT))
