"""A program that uses a running console's API with a key, over real connections."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import httpx2

from tests import build
from tests.processes import Console

Json = Any


class Program:
    """A small client: makes agents and sessions, runs turns, reads streams; closed after the test by ``close_all``."""

    opened: ClassVar[list["Program"]] = []

    def __init__(self, console: Console, role: str = "operator", **options: Any) -> None:
        headers = {"Authorization": f"Bearer {console.key(role)}"} if role else {}
        self.http = httpx2.Client(base_url=console.url, headers=headers, timeout=60, **options)
        self.opened.append(self)

    @classmethod
    def close_all(cls) -> None:
        """Close the connections of every program."""
        while cls.opened:
            cls.opened.pop().http.close()

    def session(self, model: str = "openai/fake", **config: Any) -> str:
        """Make an agent and a session; return the path of its turns."""
        made = self.ok(self.http.post("/v1alpha/agents", json={"agent_config": build.config(model=model, **config)}))
        path = f"/v1alpha/agents/{made['agent_id']}/session"
        opened = self.ok(self.http.post(path, json={"session_name": "Program"}))
        return f"{path}/{opened['session_id']}/turn"

    def turn(self, path: str, text: str = "Count.", **body: Any) -> Json:
        """Run a turn to its end and return it."""
        return self.ok(self.post(path, text, **body))

    def post(self, path: str, text: str = "Count.", **body: Any) -> httpx2.Response:
        """Send a turn and return the answer, whatever it is."""
        return self.http.post(path, json={"messages": [build.said(text)], **body})

    @contextmanager
    def stream(self, path: str, text: str = "Count.", **body: Any) -> Iterator[Iterator[Json]]:
        """Start a streamed turn and hand out its frames; leaving the block closes the connection."""
        payload = {"messages": [build.said(text)], "stream": True, **body}
        with self.http.stream("POST", path, json=payload) as response:
            assert response.status_code == 200, response.read()
            yield frames(response)

    def read(self, path: str) -> Json:
        """Return what a GET answers."""
        return self.ok(self.http.get(path))

    def wait_until(self, path: str, is_so: Any, seconds: float = 10) -> Json:
        """Read until ``is_so`` says yes; raises AssertionError with the last answer."""
        end = time.monotonic() + seconds
        while True:
            value = self.read(path)
            if is_so(value):
                return value
            assert time.monotonic() < end, value
            time.sleep(0.05)

    @staticmethod
    def ok(response: httpx2.Response) -> Json:
        """Return the body of a success; raises AssertionError with the text of anything else."""
        assert response.status_code == 200, f"{response.status_code} {response.text}"
        return response.json()


def frames(response: httpx2.Response) -> Iterator[Json]:
    """Yield the data of each server-sent event."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def payload(frame: Json) -> Json:
    """Return what a frame tells; raises AssertionError for an error frame."""
    assert "event" in frame, frame
    return frame["event"]["payload"]


def text_in(found: list[Json]) -> str:
    """Return the text the deltas of frames make."""
    deltas = [payload(frame).get("delta", {}) for frame in found if "event" in frame]
    return "".join(delta["text"] for delta in deltas if delta.get("type") == "text")
