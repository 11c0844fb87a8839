"""Files read row by row: CSV, JSON, JSON Lines; Parquet and Excel have modules of their own.

At most one row and one part of a file are in memory.

A reader yields what it finds at each line, good or bad; what no longer makes sense after a fault raises Unreadable.
"""

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from django.conf import settings
from pydantic_core import to_json

from apps.core.errors import BadRequest, TooLarge
from apps.datasets import cutting

PART = 1 << 18
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
MIMES = {
    "csv": ("text/csv", "csv", "application/csv", "text/comma-separated-values"),
    "json": ("application/json", "json", "text/json"),
    "jsonl": ("application/jsonl", "application/x-ndjson", "application/x-jsonlines", "application/ndjson", "jsonl",
              "ndjson", "application/jsonlines", "text/jsonl"),
    "parquet": ("application/vnd.apache.parquet", "application/x-parquet", "parquet"),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", "application/vnd.ms-excel"),
}  # fmt: skip
SUFFIXES = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
            ".xlsx": "xlsx", ".xls": "xlsx"}  # fmt: skip
KNOWN = "CSV, JSON, JSON Lines, Parquet or Excel (.xlsx)"


class Unreadable(BadRequest):
    """The file as a whole, or from some line on, cannot be read."""


@dataclass(slots=True)
class Line:
    """What stands at one line (or place in a list): a row with its text, or why there is none."""

    number: int
    value: Any = None
    text: str = ""
    error: str = ""


def kind_of_mime(mime: str) -> str | None:
    """Return the format a media type names."""
    bare = mime.partition(";")[0].strip().lower()
    return next((kind for kind, names in MIMES.items() if bare in names), None)


def kind_of_name(name: str) -> str | None:
    """Return the format a file name or an address ends with."""
    return next((kind for suffix, kind in SUFFIXES.items() if name.lower().endswith(suffix)), None)


def read(file: BinaryIO, kind: str, charset: str = "") -> Iterator[Line]:
    """Yield the lines of a file; raises Unreadable, TooLarge, or NotBuiltIn for a format this server lacks."""
    if kind == "parquet":
        from apps.datasets import parquet  # pyarrow is an extra, and heavy

        yield from parquet.read(file)
        return
    if kind == "xlsx":
        from apps.datasets import excel  # it makes lines of its own, as Parquet does

        yield from excel.read(file)
        return
    reader = {"csv": _csv, "json": _json, "jsonl": _json_lines}[kind]
    try:
        yield from reader(_utf8(file, charset))
    except LookupError as error:
        raise Unreadable(f"The encoding '{charset}' is not known.") from error


def strictly(lines: Iterator[Line]) -> Iterator[Line]:
    """Yield the rows, and raise Unreadable with its number at the first bad one."""
    for line in lines:
        if line.error:
            raise Unreadable(f"Line {line.number}: {line.error}")
        yield line


class _Recoded:
    """A file in another encoding, read as UTF-8."""

    def __init__(self, file: BinaryIO, charset: str) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder(charset)().decode
        self._ended = False

    def read(self, size: int) -> bytes:
        while not self._ended:
            part = self._file.read(size)
            self._ended = not part
            try:
                text = self._decode(part, self._ended)
            except UnicodeError as error:
                raise Unreadable(f"The file is not what its encoding says: {error}") from error
            if text:
                return text.encode("utf-8", "surrogatepass")
        return b""


def _utf8(file: BinaryIO, charset: str) -> Any:
    """Return something whose ``read`` gives UTF-8 without a byte-order mark; what was said wins over a guess."""
    start = file.read(4)
    file.seek(0)
    found = next((name for bom, name in BOMS if start.startswith(bom)), "")
    charset = found or charset
    if not charset or codecs.lookup(charset).name in ("utf-8", "ascii"):
        return file
    return _Recoded(file, charset)


def _lines(file: Any) -> Iterator[tuple[int, bytes]]:
    """Yield numbered lines, whichever way they end; a line over the limit for a row raises TooLarge."""
    number, rest = 0, b""
    while part := file.read(PART):
        lines = (rest + part).splitlines(keepends=True)
        # The last one may go on, and a carriage return may be the first half of an ending.
        rest = lines.pop() if not lines[-1].endswith(b"\n") else b""
        for line in lines:
            number += 1
            yield number, line
        if len(rest) > settings.DATASET_MAX_ROW_BYTES:
            raise TooLarge(f"Line {number + 1} is longer than {settings.DATASET_MAX_ROW_BYTES:,} bytes.")
    if rest:
        yield number + 1, rest


def _text(number: int, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"Line {number} is not UTF-8 (byte {raw[error.start]:#04x}). Save the file as UTF-8."
        ) from error


def _json_lines(file: Any) -> Iterator[Line]:
    for number, raw in _lines(file):
        if raw.strip():
            yield _line(number, partial(cutting.one, _text(number, raw)))


def _line(number: int, make: Callable[[], tuple[Any, str]]) -> Line:
    try:
        value, text = make()
    except TooLarge as error:
        return Line(number, error=error.detail)
    except json.JSONDecodeError as error:  # its own line number counts within this line
        return Line(number, error=f"not a JSON object: {error.msg} at column {error.colno}")
    except ValueError as error:
        return Line(number, error=f"not a JSON object: {error}" if "a row must be" not in str(error) else str(error))
    return Line(number, value, text)


def _json(file: Any) -> Iterator[Line]:
    decode = codecs.getincrementaldecoder("utf-8")().decode
    first = file.read(PART)
    if first.lstrip()[:1] == b"{":  # many .json files hold one object a line
        yield from _json_lines(_Begun(first, file))
        return

    def parts() -> Iterator[str]:
        part = first
        while part:
            yield decode(part)
            part = file.read(PART)
        yield decode(b"", True)

    number = 0
    try:
        for number, value, text in cutting.stream(filter(None, parts()), settings.DATASET_MAX_ROW_BYTES):
            yield _line(number, lambda: (value, cutting.checked(value, text)))  # noqa: B023 - called at once
    except UnicodeDecodeError as error:
        raise Unreadable(f"The file is not UTF-8: {error.reason} after line {number}.") from error
    except ValueError as error:
        raise Unreadable(f"The file is not JSON {error}") from error


class _Begun:
    """A file whose beginning was read already."""

    def __init__(self, first: bytes, file: Any) -> None:
        self._first = io.BytesIO(first)
        self._file = file

    def read(self, size: int) -> bytes:
        return self._first.read(size) or bytes(self._file.read(size))


def _csv(file: Any) -> Iterator[Line]:
    csv.field_size_limit(settings.DATASET_MAX_ROW_BYTES)
    lines = _csv_lines(file)
    first = next(lines, "")
    if not first.strip():
        return
    records = _records(csv.reader(_chain(first, lines), delimiter=_delimiter(first), strict=True))
    header = _header(next(records)[1])
    for number, cells in records:
        if cells:
            yield _record(number, header, cells)


def _records(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each record with the line it begins at."""
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise Unreadable(f"The row that begins at line {number} {_why_no_csv(str(error))}.") from error
        if cells is None:
            return
        yield number, cells


def _why_no_csv(told: str) -> str:
    if "end of data" in told:
        return "opens a quote that is never closed"
    if "field limit" in told:
        return f"has a cell of more than {settings.DATASET_MAX_ROW_BYTES:,} characters, or a quote that is never closed"
    return f"is not CSV: {told}"


def _record(number: int, header: list[str], cells: list[str]) -> Line:
    if len(cells) > len(header):
        return Line(number, error=f"has {len(cells)} cells, the header has {len(header)}")
    value = dict(zip(header, cells, strict=False))  # cells that are not there stay absent
    return _line(number, lambda: (value, cutting.checked(value, to_json(value).decode())))


def _csv_lines(file: Any) -> Iterator[str]:
    for number, raw in _lines(file):
        if b"\0" in raw:
            raise Unreadable(f"Line {number} holds a NUL character: this is not a text file.")
        yield _text(number, raw).removeprefix("\ufeff") if number == 1 else _text(number, raw)


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _delimiter(header: str) -> str:
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t", key=bare.count)


def _header(cells: list[str]) -> list[str]:
    names = [cell.strip() or f"column {at}" for at, cell in enumerate(cells, 1)]
    [(most, times)] = Counter(names).most_common(1) or [("", 0)]
    if times > 1:
        raise Unreadable(f"The first line names the column '{most[:80]}' twice.")
    return names
