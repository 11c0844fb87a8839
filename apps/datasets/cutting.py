"""JSON text cut into rows without rewriting a character: numbers, key order and escapes stay as they were written.

The standard parser tells where a value ends; the row that is stored is the text between. It works row by row, so other
threads get their turn while a big body is read.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from django.conf import settings

from apps.core.errors import BadRequest, TooLarge

MAX_DEPTH = 200
BLANK = re.compile(r"[ \t\n\r]*")
See = Callable[[int, dict[str, Any]], None]


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_read = json.JSONDecoder(parse_constant=_no_constant).raw_decode
_read_null = json.JSONDecoder(parse_constant=lambda name: None).raw_decode


class Cutter:
    """Reads one JSON body whose rows stand in the list at ``path``; ``rows`` are their texts, the rest is returned."""

    def __init__(self, path: tuple[str, ...], see: See | None = None) -> None:
        self.path = path
        self.see = see
        self.rows: list[str] = []

    def read(self, body: bytes) -> dict[str, Any]:
        """Return the body's value with an empty list in place of the rows; raises BadRequest or TooLarge."""
        try:
            text = body.decode()
            start = _skip(text, 0)
            if text[start : start + 1] != "{":
                raise BadRequest("The body must be a JSON object.")
            value, end = self._object(text, start, self.path)
            if _skip(text, end) != len(text):
                raise ValueError(f"more text after the body's end at character {end}")
        except IndexError as error:
            raise BadRequest("The body is not valid JSON: it ends too early.") from error
        except RecursionError as error:
            raise BadRequest(f"The body is nested deeper than {MAX_DEPTH} levels.") from error
        except ValueError as error:
            raise BadRequest(f"The body is not valid JSON: {error}") from error
        return value

    def _object(self, text: str, start: int, path: tuple[str, ...]) -> tuple[dict[str, Any], int]:
        value: dict[str, Any] = {}
        at = _skip(text, start + 1)
        if text[at] == "}":
            return value, at + 1
        while True:
            key, at = _key(text, at)
            value[key], at = self._member(text, at, path[1:]) if path[:1] == (key,) else _read(text, at)
            at = _skip(text, at)
            if text[at] == "}":
                return value, at + 1
            if text[at] != ",":
                raise ValueError(f"expected ',' or '}}' at character {at}")
            at = _skip(text, at + 1)

    def _member(self, text: str, at: int, rest: tuple[str, ...]) -> tuple[Any, int]:
        if rest and text[at] == "{":
            return self._object(text, at, rest)
        if not rest and text[at] == "[":
            return [], self._list(text, at)
        return _read(text, at)

    def _list(self, text: str, start: int) -> int:
        self.rows = []
        at = _skip(text, start + 1)
        if text[at] == "]":
            return at + 1
        while True:
            row, end = _read(text, at)
            self._take(row, text[at:end])
            at = _skip(text, end)
            if text[at] == "]":
                return at + 1
            if text[at] != ",":
                raise ValueError(f"expected ',' or ']' at character {at}")
            at = _skip(text, at + 1)

    def _take(self, row: Any, text: str) -> None:
        number = len(self.rows)
        try:
            self.rows.append(checked(row, text))
        except ValueError as error:
            raise BadRequest(f"rows.{number}: {error}") from error
        except TooLarge as error:
            raise TooLarge(f"rows.{number}: {error.detail}") from error
        if self.see is not None:
            self.see(number, row)


def checked(row: Any, text: str) -> str:
    """Return the text to store for a row, on one line; raises ValueError or TooLarge for what cannot be one."""
    if not isinstance(row, dict):
        raise ValueError(f"a row must be a JSON object, not {_kind(row)}")
    if len(text) > settings.DATASET_MAX_ROW_BYTES or len(text.encode()) > settings.DATASET_MAX_ROW_BYTES:
        raise TooLarge(f"the row is larger than {settings.DATASET_MAX_ROW_BYTES:,} bytes (DATASET_MAX_ROW_BYTES)")
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(row) > MAX_DEPTH:
        raise ValueError(f"the row is nested deeper than {MAX_DEPTH} levels")
    if "\n" in text or "\r" in text:  # only between values: inside strings JSON has escapes for them
        text = text.replace("\n", " ").replace("\r", " ")
    return text


def one(text: str) -> tuple[Any, str]:
    """Return the value of a JSON text and the text to store; NaN and Infinity, which files bring, become null.

    Raises ValueError for anything that is not one JSON object, TooLarge over the limit.
    """
    text = text.strip(" \t\r\n")
    try:
        value, end = _strictly_or_not(text, 0)
    except RecursionError as error:
        raise ValueError(f"the row is nested deeper than {MAX_DEPTH} levels") from error
    if end[0] != len(text):
        raise ValueError(f"more text after the value at character {end[0]}")
    return value, checked(value, end[1])


def stream(parts: Iterator[str], limit: int) -> Iterator[tuple[int, Any, str]]:
    """Yield the values of a JSON array that comes in parts, each with the line it begins at and its text.

    At most one value and one part are held. Raises ValueError, which begins with the place, where it is no array, and
    TooLarge for a value over ``limit`` characters.
    """
    text = next(parts, "")
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise ValueError("at its beginning: a JSON file must hold an array of objects")
    line = 1 + text.count("\n", 0, at)
    at += 1
    first = True
    while True:
        text, at, line = _more(text, at, line, parts, first)
        if text[at] == "]":
            if (text[at + 1 :] + "".join(islice(parts, 1))).strip(" \t\r\n"):
                raise ValueError(f"at line {line}: more text after the array")
            return
        while True:
            try:
                value, (end, cut) = _strictly_or_not(text, at)
                break
            except (ValueError, IndexError) as error:
                if len(text) - at > limit:
                    raise TooLarge(
                        f"The value at line {line} is larger than {limit:,} characters, or the JSON is broken"
                    ) from error
                more = "".join(islice(parts, 1 + (len(text) - at >> 16)))
                if not more:
                    raise ValueError(_fault(error, text, at, line)) from error
                text, at = text[at:] + more, 0
            except RecursionError as error:
                raise ValueError(f"at line {line}: nested deeper than {MAX_DEPTH} levels") from error
        yield line, value, cut
        line += text.count("\n", at, end)
        at, first = end, False


def _fault(error: Exception, text: str, at: int, line: int) -> str:
    """Return where and why the value at ``at``, which begins at ``line``, cannot be read."""
    if not isinstance(error, json.JSONDecodeError):
        return f"at line {line}: {error or 'the file ends too early'}"
    return f"at line {line + text.count(chr(10), at, error.pos)}: {error.msg}"


def _more(text: str, at: int, line: int, parts: Iterator[str], first: bool) -> tuple[str, int, int]:
    """Return text, place and line of the next value, or of the closing bracket."""
    wanted = "" if first else ","
    while True:
        begun, at = at, _skip(text, at)
        line += text.count("\n", begun, at)
        if at < len(text):
            if not wanted and not first and text[at] == "]":
                raise ValueError(f"at line {line}: a ',' before the closing ']'")
            if text[at] == "]" or not wanted:
                return text, at, line
            if text[at] != ",":
                raise ValueError(f"at line {line}: expected ',' or ']' but found {text[at : at + 10]!r}")
            wanted, at = "", at + 1
            continue
        part = next(parts, "")
        if not part:
            raise ValueError(f"at line {line}: the file ends before the array does")
        text, at = part, 0


def _strictly_or_not(text: str, at: int) -> tuple[Any, tuple[int, str]]:
    try:
        value, end = _read(text, at)
        return value, (end, text[at:end])
    except ValueError as error:
        if "is not JSON" not in str(error):
            raise
        value, end = _read_null(text, at)
        return value, (end, json.dumps(value, ensure_ascii=False))


def _key(text: str, at: int) -> tuple[str, int]:
    if text[at] != '"':
        raise ValueError(f"expected a name in quotes at character {at}")
    key, at = scanstring(text, at + 1, True)
    at = _skip(text, at)
    if text[at] != ":":
        raise ValueError(f"expected ':' at character {at}")
    return key, _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    return BLANK.match(text, at).end()  # type: ignore[union-attr]


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return depth


def _kind(value: Any) -> str:
    names = {list: "a list", str: "text", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), "null")
