"""Rows as CSV that any program reads back, and no spreadsheet runs."""

import csv
import io
from typing import Any

import pytest

from apps.core.csv_lines import FORMULA, csv_lines


@pytest.mark.parametrize("newline", ["", None])
@pytest.mark.parametrize("value", ["x\r=1+1", "x\n=1+1", "x\r\n=1+1", "\r=1+1", "\r", 'say "x\r"', "a,b"])
def test_a_cell_with_an_end_of_line_stays_one_cell(value: str, newline: Any) -> None:
    text = csv_lines([["before", value, 1], ["next", None, 2]]).decode()

    read = list(csv.reader(io.StringIO(text, newline=newline)))

    assert [(row[0], row[2]) for row in read] == [("before", "1"), ("next", "2")]
    assert not any(cell.startswith(FORMULA) for row in read for cell in row)
    if newline == "" and not value.startswith(FORMULA):
        assert read[0][1] == value


@pytest.mark.parametrize("mark", FORMULA)
def test_what_a_spreadsheet_would_run_stands_behind_a_quote(mark: str) -> None:
    text = csv_lines([[f"{mark}1+1", -1, "1-1"]]).decode()

    assert next(csv.reader(io.StringIO(text, newline=""))) == [f"'{mark}1+1", "-1", "1-1"]
