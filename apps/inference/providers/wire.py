"""The line to an OpenAI-compatible server: over the network or a local socket, streams read raw, failures named.

The ``openai`` client sends and receives; only its parsing of streams is left out, which costs several times the rest.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

from pydantic_core import from_json, to_json

from apps.core.errors import ProviderError, ProviderFailed
from apps.core.redaction import HIDDEN
from apps.inference.completions import Chunk

NO_KEY = (
    "none"  # given explicitly, or the client would take OPENAI_API_KEY of the environment to a server it is not for
)
TEXT_LIMIT = 600
READ_OUT_S = 0.5
LACKING = (404, 405, 501)  # how servers say that they have no such model, or do not serve a path


class Unreachable(ProviderError):
    """No connection, so nothing was asked: asking again is safe."""


class Wire:
    """One server and how to speak with it; holds one client for each event loop that uses it."""

    def __init__(
        self, name: str, base_url: str, api_key: str = "", *, connect_s: float, silence_s: float, socket: str = ""
    ) -> None:
        self.name = name
        self.base_url = base_url
        self._api_key = api_key or NO_KEY
        self._connect_s, self._silence_s, self._socket = connect_s, silence_s, socket
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    async def get(self, path: str, timeout_s: float | None = None) -> Any:
        """Return the JSON answer of a GET, asked over a connection of its own; raises ProviderError."""
        return self._read(await self._send("get", path, None, stream=False, timeout_s=timeout_s))

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return the JSON answer of a POST; raises ProviderError."""
        return self._read(await self._send("post", path, body, stream=False))

    async def stream(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Chunk]:
        """Yield the JSON frames of a streamed answer; raises ProviderError, also when it ends before its end.

        Closing the iterator closes the connection, which cancels the generation at the server.
        """
        import httpx2

        response = await self._send("post", path, body, stream=True)
        finished = False
        try:
            rest = b""
            parts = response.aiter_bytes()
            async for part in parts:
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    if not line.startswith(b"data:"):
                        continue
                    data = line[5:].strip()
                    if data == b"[DONE]":
                        await _read_out(parts)
                        return
                    chunk = self._frame(data)
                    choices = chunk.get("choices")
                    finished = finished or bool(choices and choices[0].get("finish_reason"))
                    yield chunk
        except httpx2.TimeoutException:
            raise self._silent() from None
        except httpx2.HTTPError:
            raise self._cut() from None
        finally:
            await response.aclose()
        if not finished:
            raise self._cut()

    async def close(self) -> None:
        """Close the client of the running loop and forget the others."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        self._clients.clear()
        if client is not None:
            await client.close()

    async def _send(self, method: str, path: str, body: Any, *, stream: bool, timeout_s: float | None = None) -> Any:
        import httpx2

        client = await self._client()
        options: dict[str, Any] = {"timeout": timeout_s} if timeout_s else {}
        sent: dict[str, Any] = {} if body is None else {"content": to_json(body)}
        options["headers"] = {"Content-Type": "application/json"} if sent else {"Connection": "close"}
        openai = import_module("openai")
        # A kept connection may have been closed by the server meanwhile: that failure alone gets a second try.
        for is_last_try in (False, True):
            try:
                return await getattr(client, method)(
                    path, cast_to=httpx2.Response, options=options, stream=stream, **sent
                )
            except openai.APITimeoutError as error:
                if isinstance(error.__cause__, httpx2.ConnectTimeout):
                    raise self._unreachable("no connection in time") from None
                raise self._silent() from None
            except openai.APIConnectionError as error:
                if is_last_try or isinstance(error.__cause__, httpx2.ConnectError):
                    raise self._unreachable(self._clean(str(error.__cause__ or error))) from None
            except openai.APIStatusError as error:
                raise self._refused(error.status_code, error.response) from None
        raise AssertionError("unreachable")

    async def _client(self) -> Any:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            # Importing takes a second or two: not on the loop.
            openai = await asyncio.to_thread(import_module, "openai")
            client = self._clients.get(loop) or self._new_client(openai)
            self._clients[loop] = client
        return client

    def _new_client(self, openai: Any) -> Any:
        import httpx2

        timeout = httpx2.Timeout(self._silence_s, connect=self._connect_s, pool=None)
        http_client = None
        if self._socket:
            limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=20)
            transport = httpx2.AsyncHTTPTransport(uds=self._socket, limits=limits, verify=False, trust_env=False)
            http_client = httpx2.AsyncClient(transport=transport, timeout=timeout, trust_env=False)
        return openai.AsyncOpenAI(
            api_key=self._api_key, base_url=self.base_url, timeout=timeout, max_retries=0, http_client=http_client
        )

    def _read(self, response: Any) -> Any:
        try:
            return from_json(response.content)
        except ValueError:
            raise ProviderError(f"{self.name} answered something that is not JSON. Is the address right?") from None

    def _frame(self, data: bytes) -> Chunk:
        try:
            frame = from_json(data)
        except ValueError:
            raise ProviderError(f"{self.name} sent a frame that is not JSON.") from None
        if not isinstance(frame, dict):
            raise ProviderError(f"{self.name} sent a frame that is not an object.")
        error = frame.get("error")
        if error:
            text = error.get("message") if isinstance(error, dict) else error
            raise ProviderFailed(f"{self.name} failed in the middle of its answer: {self._clean(str(text))}")
        return frame

    def _refused(self, status: int, response: Any) -> ProviderError:
        error = _error_of(response)
        if error.get("type") == "exceed_context_size_error":
            return ProviderError(_too_long(self.name, error), status=400)
        text = self._clean(str(error.get("message") or error.get("detail") or error))
        if status in (401, 403):
            return ProviderError(
                f"{self.name} refuses the key it is given ({status}). Enter a valid one in its settings."
            )
        if status in LACKING:
            return ProviderError(f"{self.name} answers {status}: {text or 'it has no such model or path'}", status=404)
        if status == 429:
            wait = response.headers.get("retry-after")
            headers = {"Retry-After": wait} if wait else {}
            return ProviderError(f"{self.name} is asked too often: {text}", status=429, headers=headers)
        if status < 500:
            return ProviderError(f"{self.name} refuses the request: {text or status}", status=400)
        kind = ProviderFailed if status == 500 else ProviderError  # other codes are of whoever stands before it
        return kind(f"{self.name} failed ({status}): {text or 'it does not say why'}")

    def _unreachable(self, reason: str) -> Unreachable:
        where = self._socket or self.base_url
        return Unreachable(f"{self.name} cannot be reached at {where}: {reason or 'the connection failed'}.")

    def _silent(self) -> ProviderError:
        return ProviderError(f"{self.name} was silent for {self._silence_s:g} s.", status=504)

    def _cut(self) -> ProviderError:
        return ProviderError(f"{self.name} cut the connection in the middle of its answer.")

    def _clean(self, text: str) -> str:
        return text.replace(self._api_key, HIDDEN)[:TEXT_LIMIT] if self._api_key != NO_KEY else text[:TEXT_LIMIT]


def _error_of(response: Any) -> dict[str, Any]:
    """Return the error object of a body, whatever its shape."""
    try:
        body = from_json(response.content)
    except ValueError:
        return {"message": str(response.text).strip()}
    error = body.get("error", body) if isinstance(body, dict) else body
    return error if isinstance(error, dict) else {"message": str(error)}


def _too_long(name: str, error: dict[str, Any]) -> str:
    has, takes = error.get("n_prompt_tokens"), error.get("n_ctx")
    counts = f"{has:,} tokens and it reads at most {takes:,}" if has and takes else "more tokens than it reads"
    return f"{name} was sent {counts}. Shorten the conversation or choose a model with a longer context."


async def _read_out(parts: AsyncIterator[bytes]) -> None:
    """Read a finished stream to its last byte, so that the connection is kept for the next call."""
    with suppress(TimeoutError):
        async with asyncio.timeout(READ_OUT_S):
            async for _ in parts:
                pass
