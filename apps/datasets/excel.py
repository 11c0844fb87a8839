"""Excel files (.xlsx), read row by row: the first sheet that is shown, its first filled row as the header.

Written by hand because such a file is a stranger's zip of XML: what is read stays bounded whatever it says of itself,
where libraries make room for every cell between the first and the last one named.
"""

import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import IO, Any, BinaryIO
from xml.parsers import expat

from django.conf import settings
from pydantic_core import to_json

from apps.core.errors import ConsoleError, TooLarge
from apps.datasets import cutting
from apps.datasets.readers import Line, Unreadable

PART = 1 << 16
UNPACKED = 300_000_000  # bytes of XML that a part of a file may hold
STRINGS = 150_000_000  # bytes of shared text, which is held while the rows are read
STRING = 50  # bytes a text takes beside its characters
DIRECTORY = 10_000_000  # bytes of the list of parts, which is read whole
COLUMNS = 16_384
LAST_DAY = 2_950_000  # in the year 9976
DATES = {14, 15, 16, 17, 18, 19, 20, 21, 22, 45, 46, 47}  # numbers of built-in formats, ECMA-376 18.8.30
LITERAL = re.compile(r'"[^"]*"|\\.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
PLACE = re.compile(r"([A-Z]{1,3})[0-9]{1,7}")
BROKEN = (
    zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError, OSError, LookupError, ValueError, RuntimeError,
    NotImplementedError,
)  # fmt: skip
Cells = dict[int, Any]
Event = tuple[str, str, dict[str, str]]


def read(file: BinaryIO) -> Iterator[Line]:
    """Yield the rows of the first visible sheet; raises Unreadable or TooLarge."""
    size = 0
    try:
        _check_directory(file)
        with zipfile.ZipFile(file) as book:
            for line in _rows(book):
                size += len(line.text)  # cells share their text: few bytes can say it a million times
                if size > settings.DATASET_MAX_BYTES:
                    raise TooLarge(f"The rows take more than {settings.DATASET_MAX_BYTES:,} bytes (DATASET_MAX_BYTES).")
                yield line
    except ConsoleError:
        raise
    except BROKEN as error:
        raise Unreadable(f"The file is not .xlsx, or is broken: {str(error)[:200]}. Save it as CSV.") from error


def _check_directory(file: BinaryIO) -> None:
    """Raise before the list of parts is read when it is longer than that of any workbook."""
    file.seek(0, io.SEEK_END)
    file.seek(max(0, file.tell() - 66_000))
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0:
        raise zipfile.BadZipFile("it is no zip")
    is_zip64 = tail[max(0, at - 20) : at].startswith(b"PK\6\7")
    if is_zip64 or int.from_bytes(tail[at + 12 : at + 16], "little") > DIRECTORY:
        raise TooLarge("The file lists more parts than a workbook has.")


def _rows(book: zipfile.ZipFile) -> Iterator[Line]:
    path, epoch = _first_sheet(book)
    sheet = _Sheet(_strings(book), _date_styles(book), epoch)
    header: dict[int, str] = {}
    for number, cells in sheet.rows(_events(book, path)):
        if not header:
            header = _header(cells)
        elif beyond := cells.keys() - header.keys():
            yield Line(number, error=f"has a cell in column {min(beyond) + 1}, which the header does not name")
        else:
            yield _line(number, {name: cells[at] for at, name in header.items() if at in cells})


def _line(number: int, value: dict[str, Any]) -> Line:
    try:
        return Line(number, value, cutting.checked(value, to_json(value).decode()))
    except TooLarge as error:
        return Line(number, error=error.detail)
    except ValueError as error:
        return Line(number, error=str(error))


def _header(cells: Cells) -> dict[int, str]:
    names = {at: str(cell).strip() or f"column {at + 1}" for at, cell in cells.items()}
    [(most, times)] = Counter(names.values()).most_common(1)
    if times > 1:
        raise Unreadable(f"The first row names the column '{most[:80]}' twice.")
    return names


class _Sheet:
    """Makes rows of the events of a sheet."""

    def __init__(self, strings: list[str], dates: list[bool], epoch: datetime) -> None:
        self.strings = strings
        self.dates = dates
        self.epoch = epoch

    def rows(self, events: Iterator[Event]) -> Iterator[tuple[int, Cells]]:
        """Yield the number and the filled cells of each row that has any."""
        number, at, cells, size = 0, -1, Cells(), 0
        about: dict[str, str] = {}
        text: list[str] | None = None  # of the cell's value, while inside of it
        value = ""
        for kind, name, given in events:
            if kind == "text":
                if text is not None:
                    size += len(name)
                    text.append(name)
                    _check_row(number, size)
            elif name == "row":
                if kind == "end" and cells:
                    yield number, cells
                number = int(given.get("r", number + 1)) if kind == "start" else number
                at, cells, size = -1, {}, 0
            elif name == "c" and kind == "start":
                about, at, value = given, _column(given.get("r", ""), at), ""
            elif name == "c":
                if value or about.get("t") in ("inlineStr", "str"):
                    cells[at] = told = self._value(about, value)
                    size += len(told) if isinstance(told, str) else 1
                    _check_row(number, size)
            elif name in ("v", "t"):
                value += "".join(text or ()) if kind == "end" else ""
                text = [] if kind == "start" else None

    def _value(self, about: dict[str, str], text: str) -> Any:
        match about.get("t", "n"):
            case "s":
                return self.strings[int(text)]
            case "b":
                return text.strip() == "1"
            case "n":
                style = int(about.get("s", 0))
                return self._moment(text) if self._is_date(style) else _number(text)
            case "e":  # such as #N/A
                return None
            case "d":
                return text
        return _unescaped(text)

    def _is_date(self, style: int) -> bool:
        return 0 <= style < len(self.dates) and self.dates[style]

    def _moment(self, text: str) -> Any:
        """Return a date, a time, or both, in the words of ISO 8601; a number no calendar has stays one."""
        days = float(text)
        if not 0 <= days < LAST_DAY:
            return _number(text)
        # Excel believes that 1900 had a 29th of February.
        shift = 1 if self.epoch.year == 1899 and 1 <= days < 60 else 0
        moment = (self.epoch + timedelta(days=days + shift, milliseconds=500)).replace(microsecond=0)
        if days < 1:
            return moment.time().isoformat()
        return moment.date().isoformat() if days == int(days) else moment.isoformat()


def _number(text: str) -> int | float | None:
    if re.fullmatch(r"-?[0-9]+", text):
        return int(text)
    number = float(text)
    return number if number - number == 0 else None  # what is no number becomes null, as in every file


def _check_row(number: int, size: int) -> None:
    if size > settings.DATASET_MAX_ROW_BYTES:
        raise TooLarge(f"Row {number} is longer than {settings.DATASET_MAX_ROW_BYTES:,} bytes.")


def _column(place: str, before: int) -> int:
    """Return the index of the column a cell names, else the next one."""
    found = PLACE.fullmatch(place)
    at = before
    if found is None:
        at += 1
    else:
        at = -1
        for letter in found[1]:
            at = (at + 1) * 26 + ord(letter) - 65
    if at >= COLUMNS:
        raise Unreadable(f"A cell stands at {place or at}, beyond the last column of a sheet.")
    return at


def _first_sheet(book: zipfile.ZipFile) -> tuple[str, datetime]:
    """Return the part that holds the first visible sheet, and the day from which its dates count."""
    wanted, epoch = "", datetime(1899, 12, 30)
    for kind, name, given in _events(book, "xl/workbook.xml"):
        if kind == "start" and name == "sheet" and not wanted and given.get("state", "visible") == "visible":
            wanted = next((value for key, value in given.items() if key.rpartition(":")[2] == "id"), "")
        if name == "workbookPr" and given.get("date1904") in ("1", "true"):
            epoch = datetime(1904, 1, 1)
    for _, name, given in _events(book, "xl/_rels/workbook.xml.rels"):
        if wanted and name == "Relationship" and given.get("Id") == wanted:
            target = given.get("Target", "")
            return target.removeprefix("/") if target.startswith("/") else f"xl/{target}", epoch
    raise Unreadable("The file holds no sheet with cells.")


def _strings(book: zipfile.ZipFile) -> list[str]:
    """Return the text that cells share; how it is written and how it is pronounced is left out."""
    found: list[str] = []
    size, text, is_inside, aside = 0, "", False, False
    for kind, name, _ in _events(book, "xl/sharedStrings.xml", optional=True):
        if kind == "text" and is_inside and not aside:
            text += name
            size += len(name)
            if size > STRINGS:
                raise TooLarge("The file holds more text than is read of an Excel file. Save the sheet as CSV.")
        elif name == "t":
            is_inside = kind == "start"
        elif name == "rPh":
            aside = kind == "start"
        elif name == "si" and kind == "end":
            found.append(_unescaped(text))
            text, size = "", size + STRING
    return found


def _date_styles(book: zipfile.ZipFile) -> list[bool]:
    """Return for each style of cells whether it shows a date or a time."""
    formats, styles, is_inside = set(DATES), list[bool](), False
    for kind, name, given in _events(book, "xl/styles.xml", optional=True):
        if kind == "start" and name == "numFmt":
            code = LITERAL.sub("", given.get("formatCode", ""))
            if re.search("[ymdhs]", code, re.IGNORECASE) and "general" not in code.lower():
                formats.add(int(given.get("numFmtId", 0)))
        if name == "cellXfs":
            is_inside = kind == "start"
        if is_inside and kind == "start" and name == "xf":
            styles.append(int(given.get("numFmtId", 0)) in formats)
    return styles


def _unescaped(text: str) -> str:
    return ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def _events(book: zipfile.ZipFile, path: str, *, optional: bool = False) -> Iterator[Event]:
    """Yield what stands in a part of the file: ``start`` and ``end`` of elements without prefix, and ``text``."""
    if optional and path not in book.NameToInfo:
        return
    about = book.getinfo(path)
    if about.file_size > UNPACKED:
        raise TooLarge(f"The file unpacks to {about.file_size:,} bytes; at most {UNPACKED:,}. Save the sheet as CSV.")
    found: list[Event] = []
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, given: found.append(("start", name.rpartition(":")[2], given))
    parser.EndElementHandler = lambda name: found.append(("end", name.rpartition(":")[2], {}))
    parser.CharacterDataHandler = lambda text: found.append(("text", text, {}))
    parser.StartDoctypeDeclHandler = _refuse_doctype
    with book.open(about) as part:
        yield from _parsed(part, parser, found)


def _parsed(part: IO[bytes], parser: expat.XMLParserType, found: list[Event]) -> Iterator[Event]:
    while True:
        data = part.read(PART)
        parser.Parse(data, not data)
        yield from found
        found.clear()
        if not data:
            return


def _refuse_doctype(*_: object) -> None:
    """Entities are how small files grow large, or name others; no Excel file declares any."""
    raise Unreadable("The file declares a document type, which no Excel file does.")
