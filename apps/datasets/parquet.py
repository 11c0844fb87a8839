"""Parquet files, with the extra ``parquet``. What this console writes it reads back equal: cells that no column type
can hold as given are written as JSON text, and the file says which columns are so.
"""

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from django.conf import settings
from pydantic_core import from_json, to_json

from apps.core.errors import NotBuiltIn, TooLarge
from apps.datasets import cutting
from apps.datasets.readers import Line, Unreadable

BATCH = 500
OURS = b"stack_console.json_columns"
INT64 = 1 << 63
MISSING = 'Parquet needs the extra "parquet": install stack-console[parquet].'


def read(file: BinaryIO) -> Iterator[Line]:
    """Yield the rows of a Parquet file; raises Unreadable, TooLarge, or NotBuiltIn without the extra."""
    arrow, parquet = _library()
    try:
        table = parquet.ParquetFile(file)
        _check_size(table.metadata)
        kept = (table.schema_arrow.metadata or {}).get(OURS)
        as_json = set(from_json(kept)) if kept is not None else None
        number = 0
        for batch in table.iter_batches(batch_size=BATCH):
            for row in batch.to_pylist():
                number += 1
                yield _line(number, row, as_json)
    except (arrow.ArrowException, OSError) as error:
        raise Unreadable(f"The file is not Parquet, or is broken: {str(error)[:200]}") from error


def _line(number: int, row: dict[str, Any], as_json: set[str] | None) -> Line:
    try:
        if as_json is not None:  # written here: what is null was absent
            row = {
                name: from_json(value) if name in as_json else value for name, value in row.items() if value is not None
            }
        text = to_json(row, inf_nan_mode="null", bytes_mode="base64", fallback=str).decode()
        return Line(number, *cutting.one(text))
    except (ValueError, TooLarge) as error:
        return Line(number, error=str(error))


def _check_size(about: Any) -> None:
    size = sum(about.row_group(at).total_byte_size for at in range(about.num_row_groups))
    if size > settings.DATASET_MAX_BYTES:
        raise TooLarge(
            f"The file unpacks to {size:,} bytes; at most {settings.DATASET_MAX_BYTES:,} (DATASET_MAX_BYTES)."
        )


def kinds(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return for each column what holds all its values: ``text``, ``whole``, ``float``, ``truth`` or ``json``."""
    found: dict[str, str] = {}
    for row in rows:
        for name, value in row.items():
            kind = _kind(value)
            if found.setdefault(name, kind) != kind:
                found[name] = "json"
    return found


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int):
        return "whole" if -INT64 <= value < INT64 else "json"
    return {str: "text", float: "float"}.get(type(value), "json")


def write(file: BinaryIO, columns: dict[str, str], chunks: Iterable[list[dict[str, Any]]]) -> None:
    """Write rows whose columns are of these kinds."""
    arrow, parquet = _library()
    types = {
        "text": arrow.string(), "whole": arrow.int64(), "float": arrow.float64(), "truth": arrow.bool_(),
        "json": arrow.string(),
    }  # fmt: skip
    as_json = [name for name, kind in columns.items() if kind == "json"]
    schema = arrow.schema([(name, types[kind]) for name, kind in columns.items()], metadata={OURS: to_json(as_json)})
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for rows in chunks:
            plain = [
                {name: to_json(value).decode() if columns[name] == "json" else value for name, value in row.items()}
                for row in rows
            ]
            writer.write_table(arrow.Table.from_pylist(plain, schema=schema))


def _library() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise NotBuiltIn(MISSING) from error
    return pyarrow, pyarrow.parquet
