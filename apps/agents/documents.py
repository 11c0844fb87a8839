"""Documents of a turn: what the model gets to read of them (SEMANTICS: literal text, addresses, data, pictures)."""

import base64
import binascii
from typing import Any
from urllib.parse import unquote_to_bytes

from apps.agents.schemas import Document
from apps.core.content import URL, ImageContentItem, TextContentItem
from apps.core.errors import BadRequest
from apps.core.fetch import fetch

TEXT_TYPES = {"application/yaml", "application/x-yaml", "application/json", "application/xml"}


async def read(documents: list[Document]) -> list[dict[str, Any]]:
    """Return the documents as content items in the spec's JSON form: text, or a picture as data.

    Raises BadRequest naming the document whose type or address cannot be read, TooLarge, ProviderError.
    """
    items: list[dict[str, Any]] = []
    for number, document in enumerate(documents, start=1):
        items += await _read_one(document, number)
    return items


async def _read_one(document: Document, number: int) -> list[dict[str, Any]]:
    content = document.content
    if isinstance(content, str):
        return [_text(content)] if content else []
    if isinstance(content, URL):
        return [await _read_uri(content.uri, document.mime_type, number)]
    parts = content if isinstance(content, list) else [content]
    assert all(isinstance(part, TextContentItem | ImageContentItem) for part in parts)
    return [part.model_dump(mode="json", exclude_none=True) for part in parts]


async def _read_uri(uri: str, mime_type: str, number: int) -> dict[str, Any]:
    scheme = uri.partition(":")[0].lower()
    if scheme == "data":
        body, found = _data(uri, number)
    elif scheme in ("http", "https"):
        _check_type(mime_type, number)
        fetched = await fetch(uri)
        body, found = fetched.body, fetched.content_type
    else:
        raise BadRequest(f"documents.{number - 1}.content.uri: '{scheme}:' cannot be read; use http, https or data.")
    kind = _check_type(mime_type or found, number)
    if kind.startswith("image/"):
        data = base64.b64encode(body).decode()
        return {"type": "image", "image": {"url": {"uri": f"data:{kind};base64,{data}"}}}
    return _text(body.decode("utf-8", errors="replace").replace("\0", ""))


def _check_type(mime_type: str, number: int) -> str:
    kind = mime_type.partition(";")[0].strip().lower()
    if kind.startswith(("text/", "image/")) or kind in TEXT_TYPES:
        return kind
    raise BadRequest(
        f"documents.{number - 1}.mime_type: '{mime_type}' cannot be read. Readable: text/*, application/json, "
        "application/yaml, application/xml and image/*."
    )


def _data(uri: str, number: int) -> tuple[bytes, str]:
    """Return the bytes and the media type of a data address (RFC 2397)."""
    head, comma, payload = uri[5:].partition(",")
    if not comma:
        raise BadRequest(f"documents.{number - 1}.content.uri: a data address needs a comma before its data.")
    kind, _, _ = head.partition(";")
    if not head.endswith(";base64"):
        return unquote_to_bytes(payload), kind or "text/plain"
    try:
        return base64.b64decode(payload, validate=True), kind or "text/plain"
    except binascii.Error as error:
        raise BadRequest(f"documents.{number - 1}.content.uri: the data is not base64 ({error}).") from error


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
