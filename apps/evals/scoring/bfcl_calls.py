"""Calls of functions as answers write them: Python's ``f(a=1)``, alone or in a list, the same with literals of Java or
JavaScript, and JSON objects with a name and arguments."""

import ast
import json
import re
from dataclasses import dataclass
from typing import Any

from apps.evals.scoring.bfcl_values import PYTHON, Raw, pieces

FENCE = re.compile(r"```[\w+-]*+\n?(.*?)```", re.DOTALL)
TAG = re.compile(r"^<tool_call>|</tool_call>$|^<\|python_tag\|>")
CALL = re.compile(r"([A-Za-z_$][\w$.]*)\s*\((.*)\)", re.DOTALL)
ARGUMENT = re.compile(r"\s*([A-Za-z_$][\w$]*)\s*=(?!=)(.*)", re.DOTALL)
OPERATIONS: dict[type, Any] = {
    ast.Add: lambda one, other: one + other,
    ast.Sub: lambda one, other: one - other,
    ast.Mult: lambda one, other: one * other,
    ast.Div: lambda one, other: one / other,
}
# What reading an answer may end with: it is too deep or too large for a parser. SystemError is Python 3.11's own, of a
# tree that is deep while something else goes on.
UNREADABLE = (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError, SystemError)


@dataclass(frozen=True)
class Call:
    """A function's name and what it is given; arguments without a name are counted."""

    name: str
    arguments: dict[str, Any]


def calls_in(answer: str, language: str) -> list[Call]:
    """Return the calls an answer consists of; none when it is anything but calls."""
    fenced = FENCE.search(answer)
    text = TAG.sub("", (fenced.group(1) if fenced else answer).strip("`\n ")).strip().strip("'")
    found = _from_json(text)
    if found is not None:
        return found
    return _from_python(text) if language == PYTHON else _from_text(text)


def _from_json(text: str) -> list[Call] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    listed = value if isinstance(value, list) else [value]
    calls = [_from_object(one) for one in listed]
    return [call for call in calls if call is not None] if all(calls) else []


def _from_object(value: Any) -> Call | None:
    if not isinstance(value, dict):
        return None
    value = value.get("function", value) if isinstance(value.get("function"), dict) else value
    if isinstance(value.get("name"), str):
        arguments = value.get("arguments", value.get("parameters", {}))
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except (ValueError, RecursionError):
                return None
        return Call(value["name"], arguments) if isinstance(arguments, dict) else None
    if len(value) == 1 and isinstance(next(iter(value.values())), dict):
        return Call(*next(iter(value.items())))
    return None


def _from_python(text: str) -> list[Call]:
    try:
        tree = ast.parse(text if text.startswith("[") else f"[{text}]", mode="eval").body
        calls = [_call(node) for node in (tree.elts if isinstance(tree, ast.List) else [tree])]
    except UNREADABLE:
        return []
    return [call for call in calls if call is not None] if all(calls) else []


def _call(node: ast.expr) -> Call | None:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
        return None
    arguments = {f"argument {number + 1}": _value(one) for number, one in enumerate(node.args)}
    arguments |= {one.arg: _value(one.value) for one in node.keywords if one.arg is not None}
    return Call(ast.unparse(node.func), arguments)


def _value(node: ast.expr) -> Any:
    """Return a literal's value; a variable or anything else as its text."""
    match node:
        case ast.Constant(value=value) if not isinstance(value, bytes | complex) and value is not Ellipsis:
            return value
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
            return {key.value: _value(value) for key, value in zip(keys, values, strict=True)}  # type: ignore[union-attr]
    number = _number(node)
    return ast.unparse(node) if number is None else number


def _number(node: ast.expr) -> float | int | None:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _number(operand)
            return None if inner is None else -inner
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATIONS:
            one, other = _number(left), _number(right)
            if one is not None and other is not None and not (isinstance(op, ast.Div) and other == 0):
                result: float | int = OPERATIONS[type(op)](one, other)
                return result
    return None


def _from_text(text: str) -> list[Call]:
    """Read calls whose values are literals of another language: they stay text until their type is known."""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    calls = []
    for piece in pieces(text):
        found = CALL.fullmatch(piece.removesuffix(";").rstrip())
        if found is None:
            return []
        arguments: dict[str, Any] = {}
        for number, one in enumerate(pieces(found.group(2))):
            named = ARGUMENT.fullmatch(one)
            name, value = named.groups() if named else (f"argument {number + 1}", one)
            arguments[name] = Raw(value.strip())
        calls.append(Call(found.group(1), arguments))
    return calls
