"""The guarded door to addresses users give."""

from typing import Any

import pytest

from apps.core import fetch as door
from apps.core.errors import BadRequest, ProviderError, TooLarge

PRIVATE = [
    "http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://0x7f000001/",
    "http://2130706433/", "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "http://192.168.1.1/",
    "http://172.16.0.1/", "http://100.64.0.1/", "http://0.0.0.0/", "http://127.1/", "http://[fe80::1]/", "http://[fc00::1]/",
    "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://224.0.0.1/",
]  # fmt: skip


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "::1", "::", "::127.0.0.1", "::10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:a00:1::", "fec0::1", "feff::1", "fe80::1%eth0", "fc00::1",
        "ff02::1", "169.254.169.254",
    ],
)  # fmt: skip
def test_an_address_of_a_machine_or_a_network_is_not_public(address: str) -> None:
    assert not door.is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "::1.1.1.1"])
def test_an_address_of_the_world_is_public(address: str) -> None:
    assert door.is_public(address)


@pytest.mark.parametrize("url", PRIVATE)
async def test_private_addresses_are_refused_however_they_are_spelt(url: str) -> None:
    with pytest.raises((BadRequest, ProviderError)) as refused:
        await door.fetch(url)

    assert "root" not in refused.value.detail
    assert isinstance(refused.value, BadRequest) or "cannot be fetched" in refused.value.detail


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "gopher://x", "", "//host", "http://", "http://[", "javascript:1"]
)
async def test_other_schemes_and_nonsense_are_refused(url: str) -> None:
    with pytest.raises(BadRequest):
        await door.fetch(url)


async def test_an_allowed_host_is_fetched(site: str) -> None:
    fetched = await door.fetch(f"{site}/ok")

    assert fetched.body == b"hello"
    assert fetched.content_type.startswith("text/plain")


async def test_a_redirect_to_a_private_address_is_refused(site: str) -> None:
    with pytest.raises(BadRequest, match="private address"):
        await door.fetch(f"{site}/inside")


async def test_redirects_in_a_circle_end(site: str) -> None:
    with pytest.raises(ProviderError):
        await door.fetch(f"{site}/round")


@pytest.mark.parametrize("path", ["/bomb.jsonl", "/endless.jsonl"])
async def test_bodies_are_counted_after_unpacking(site: str, path: str) -> None:
    with pytest.raises(TooLarge, match="larger than 100,000 bytes"):
        await door.fetch(site + path, max_bytes=100_000)


async def test_time_is_limited(site: str, settings: Any) -> None:
    settings.FETCH_TIMEOUT_S = 0.2

    with pytest.raises(ProviderError) as slow:
        await door.fetch(f"{site}/slow.csv")

    assert slow.value.status == 504


async def test_another_status_is_told(site: str) -> None:
    with pytest.raises(BadRequest, match="answered 404"):
        await door.fetch(f"{site}/missing")
