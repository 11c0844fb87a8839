"""Many rows in few statements, past the ORM: telemetry comes by the thousand."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from django.db import connection, models

T = TypeVar("T")
PARAMETERS = 20_000  # of one statement; SQLite takes 32,766 and Postgres 65,535
Row = Sequence[Any]


def chunked(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield the items in slices of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def clean(text: str) -> str:
    """Return text any database can hold: without NUL characters and halves of characters."""
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()


def insert(model: type[models.Model], columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert rows by the fastest way the database has."""
    if not rows:
        return
    table, names = model._meta.db_table, ", ".join(columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            places = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", rows)


def insert_returning(
    model: type[models.Model], columns: Sequence[str], rows: Sequence[Row], *returned: str
) -> Iterator[tuple[Any, ...]]:
    """Insert rows and yield the named columns and the primary key of those that were not there yet."""
    table, names = model._meta.db_table, ", ".join(columns)
    places = f"({', '.join(['%s'] * len(columns))})"
    for some in chunked(rows, PARAMETERS // len(columns)):
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({names}) VALUES {', '.join([places] * len(some))} "
                f"ON CONFLICT DO NOTHING RETURNING {', '.join(returned)}, id",
                [value for row in some for value in row],
            )
            yield from cursor.fetchall()


def update(model: type[models.Model], columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Give rows other values; each row of values ends in the primary key."""
    if not rows:
        return
    changes = ", ".join(f"{name} = %s" for name in columns)
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {model._meta.db_table} SET {changes} WHERE id = %s", rows)
