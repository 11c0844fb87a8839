"""Pictures inside messages: found, and given out from here so that no page loads anything from elsewhere."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apps.core.numbers import whole

# The first bytes of the kinds a browser may show; anything else (SVG above all, which runs script) becomes a link.
MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


@dataclass(frozen=True)
class Picture:
    """A picture of a message: ``key`` addresses it when its bytes are here, ``uri`` is where it is otherwise."""

    key: str = ""
    uri: str = ""

    @property
    def is_link(self) -> bool:
        """Whether the address may be a link: whoever sends a message chooses it, and some schemes run script."""
        return self.uri.lower().startswith(("http://", "https://"))


def of(content: Any, place: int) -> Iterator[Picture]:
    """Yield the pictures of the message at ``place``."""
    for index, item in enumerate(_items(content)):
        source = item.get("image") or {}
        uri = (source.get("url") or {}).get("uri", "")
        if source.get("data") or uri.startswith("data:"):
            yield Picture(key=f"{place}-{index}")
        elif uri:
            yield Picture(uri=uri)


def read(messages: list[dict[str, Any]], key: str) -> tuple[bytes, str] | None:
    """Return the bytes and media type of a picture by its key; None when there is none that may be shown."""
    first, _, second = key.partition("-")
    place, index = whole(first), whole(second)
    if place is None or index is None or place >= len(messages):
        return None
    items = list(_items(messages[place].get("content")))
    source = items[index].get("image") or {} if index < len(items) else {}
    text = source.get("data") or (source.get("url") or {}).get("uri", "").partition(",")[2]
    try:
        data = base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError):
        return None
    kind = kind_of(data)
    return (data, kind) if kind else None


def kind_of(data: bytes) -> str | None:
    """Return the media type told by the first bytes, None for what browsers must not show."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in MAGIC.items() if data.startswith(magic)), None)


def _items(content: Any) -> Iterator[dict[str, Any]]:
    for item in content if isinstance(content, list) else [content]:
        if isinstance(item, dict) and item.get("type") == "image":
            yield item
