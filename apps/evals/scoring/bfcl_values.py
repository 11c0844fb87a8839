"""Values in calls: literals of Java and JavaScript by the type a function declares, Python's types by name."""

import re
from typing import Any

PYTHON, JAVA, JAVASCRIPT = "python", "java", "javascript"
TYPES: dict[str, dict[str, type]] = {
    PYTHON: {
        "string": str, "integer": int, "float": float, "number": float, "boolean": bool, "array": list, "list": list,
        "tuple": list, "dict": dict, "object": dict, "any": str,
    },
    JAVA: {
        "byte": int, "short": int, "integer": int, "long": int, "float": float, "double": float, "boolean": bool,
        "char": str, "String": str, "any": str, "Array": list, "ArrayList": list, "HashMap": dict, "Hashtable": dict,
        "Queue": list, "Stack": list, "Set": list,
    },
    JAVASCRIPT: {
        "String": str, "integer": int, "float": float, "Bigint": int, "Boolean": bool, "dict": dict, "array": list,
        "any": str,
    },
}  # fmt: skip
NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
# How a number of a type is written; what is written otherwise stays text, and then is of the wrong type.
WRITTEN = {
    "byte": r"-?\d+", "short": r"-?\d+", "integer": r"-?\d+", "long": r"-?\d+[lL]", "float": rf"{NUMBER}[fF]",
    "double": NUMBER, "Bigint": r"-?\d+n",
}  # fmt: skip
OPEN, CLOSE, QUOTES = "([{<", ")]}>", "\"'`"
JAVA_LIST = re.compile(
    r"new\s+[\w.]+(?:<[^>]*>)?\s*\[\s*\]\s*\{(.*)\}|new\s+\w+\s*<[^>]*>\s*\(\s*(?:Arrays\.asList|List\.of)\s*\((.*)\)\s*\)"
    r"|(?:Arrays\.asList|List\.of|Set\.of)\s*\((.*)\)",
    re.DOTALL,
)
JAVA_FILLED = re.compile(r"new\s+\w+\s*(?><.*?>\s*\(\s*\))\s*(?:\{\{?(.*?)\}?\})?", re.DOTALL)
JAVA_ADD = re.compile(r"\s*(add|put|push|offer)\s*\((.*)\)\s*", re.DOTALL)
JS_ARRAY = re.compile(r"\[(.*)\]|(?:new\s+)?Array\s*\((.*)\)", re.DOTALL)
JS_OBJECT = re.compile(r"\{(.*)\}", re.DOTALL)
DEEPEST = 20


class Raw(str):
    """A literal as it is written, whose type is not known yet."""


def typed(name: Any, language: str) -> type:
    """Return Python's type for a declared one; what is not known is text."""
    return TYPES[language].get(name, str) if isinstance(name, str) else str


def converted(value: Any, declared: dict[str, Any], language: str) -> Any:
    """Return a value as the type declared for it, or as it is when it is written as something else."""
    kind = declared.get("type")
    if isinstance(value, tuple):
        return list(value) if kind == "tuple" else value
    if not isinstance(value, Raw):
        return value
    if typed(kind, language) is list:
        inner = declared.get("items") or {}
        items = _items(value, language)
        return str(value) if items is None else [_item(one, inner, language) for one in items]
    if typed(kind, language) is dict:
        entries = _entries(value, language)
        return str(value) if entries is None else {key: _any(one, language) for key, one in entries.items()}
    return _plain(value, str(kind), language)


def pieces(text: str, separator: str = ",") -> list[str]:
    """Return the parts of a text between separators that stand in no brackets and no quotes; empty ones left out."""
    parts, start, depth, quote, escaped = [], 0, 0, "", False
    for at, mark in enumerate(text):
        if escaped:
            escaped = False
        elif mark == "\\":
            escaped = True
        elif quote:
            quote = "" if mark == quote else quote
        elif mark in QUOTES:
            quote = mark
        elif mark in OPEN:
            depth += 1
        elif mark in CLOSE and not (mark == ">" and text[at - 1 : at] in ("-", "=")):
            depth = max(0, depth - 1)
        elif mark == separator and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _item(text: str, declared: dict[str, Any], language: str) -> Any:
    return converted(Raw(text), declared, language) if declared.get("type") else _any(text, language)


def _plain(text: str, kind: str, language: str) -> Any:
    if kind in ("boolean", "Boolean") and text in ("true", "false"):
        return text == "true"
    pattern = NUMBER if (kind, language) == ("float", JAVASCRIPT) else WRITTEN.get(kind)
    if pattern and re.fullmatch(pattern, text):
        digits = text.rstrip("lLfFn")
        return int(digits) if TYPES[language].get(kind) is int else float(digits)
    return _unquoted(text)


def _any(text: str, language: str, depth: int = 0) -> Any:
    """Return a literal of no declared type."""
    if text in ("true", "false"):
        return text == "true"
    if text in ("null", "undefined"):
        return None
    if re.fullmatch(r"-?\d{1,400}[lLn]?", text):
        return int(text.rstrip("lLn"))
    if re.fullmatch(rf"{NUMBER}[fF]?", text):
        return float(text.rstrip("fF"))
    if depth < DEEPEST:
        items = _items(text, language)
        if items is not None:
            return [_any(one, language, depth + 1) for one in items]
        entries = _entries(text, language)
        if entries is not None:
            return {key: _any(one, language, depth + 1) for key, one in entries.items()}
    return _unquoted(text)


def _items(text: str, language: str) -> list[str] | None:
    """Return the items of a list as they are written; None when it is no list."""
    found = (JS_ARRAY if language == JAVASCRIPT else JAVA_LIST).fullmatch(text)
    if found is not None:
        return pieces(next((group for group in found.groups() if group is not None), ""))
    filled = _filled(text) if language == JAVA else None
    if filled is None or any(name == "put" for name, _ in filled):
        return None
    return [item for _, item in filled]


def _entries(text: str, language: str) -> dict[str, str] | None:
    """Return the entries of an object as they are written; None when it is none."""
    if language == JAVASCRIPT:
        found = JS_OBJECT.fullmatch(text)
        pairs = [pieces(one, ":") for one in pieces(found.group(1))] if found else None
    else:
        filled = _filled(text)
        pairs = None if filled is None else [pieces(one) for _, one in filled]
    if pairs is None or any(len(pair) < 2 for pair in pairs):
        return None
    return {_unquoted(pair[0]): ":".join(pair[1:]) if language == JAVASCRIPT else pair[1] for pair in pairs}


def _filled(text: str) -> list[tuple[str, str]] | None:
    """Return what a new Java collection is filled with: the method and its arguments."""
    found = JAVA_FILLED.fullmatch(text)
    if found is None:
        return None
    calls = [JAVA_ADD.fullmatch(one) for one in pieces(found.group(1) or "", ";")]
    return None if not all(calls) else [(call.group(1), call.group(2)) for call in calls if call is not None]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in QUOTES:
        return text[1:-1]
    return str(text)
