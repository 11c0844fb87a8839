"""Rows out of the store as a file: JSON Lines as they are, JSON, CSV, Parquet."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from pydantic_core import to_json

from apps.datasets import parquet

Chunks = Callable[[], Iterable[list[str]]]
KINDS = {
    "jsonl": ("application/x-ndjson", "JSON Lines"),
    "json": ("application/json", "JSON"),
    "csv": ("text/csv; charset=utf-8", "CSV"),
    "parquet": ("application/vnd.apache.parquet", "Parquet"),
}


def write(file: BinaryIO, kind: str, chunks: Chunks) -> None:
    """Write rows to a file; ``chunks`` gives their texts from the first on, each time it is called."""
    if kind == "parquet":
        values = (_values(texts) for texts in chunks())
        columns = parquet.kinds(row for rows in values for row in rows)
        parquet.write(file, columns or {"empty": "json"}, (_values(texts) for texts in chunks()))
        return
    for part in parts(kind, chunks):
        file.write(part)


def parts(kind: str, chunks: Chunks) -> Iterator[bytes]:
    """Yield the file in pieces, for the formats that need no look ahead but for CSV's columns."""
    if kind == "jsonl":
        for texts in chunks():
            if texts:
                yield "".join(f"{text}\n" for text in texts).encode()
    elif kind == "json":
        yield from _array(chunks)
    else:
        yield from _csv(chunks)


def _array(chunks: Chunks) -> Iterator[bytes]:
    comma = "["
    for texts in chunks():
        if texts:
            yield (comma + ",\n".join(texts)).encode()
            comma = ",\n"
    yield b"[]\n" if comma == "[" else b"]\n"


def _csv(chunks: Chunks) -> Iterator[bytes]:
    """Yield CSV: text as it is, anything else as JSON; columns in the order they are first met."""
    columns = list(dict.fromkeys(name for texts in chunks() for row in _values(texts) for name in row))
    if columns:
        yield _table([columns])
    for texts in chunks():
        yield _table([_cell(row[name]) if name in row else "" for name in columns] for row in _values(texts))


def _table(rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def _values(texts: list[str]) -> list[dict[str, Any]]:
    return [json.loads(text) for text in texts]
