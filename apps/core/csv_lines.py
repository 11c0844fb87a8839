"""Rows as CSV, whose cells no spreadsheet takes for formulas."""

import csv
import io
from collections.abc import Iterable

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets run


def csv_lines(rows: Iterable[Iterable[object]]) -> bytes:
    """Return rows as lines of CSV; None is an empty cell.

    They end as the standard has it, in CR LF: only what a line ends in is quoted inside a cell, a lone CR too.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
