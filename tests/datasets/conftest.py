"""Datasets under both prefixes, and a web site to read from."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from aiohttp import web

from tests.spec.calls import Checked


@pytest.fixture(params=["/v1beta", "/v1"])
def calls(request: pytest.FixtureRequest, api: httpx2.AsyncClient) -> Checked:
    return Checked(api, request.param)


@pytest.fixture
def beta(api: httpx2.AsyncClient) -> Checked:
    return Checked(api, "/v1beta")


@pytest.fixture
async def site(settings: Any) -> AsyncIterator[str]:
    """A web site on this machine that an operator has allowed."""
    settings.FETCH_ALLOWED_HOSTS = ["127.0.0.1"]
    app = web.Application()
    app.router.add_get("/{page:.*}", _answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


CSV = 'question,answer\nWhat?,This\nWhy?,"Because, of\nthat"\n'
LINES = '{"question": "What?", "answer": "This"}\n{"question": "Why?", "answer": "Because"}\n'


async def _answer(request: web.Request) -> web.StreamResponse:
    match request.match_info["page"]:
        case "qa.csv":
            return web.Response(text=CSV, content_type="text/csv")
        case "typed":
            return web.Response(text=LINES, content_type="application/x-ndjson")
        case "plain.jsonl":
            return web.Response(text=LINES)
        case "qa.json":
            return web.Response(text=f"[{','.join(LINES.splitlines())}]", content_type="application/json")
        case "page":
            return web.Response(text="<p>hello", content_type="text/html")
        case "inside":
            raise web.HTTPFound("http://[::1]:9/rows.csv")
        case "bomb.jsonl":
            return web.Response(body=gzip.compress(b"0" * 30_000_000), headers={"Content-Encoding": "gzip"})
        case "endless.jsonl":
            return await _endless(request)
        case "api/datasets/owner/name/parquet":
            return web.json_response({"default": {"train": [f"http://{request.host}/hub.parquet"], "test": []}})
        case "slow.csv":
            await asyncio.sleep(3)
    raise web.HTTPNotFound


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(5_000):
            await response.write(b'{"question": "' + b"x" * 8_000 + b'", "answer": ""}\n')
    return response
