"""Secrets on their way through a running console: used where they belong, and found nowhere afterwards."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests import build
from tests.faults.leaky import CALLS, LeakyModels, files_with, rows_of
from tests.processes import Console
from tests.program import Program, payload

KEY = "sk-the-operators-own-key-4711"
ARGUMENT = CALLS["log_in"]["password"]
SENT = {
    "provider data": "provider-data-of-the-caller",
    "cookie": "cookie-of-another-site",
    "baggage": "baggage-token-of-the-caller",
    "tracestate": "tracestate-token-of-the-caller",
    "query": "query-key-of-the-caller",
    "header": "x-api-key-of-the-caller",
}
PARENT = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {
    "X-LlamaStack-Provider-Data": json.dumps({"openai_api_key": SENT["provider data"]}),
    "Cookie": f"other={SENT['cookie']}",
    "baggage": f"token={SENT['baggage']}",
    "traceparent": f"00-{PARENT}-b7ad6b7169203331-01",
    "tracestate": f"vendor={SENT['tracestate']}",
    "X-Api-Key": SENT["header"],
}
LOG_IN = {
    "name": "log_in",
    "description": "Log in",
    "input_schema": {
        "type": "object",
        "properties": {"user": {"type": "string"}, "password": {"type": "string", "format": "password"}},
    },
}


@pytest.fixture(scope="module")
def models() -> Iterator[LeakyModels]:
    """A model server that repeats what it was told in confidence."""
    server = LeakyModels()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def leaky(models: LeakyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console that asks it."""
    extra = {"OPENAI_API_KEY": KEY, "TELEMETRY": "1", "LOG_LEVEL": "DEBUG"}
    console = Console(tmp_path_factory.mktemp("leaky"), models, extra).prepare().start()  # type: ignore[arg-type]
    yield console
    console.remove()


@pytest.fixture(scope="module")
def told(leaky: Console) -> str:
    """Everything the console answers while secrets pass through it, and on every page that speaks of it afterwards."""
    program = Program(leaky, params={"api_key": SENT["query"]})
    program.http.headers.update(HEADERS)
    path = program.session("openai/leaky", client_tools=[LOG_IN])
    answers = [program.post(path, f"fail:{status}").text for status in (400, 401, 404, 429, 500)]
    answers.append(program.post(path, "break").text)
    for text in ("fail:500", "break"):
        with program.stream(path, text) as frames:
            answers += [json.dumps(frame) for frame in frames]
    chat = {"model": "openai/leaky", "tools": [_offer(LOG_IN)]}
    for text in ("fail:500", "break"):
        body = {**chat, "messages": [build.said(text)]}
        answers.append(program.http.post("/v1/chat/completions", json=body).text)
        answers.append(program.http.post("/v1/chat/completions", json={**body, "stream": True}).text)
    body = {**chat, "messages": [build.said("log in"), _called(), build.said("thanks")], "stream": True}
    program.http.post("/v1/chat/completions", json=body)
    waiting = _logged_in(program, path)
    answers += [program.http.get(f"{path}/{waiting}").text, _watched(program, f"{path}/{waiting}/events")]
    answers += _pages(leaky, path)
    _resumed(program, f"{path}/{waiting}/resume")
    answers += [program.http.get(f"{path}/{waiting}").text, *_pages(leaky, path)]
    until_stored(leaky, PARENT)
    answers += [_spans(program)]
    return "\n".join(answers)


def _offer(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": tool["name"], "parameters": tool["input_schema"]}}


def _called() -> dict[str, Any]:
    function = {"name": "log_in", "arguments": json.dumps(CALLS["log_in"])}
    return {"role": "assistant", "tool_calls": [{"id": "call_0", "type": "function", "function": function}]}


def _logged_in(program: Program, path: str) -> str:
    """Let the model call the tool that takes a secret; check who gets it, and return the waiting turn's id."""
    with program.stream(path, "log in please") as frames:
        *found, last = list(frames)
    assert ARGUMENT not in json.dumps(found)
    turn = payload(last)["turn"]
    [call] = turn["output_message"]["tool_calls"]
    assert json.loads(call["arguments"]) == CALLS["log_in"], "the caller runs the tool and needs its arguments"
    assert ARGUMENT not in json.dumps(turn["steps"])
    return str(turn["turn_id"])


def _watched(program: Program, path: str) -> str:
    with program.http.stream("GET", path) as response:
        return "\n".join(response.iter_lines())


def _resumed(program: Program, path: str) -> None:
    answer = {"call_id": "call_1", "tool_name": "log_in", "content": "welcome"}
    done = program.ok(program.http.post(path, json={"tool_responses": [answer]}))
    assert done["output_message"]["content"] == "done"


def _pages(console: Console, path: str) -> list[str]:
    """Return the pages that show what just happened."""
    session = path.split("/")[5]
    agent = path.split("/")[3]
    paths = ["/", f"/chat/{agent}/{session}/", f"/agents/{agent}/", "/waiting/", "/providers/openai/", "/traces/"]
    paths += [f"/traces/{PARENT}/", f"/traces/{PARENT}/spans.json", f"/traces/{PARENT}/otlp.json"]
    cookies = {"sessionid": console.facts["cookies"]["admin"]}
    with httpx2.Client(base_url=console.url, cookies=cookies, follow_redirects=True) as browser:
        found = {path: browser.get(path) for path in paths}
    assert {path: page.status_code for path, page in found.items()} == dict.fromkeys(paths, 200)
    return [page.text for page in found.values()]


def _spans(program: Program) -> str:
    body = {"attribute_filters": [], "attributes_to_return": []}
    return program.http.post("/v1alpha/telemetry/spans", json=body).text


def until_stored(console: Console, trace_id: str) -> None:
    """Wait for the last spans to be stored."""
    time.sleep(1.5)
    assert trace_id in rows(console)


def rows(console: Console) -> str:
    return rows_of(console.folder, console.extra.get("DATABASE_URL", ""))


def test_the_secrets_were_really_used(told: str, models: LeakyModels, leaky: Console) -> None:
    assert set(models.seen) == {f"Bearer {KEY}"}
    assert "you sent Authorization: Bearer ********" in told
    assert "you sent Authorization: Bearer ********" in rows(leaky)
    assert '"password":"********"' in rows(leaky).replace("\\", "") and "create_agent_turn" in rows(leaky)


@pytest.mark.parametrize("secret", [KEY, ARGUMENT, *SENT.values()], ids=["api key", "argument", *SENT])
def test_no_answer_and_no_page_tells_a_secret(told: str, secret: str) -> None:
    assert secret not in told


@pytest.mark.parametrize("secret", [KEY, ARGUMENT, *SENT.values()], ids=["api key", "argument", *SENT])
def test_no_table_holds_a_secret(told: str, leaky: Console, secret: str) -> None:
    assert secret not in rows(leaky)
    assert "log_in" in rows(leaky)


def test_no_file_and_no_log_holds_a_secret_nor_the_callers_key(told: str, leaky: Console) -> None:
    for secret in (KEY, ARGUMENT, *SENT.values(), leaky.key()):
        assert files_with(leaky.folder, secret) == []
    assert leaky.key().rpartition("_")[2] not in rows(leaky)


def test_headers_that_exporters_send_along_are_hidden(leaky: Console) -> None:
    program = Program(leaky)
    attributes = [
        {"key": "http.request.header.authorization", "value": {"stringValue": "Bearer of-another-program"}},
        {"key": "http.request.method", "value": {"stringValue": "GET"}},
    ]
    span = {"traceId": "1" * 32, "spanId": "1" * 16, "name": "foreign", "startTimeUnixNano": str(time.time_ns()),
            "endTimeUnixNano": str(time.time_ns() + 5), "attributes": attributes}  # fmt: skip
    sent = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}

    Program.ok(program.http.post("/v1/traces", json=sent))
    kept = program.wait_until(f"/v1alpha/telemetry/traces/{'1' * 32}/spans/{'1' * 16}", lambda span: True)

    assert kept["attributes"]["http.request.header.authorization"] == "********"
    assert kept["attributes"]["http.request.method"] == "GET"
    assert re.search("of-another-program", rows(leaky)) is None
