"""What a person sends: text, pictures and papers of the composer as the API's request."""

import base64
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict

from apps.agents import pictures, schemas
from apps.core.errors import BadRequest, TooLarge
from apps.core.widgets import lines_ended

FILE_LIMIT = 5_000_000
TOTAL_LIMIT = 10_000_000
SUFFIXES = {
    ".txt": "text/plain", ".md": "text/markdown", ".csv": "text/csv", ".json": "application/json", ".log": "text/plain",
    ".yaml": "application/yaml", ".yml": "application/yaml", ".xml": "application/xml", ".html": "text/html",
    ".py": "text/plain",
}  # fmt: skip
READABLE = {"application/json", "application/yaml", "application/xml"}
OTHER_NAMES = {"application/x-yaml": "application/yaml", "text/yaml": "application/yaml", "text/xml": "application/xml"}


def request_of(data: QueryDict, files: "Iterable[UploadedFile[Any]]") -> schemas.CreateAgentTurnRequest:
    """Return the turn that was asked for; raises BadRequest or TooLarge with a sentence for the composer."""
    text = lines_ended(
        data.get("message", "").replace("\0", "")
    ).strip()  # no database text can hold a NUL, and nobody types one
    shown, papers = _sorted(list(files))
    if not (text or shown or papers):
        raise BadRequest("Write a message or attach a file.")
    content: Any = text
    if shown:
        content = ([{"type": "text", "text": text}] if text else []) + shown
    choice = data.get("tool_choice", "").replace("\0", "").strip()
    return schemas.CreateAgentTurnRequest.model_validate(
        {
            "messages": [{"role": "user", "content": content}],
            "documents": papers or None,
            "tool_config": {"tool_choice": choice} if choice else None,
        }
    )


def again(input_messages: Any, documents: Any, toolgroups: Any, tool_config: Any) -> schemas.CreateAgentTurnRequest:
    """Return the request that sends the same once more."""
    return schemas.CreateAgentTurnRequest.model_validate(
        {
            "messages": input_messages,
            "documents": documents or None,
            "toolgroups": toolgroups or None,
            "tool_config": tool_config,
        }
    )


def _sorted(files: "list[UploadedFile[Any]]") -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    shown: list[dict[str, Any]] = []
    papers: list[dict[str, Any]] = []
    if sum(file.size or 0 for file in files) > TOTAL_LIMIT:
        raise TooLarge(f"Together the files are over {TOTAL_LIMIT // 1_000_000} MB. Send fewer at once.")
    for file in files:
        if (file.size or 0) > FILE_LIMIT:
            raise TooLarge(f"“{file.name}” is over {FILE_LIMIT // 1_000_000} MB.")
        data = file.read()
        if pictures.kind_of(data):
            shown.append({"type": "image", "image": {"data": base64.b64encode(data).decode()}})
        else:
            papers.append(_paper(file, data))
    return shown, papers


def _paper(file: "UploadedFile[Any]", data: bytes) -> dict[str, Any]:
    name = file.name or "file"
    kind = (file.content_type or "").partition(";")[0].strip().lower()
    kind = OTHER_NAMES.get(kind, kind)
    if not (kind.startswith("text/") or kind in READABLE):
        kind = SUFFIXES.get(PurePath(name).suffix.lower(), kind)
    if not (kind.startswith("text/") or kind in READABLE):
        raise BadRequest(f"“{name}” cannot be sent: pictures (PNG, JPEG, GIF, WebP) and text files can.")
    if b"\0" in data:
        raise BadRequest(f"“{name}” is not text: it holds NUL characters.")
    try:
        # The API's documents have no name: it goes along as the parameter that media types have for it.
        return {"content": data.decode("utf-8-sig"), "mime_type": f'{kind}; name="{_safe(name)}"'}
    except UnicodeDecodeError as error:
        raise BadRequest(f"“{name}” is not text in UTF-8.") from error


def _safe(name: str) -> str:
    return "".join(letter for letter in name if letter.isprintable() and letter not in '"\\')[:200]
