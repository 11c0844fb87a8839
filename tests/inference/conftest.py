"""A model server made of bytes, and the small embedded models."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from pydantic_core import to_json

Piece = bytes | float  # a number is a pause in seconds


@dataclass
class RawServer:
    """Answers each request with the same bytes, whatever was asked."""

    pieces: tuple[Piece, ...]
    url: str = ""
    asked: list[bytes] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        self.asked.append(head + await reader.readexactly(length))
        reading = asyncio.create_task(reader.read())  # ends when the client leaves
        reading.add_done_callback(lambda _: self.left.set())
        try:
            for piece in self.pieces:
                if isinstance(piece, float):
                    await asyncio.wait_for(
                        asyncio.shield(self.left.wait()), piece
                    ) if piece > 1 else await asyncio.sleep(piece)
                else:
                    writer.write(piece)
                    await writer.drain()
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
            reading.cancel()


Serve = Callable[..., Any]


@pytest.fixture
def serve() -> Serve:
    """Return a context manager that serves these bytes."""

    @asynccontextmanager
    async def started(*pieces: Piece) -> AsyncIterator[RawServer]:
        raw = RawServer(pieces)
        server = await asyncio.start_server(raw.answer, "127.0.0.1", 0)
        raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server:
            yield raw
            server.close()

    return started


def answer(body: Any, status: int = 200, *headers: str) -> bytes:
    """Return an HTTP answer with a JSON body."""
    content = body if isinstance(body, bytes) else to_json(body)
    head = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def frame(text: str | None = None, finish: str | None = None) -> bytes:
    """Return one frame of a streamed answer."""
    delta = {} if text is None else {"content": text}
    return b"data: " + to_json({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}) + b"\n\n"


@pytest.fixture(scope="session")
def weights() -> None:
    """Have the small models in the data folder of the tests, from wherever they can be had soonest."""
    from apps.core.errors import ProviderError
    from apps.inference import catalog
    from apps.inference import weights as fetching

    settings.WEIGHTS_CACHE = os.environ.get("STACK_CONSOLE_WEIGHTS_CACHE") or str(
        Path(settings.BASE_DIR) / "var/weights"
    )
    try:
        for entry in catalog.STARTERS:
            fetching.pull(entry)
    except ProviderError as error:
        pytest.skip(f"no weights: {error.detail}")


@pytest.fixture
async def embedded(weights: None) -> AsyncIterator[Any]:
    """The embedded backend; its children end with the test."""
    from apps.inference.providers.llama_cpp import LlamaCpp, LlamaCppConfig

    backend = LlamaCpp("embedded", LlamaCppConfig())
    yield backend
    await backend.close()


async def gathered(chunks: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all chunks."""
    return [chunk async for chunk in chunks]


def text_of(chunks: list[dict[str, Any]]) -> str:
    """Return the words of chunks."""
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


async def until(true: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Wait for a condition; raises AssertionError when the time is up."""
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.05)
