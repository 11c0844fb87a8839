"""Checking a value against a schema somebody else wrote: it costs a bounded number of steps, whatever it says.

What a schema could use to hold up the server is not checked: patterns, formats, and what is left over of them. A
schema that is none, that points nowhere or that never ends objects to nothing: a person's answer goes through.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.exceptions import ValidationError as JsonError
from jsonschema.validators import extend
from pydantic_core import to_json
from referencing import Registry
from referencing.exceptions import Unresolvable

MOST_STEPS = 20_000
MOST_BYTES = 200_000
MOST_LEVELS = 60
SHOWN = 5
LONGEST_MESSAGE = 300
# A pattern may take for ever on a short text; the others apply patterns themselves, or compare all with all.
UNCHECKED = {"pattern", "patternProperties", "format", "unevaluatedProperties", "unevaluatedItems", "uniqueItems"}
Keyword = Callable[..., Iterator[JsonError] | None]


class _TooMuch(Exception):
    """The schema asks for more steps than are given."""


def objections(shape: dict[str, Any], value: Any) -> list[str]:
    """Return what the schema objects to in the value, as ``place: what``; nothing when it cannot be checked.

    May take tens of milliseconds: keep it off the event loop.
    """
    try:
        if len(to_json(shape)) > MOST_BYTES or len(to_json(value)) > MOST_BYTES:
            return []
        plain = _plain(shape)
        Draft202012Validator.check_schema(plain)
        # An empty registry: a schema that points elsewhere makes nothing be fetched.
        found = list(_bounded()(plain, registry=Registry()).iter_errors(value))
    except (SchemaError, Unresolvable, RecursionError, re.error, ValueError, _TooMuch):
        return []
    return [sentence for error in found for sentence in _sentences(error)][:SHOWN]


def _plain(schema: Any, level: int = 0) -> Any:
    """Return the schema without the names of dialects, each of which would bring its own unbounded validator."""
    if level > MOST_LEVELS:
        raise _TooMuch
    if isinstance(schema, list):
        return [_plain(item, level + 1) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _plain(item, level + 1)
        for name, item in schema.items()
        if not (name == "$schema" and isinstance(item, str))
    }


def _bounded() -> Any:
    """Return a validator that gives up after ``MOST_STEPS`` keywords."""
    left = MOST_STEPS

    def counted(check: Keyword) -> Keyword:
        def keyword(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[JsonError] | None:
            nonlocal left
            left -= 1
            if left < 0:
                raise _TooMuch
            return check(validator, rule, instance, schema)

        return keyword

    keywords = {name: counted(check) for name, check in Draft202012Validator.VALIDATORS.items()}
    keywords |= dict.fromkeys(UNCHECKED, _nothing)
    keywords["additionalProperties"] = _without_patterns(keywords["additionalProperties"])
    return extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]


def _nothing(validator: Any, rule: Any, instance: Any, schema: Any) -> None:
    return None


def _without_patterns(check: Keyword) -> Keyword:
    """Return the keyword, skipped where patterns tell which properties are additional."""

    def keyword(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[JsonError] | None:
        return None if "patternProperties" in schema else check(validator, rule, instance, schema)

    return keyword


def _sentences(error: JsonError) -> list[str]:
    if error.validator == "required" and not error.path:
        # The validator tells each missing name apart, and names it only in its words.
        names: Any = error.validator_value
        return [f"{name}: this is needed" for name in names if repr(name) in error.message]
    place = error.json_path.removeprefix("$").removeprefix(".")
    message = str(error.message)
    message = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]} …"
    return [f"{place}: {message}" if place else message]
