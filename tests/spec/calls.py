"""Calls of the API whose answers are held against the contract before a test sees them."""

from typing import Any

import httpx2
from pydantic_core import from_json

from tests import build
from tests.spec import contract

Json = Any
GONE = "00000000-0000-4000-8000-000000000000"
HELLO = {"messages": [build.said("Hello there")]}


class Checked:
    """An API client under one of the two prefixes; every answer and every frame must be as published."""

    def __init__(self, api: httpx2.AsyncClient, prefix: str = "/v1alpha") -> None:
        self.api = api
        self.prefix = prefix

    async def call(self, method: str, path: str, body: Json = None, status: int = 200, **options: Any) -> Json:
        """Return the answer's body; the status must be the one named."""
        if body is not None:
            options["json"] = body
        response = await self.api.request(method, self.prefix + path, **options)
        assert response.status_code == status, response.text
        assert response.headers["content-type"].startswith("application/json")
        assert len(response.headers["x-trace-id"]) == 32
        value = from_json(response.content)
        assert contract.problems(method, self.prefix + path, status, value) == []
        assert ("Deprecation" in response.headers) == (self.prefix == "/v1")
        return value

    async def get(self, path: str, status: int = 200, **options: Any) -> Json:
        """Read."""
        return await self.call("GET", path, status=status, **options)

    async def post(self, path: str, body: Json, status: int = 200, **options: Any) -> Json:
        """Send a body."""
        return await self.call("POST", path, body, status, **options)

    async def delete(self, path: str, status: int = 200) -> Json:
        """Remove."""
        return await self.call("DELETE", path, status=status)

    async def frames(self, path: str, body: Json) -> list[Json]:
        """Return the data of a stream's frames; every event must fit its schema, an error may only be the last."""
        response = await self.api.post(self.prefix + path, json={**body, "stream": True})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache"
        found = read_frames(response.text)
        for position, frame in enumerate(found):
            if "error" in frame:
                assert position == len(found) - 1
                assert isinstance(frame["error"]["message"], str)
            else:
                assert contract.frame_problems(frame) == []
        return found

    async def payloads(self, path: str, body: Json) -> list[Json]:
        """Return the payloads of a stream that ends well."""
        return [frame["event"]["payload"] for frame in await self.frames(path, body)]


def read_frames(text: str) -> list[Json]:
    """Return the JSON of each ``data:`` frame; raises AssertionError for anything but data and comments."""
    found = []
    for block in filter(None, text.split("\n\n")):
        if block.startswith(":"):
            continue
        assert block.startswith("data: "), block
        assert "\n" not in block, block
        found.append(from_json(block.removeprefix("data: ")))
    return found


def kinds(payloads: list[Json]) -> list[str]:
    """Return the event types in order, repeated progress of one step told once."""
    told: list[str] = []
    for payload in payloads:
        kind = payload["event_type"] + (f" {payload['step_type']}" if "step_type" in payload else "")
        if not told or told[-1] != kind or "progress" not in kind:
            told.append(kind)
    return told


def text_of(payloads: list[Json]) -> str:
    """Return the text the deltas make."""
    deltas = [payload["delta"] for payload in payloads if payload["event_type"] == "step_progress"]
    return "".join(delta["text"] for delta in deltas if delta["type"] == "text")


def answers_to(turn: Json, content: Json = "sunny") -> Json:
    """Return a resume's body that answers every call of a waiting turn."""
    calls = turn["output_message"]["tool_calls"]
    return {
        "tool_responses": [
            {"call_id": call["call_id"], "tool_name": call["tool_name"], "content": content} for call in calls
        ]
    }
