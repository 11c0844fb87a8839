"""Where rows may be read from: text in the address itself, the web, the data folder, Hugging Face. Nowhere else.

Whatever the source, the result is a file to read once, with its format.
"""

import base64
import binascii
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qs, quote, unquote_to_bytes, urlsplit

from django.conf import settings
from pydantic_core import from_json

from apps.core.errors import BadRequest, ConsoleError, NotBuiltIn, ProviderError
from apps.core.fetch import Saved, fetch, save
from apps.datasets import readers

SCHEMES = "data:, http(s)://, lsfs:// or huggingface://"
Told = Callable[[int, int | None], None]


@dataclass
class Found:
    """A file that was opened, or fetched into a temporary one; ``about`` is what is remembered of it."""

    file: BinaryIO
    kind: str
    charset: str = ""
    size: int = 0
    about: dict[str, Any] = field(default_factory=dict)


def check(uri: str) -> None:
    """Raise BadRequest for an address no rows can come from, before anything is opened."""
    scheme = uri.partition(":")[0].lower()
    if "\0" in uri or len(uri) > settings.MAX_BODY_BYTES:
        raise BadRequest("source.uri: not a usable address")
    if scheme == "lsfs":
        local_path(uri)
    elif scheme == "huggingface":
        hub_name(uri)
    elif scheme == "data":
        data_kind(uri)
    elif scheme not in ("http", "https"):
        raise BadRequest(f"source.uri: rows are read from {SCHEMES}; files of the server are never named by path.")


def size_hint(uri: str) -> int | None:
    """Return how many bytes will be read, where that can be known without asking anybody."""
    if uri.startswith("lsfs://"):
        return local_path(uri).stat().st_size
    return len(uri) if uri[:5].lower() == "data:" else None


async def opened(uri: str, max_bytes: int, seconds: float, told: Told | None = None) -> Found:
    """Return what an address holds.

    Raises BadRequest, TooLarge over ``max_bytes``, NotBuiltIn for a format this server lacks, and ProviderError when
    a server does not answer.
    """
    scheme = uri.partition(":")[0].lower()
    if scheme == "data":
        return _data(uri)
    if scheme == "lsfs":
        return _local(uri)
    if scheme == "huggingface":
        return await _hub(uri, max_bytes, seconds, told)
    return await _web(uri, max_bytes, seconds, told)


def data_kind(uri: str) -> tuple[str, str, bool]:
    """Return format, charset and whether base64 of a ``data:`` address; raises BadRequest."""
    head, comma, _ = uri[5:].partition(",")
    mime, *options = head.split(";")
    kind = readers.kind_of_mime(mime)
    if not comma or kind is None:
        raise BadRequest(f"source.uri: 'data:{head[:60]}' is not {readers.KNOWN} in a data: address")
    charset = next((option[8:] for option in options if option.lower().startswith("charset=")), "")
    return kind, charset.strip('"'), any(option.strip().lower() == "base64" for option in options)


def _data(uri: str) -> Found:
    kind, charset, is_base64 = data_kind(uri)
    payload = uri.partition(",")[2]
    try:
        body = unquote_to_bytes(payload)
        if is_base64:
            body = base64.b64decode(body + b"=" * (-len(body) % 4), validate=True)
    except binascii.Error as error:
        raise BadRequest(f"source.uri: the data is not base64: {error}") from error
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - whoever reads it closes it
    file.write(body)
    file.seek(0)
    return Found(file, kind, charset, len(body), {"sha256": hashlib.sha256(body).hexdigest()})


def local_path(uri: str) -> Path:
    """Return the file an ``lsfs://`` address names; raises BadRequest outside the folder, or where there is none."""
    root = Path(settings.DATASET_FILES_DIR).resolve()
    name = uri[len("lsfs://") :]
    refusal = BadRequest(f"source.uri: no file '{name[:200]}' in the folder for datasets")
    if not name or name.startswith("/") or ".." in Path(name).parts or "\\" in name:
        raise refusal
    try:
        path = (root / name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise refusal from error
    if not path.is_relative_to(root) or not path.is_file():
        raise refusal
    if readers.kind_of_name(path.name) is None:
        raise BadRequest(f"source.uri: '{path.name}' does not end like a file of {readers.KNOWN}")
    return path


def _local(uri: str) -> Found:
    path = local_path(uri)
    size = path.stat().st_size
    return Found(path.open("rb"), readers.kind_of_name(path.name) or "", size=size)


async def _web(uri: str, max_bytes: int, seconds: float, told: Told | None) -> Found:
    file = cast(BinaryIO, tempfile.TemporaryFile(dir=_folder()))  # noqa: SIM115 - the same
    try:
        saved = await save(uri, file, max_bytes, seconds, "DATASET_MAX_BYTES", told)
        kind = _kind_on_the_web(saved, uri)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    charset = next(
        (part.strip()[8:].strip('"') for part in saved.content_type.split(";")[1:] if "charset=" in part.lower()), ""
    )
    return Found(file, kind, charset, saved.size, {"sha256": saved.sha256, "url": saved.url})


def _kind_on_the_web(saved: Saved, uri: str) -> str:
    names = (urlsplit(saved.url).path, urlsplit(uri).path)
    kind = readers.kind_of_mime(saved.content_type)
    kind = kind or next((found for name in names if (found := readers.kind_of_name(name))), None)
    if kind is None:
        told = saved.content_type or "no content type"
        raise BadRequest(f"source.uri: '{uri[:200]}' answered {told}, and its name tells no format: {readers.KNOWN}")
    return kind


def hub_name(uri: str) -> tuple[str, dict[str, str]]:
    """Return ``owner/name`` and the options of a ``huggingface://`` address; raises BadRequest."""
    parts = urlsplit(uri)
    names = [name for name in f"{parts.netloc}{parts.path}".split("/") if name]
    if names[:1] == ["datasets"]:
        names = names[1:]
    if not 1 <= len(names) <= 2 or any(name in (".", "..") for name in names):
        raise BadRequest("source.uri: a Hugging Face address reads huggingface://datasets/<owner>/<name>?split=…")
    return "/".join(names), {name: values[0] for name, values in parse_qs(parts.query).items()}


async def _hub(uri: str, max_bytes: int, seconds: float, told: Told | None) -> Found:
    """Fetch the hub's own Parquet copy of a split."""
    name, options = hub_name(uri)
    try:
        listing = await fetch(f"{settings.HUGGINGFACE_URL}/api/datasets/{quote(name)}/parquet", 5_000_000)
        urls = _split(name, from_json(listing.body), options)
        if len(urls) > 1:
            raise NotBuiltIn(
                f"'{name}' comes in {len(urls)} files; splits of one file are read. Fetch it as a file first."
            )
        found = await _web(urls[0], max_bytes, seconds, told)
    except (BadRequest, NotBuiltIn):
        raise
    except ConsoleError as error:
        raise ProviderError(
            f"Hugging Face cannot be reached, so '{name}' was not read: {error.detail} "
            "Without a way to the internet, put the file into the folder for datasets and name it lsfs://…",
            status=error.status if error.status in (502, 504) else 502,
        ) from error
    except ValueError as error:
        raise ProviderError(f"Hugging Face answered something that is no list of files for '{name}'.") from error
    found.kind = "parquet"
    return found


def _split(name: str, listing: Any, options: dict[str, str]) -> list[str]:
    """Return the addresses of the files of the split asked for, the only one, or ``train``."""
    configs = listing if isinstance(listing, dict) else {}
    config = options.get("name") or ("default" if "default" in configs else next(iter(configs), ""))
    splits = configs.get(config)
    if not isinstance(splits, dict) or not splits:
        raise BadRequest(
            f"source.uri: '{name}' has no configuration '{config}'. It has: {', '.join(configs) or 'none'}."
        )
    split = options.get("split") or (next(iter(splits)) if len(splits) == 1 else "train")
    urls = splits.get(split)
    if not isinstance(urls, list) or not urls:
        raise BadRequest(f"source.uri: '{name}' has no split '{split}'. It has: {', '.join(splits)}.")
    return [str(url) for url in urls]


def _folder() -> Path:
    folder = Path(settings.DATASET_UPLOADS_DIR)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
