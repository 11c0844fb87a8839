"""The one door to addresses that users give: public hosts only, bounded in size, time and redirects.

The check happens where the connection is made, on the address that is connected to, so neither a redirect nor a name
that resolves differently the second time gets around it.
"""

import asyncio
import hashlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import httpcore2
import httpx2
from django.conf import settings

from apps.core.errors import BadRequest, ProviderError, TooLarge

MAX_REDIRECTS = 3


@dataclass(frozen=True)
class Fetched:
    """What an address answered."""

    body: bytes
    content_type: str
    url: str


class Refused(Exception):
    """The address is not a public one."""


# Private wherever they are used: site-local addresses (deprecated), and a network's own NAT64 (RFC 8215).
LOCAL = (ipaddress.IPv6Network("fec0::/10"), ipaddress.IPv6Network("64:ff9b:1::/48"))
# IPv6 that carries an IPv4 address in its last 32 bits: ::a.b.c.d and what a NAT64 translates (RFC 4291, 6052).
CARRIERS = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b::/96"))


def is_public(address: str) -> bool:
    """Return whether an IP address is reachable by the whole world; IPv4 inside IPv6 is looked at as IPv4."""
    ip: Any = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if any(ip in net for net in LOCAL):
            return False
        ip = ip.ipv4_mapped or ip.sixtofour or _carried(ip) or ip
    return bool(ip.is_global) and not ip.is_multicast


def _carried(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF) if any(ip in net for net in CARRIERS) else None


class PublicOnly(httpcore2.AsyncNetworkBackend):
    """Opens connections to public addresses, and to private hosts the operator named in FETCH_ALLOWED_HOSTS."""

    def __init__(self) -> None:
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the base class names it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a checked address of ``host``; raises Refused when any of its addresses is private."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        if host not in settings.FETCH_ALLOWED_HOSTS and not all(map(is_public, addresses)):
            raise Refused(host)
        return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, path: str, *args: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        """Sockets of this machine are never a user's to name."""
        raise Refused(path)

    async def sleep(self, seconds: float) -> None:
        """Wait before a retry."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True)
class Saved:
    """What an address answered, written to a file."""

    size: int
    sha256: str
    content_type: str
    url: str


async def fetch(url: str, max_bytes: int | None = None) -> Fetched:
    """Return what ``url`` answers.

    Raises BadRequest for an address that is not http(s), not public or not answering 200, TooLarge over the limit,
    ProviderError when it cannot be reached in time.
    """
    limit = max_bytes or settings.FETCH_MAX_BYTES
    async with _opened(url, settings.FETCH_TIMEOUT_S) as response:
        parts = [part async for part in _parts(response, limit, url, "FETCH_MAX_BYTES")]
        return Fetched(b"".join(parts), response.headers.get("content-type", ""), str(response.url))


async def save(
    url: str,
    file: BinaryIO,
    max_bytes: int,
    seconds: float,
    setting: str = "FETCH_MAX_BYTES",
    told: Callable[[int, int | None], None] | None = None,
) -> Saved:
    """Write what ``url`` answers to a file, part by part; raises as ``fetch`` does. ``setting`` names the limit.

    ``told`` hears how many bytes came, and of how many where the server says so.
    """
    digest = hashlib.sha256()
    size = 0
    async with _opened(url, seconds) as response:
        announced = response.headers.get("content-length", "")
        total = int(announced) if announced.isdigit() and "content-encoding" not in response.headers else None
        if total and total > max_bytes:
            raise TooLarge(_over(url, max_bytes, setting))
        async for part in _parts(response, max_bytes, url, setting):
            digest.update(part)
            file.write(part)
            size += len(part)
            if told is not None:
                told(size, total)
        return Saved(size, digest.hexdigest(), response.headers.get("content-type", ""), str(response.url))


@asynccontextmanager
async def _opened(url: str, seconds: float) -> AsyncIterator[httpx2.Response]:
    """Open the answer of a checked address, and put what goes wrong until it is closed into our own words."""
    _check_form(url)
    transport = httpx2.AsyncHTTPTransport(trust_env=False)
    transport._pool._network_backend = PublicOnly()  # the pool takes a backend, httpx has no parameter for it
    client = httpx2.AsyncClient(
        transport=transport,
        trust_env=False,
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
        timeout=settings.FETCH_TIMEOUT_S,
    )
    try:
        async with asyncio.timeout(seconds), client, client.stream("GET", url) as response:
            if response.status_code != 200:
                raise BadRequest(f"'{url}' answered {response.status_code}.")
            yield response
    except Refused as error:
        raise BadRequest(
            f"'{url}' leads to a private address ({error}); the server fetches public ones only. "
            "An operator can allow a host with FETCH_ALLOWED_HOSTS."
        ) from error
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise BadRequest(f"'{url[:200]}' is not a usable address: {error}") from error
    except TimeoutError as error:
        raise ProviderError(f"'{url}' took longer than {seconds:g} s.", status=504) from error
    except (httpx2.HTTPError, OSError) as error:
        raise ProviderError(f"'{url}' cannot be fetched: {error or type(error).__name__}") from error


def _check_form(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadRequest(f"'{url[:200]}' is not an http or https address.")


async def _parts(response: httpx2.Response, limit: int, url: str, setting: str) -> AsyncIterator[bytes]:
    size = 0
    async for part in response.aiter_bytes():  # unpacked bytes are counted, so a compressed bomb stops here too
        size += len(part)
        if size > limit:
            raise TooLarge(_over(url, limit, setting))
        yield part


def _over(url: str, limit: int, setting: str) -> str:
    return f"'{url}' is larger than {limit:,} bytes (setting {setting})."
