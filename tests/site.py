"""A web site on this machine, for what fetches from the web: good pages, and pages made to harm."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator

from aiohttp import web

CSV = 'question,answer\nWhat?,This\nWhy?,"Because, of\nthat"\n'
LINES = '{"question": "What?", "answer": "This"}\n{"question": "Why?", "answer": "Because"}\n'
ENDLESS_LINE = b'{"question": "' + b"x" * 16_000 + b'", "answer": ""}\n'


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Serve the site on a free port and yield its address."""
    app = web.Application()
    app.router.add_get("/{page:.*}", _answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _answer(request: web.Request) -> web.StreamResponse:
    match request.match_info["page"]:
        case "ok":
            return web.Response(text="hello")
        case "page":
            return web.Response(text="<p>hello", content_type="text/html")
        case "qa.csv":
            return web.Response(text=CSV, content_type="text/csv")
        case "typed":
            return web.Response(text=LINES, content_type="application/x-ndjson")
        case "plain.jsonl":
            return web.Response(text=LINES)
        case "qa.json":
            return web.Response(text=f"[{','.join(LINES.splitlines())}]", content_type="application/json")
        case "api/datasets/owner/name/parquet":
            return web.json_response({"default": {"train": [f"http://{request.host}/hub.parquet"], "test": []}})
        case "inside":
            raise web.HTTPFound("http://[::1]:9/rows.csv")
        case "round":
            raise web.HTTPFound("/round")
        case "bomb.jsonl":
            return web.Response(body=gzip.compress(b"0" * 30_000_000), headers={"Content-Encoding": "gzip"})
        case "slow.csv":
            await asyncio.sleep(2)
        case "endless.jsonl":
            return await _endless(request)
    raise web.HTTPNotFound


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(5_000):
            await response.write(ENDLESS_LINE)
    return response
