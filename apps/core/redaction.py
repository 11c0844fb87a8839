"""What must not be kept or shown, and what stands in its place: secret arguments of tools, credentials in spans.

An argument is secret when its JSON Schema says so in its own words, ``"writeOnly": true`` or ``"format": "password"``,
at any depth. An attribute of a span is a credential by its name.
"""

import operator
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from pydantic_core import from_json, to_json

HIDDEN = "********"  # what a secret reads wherever it leaves this server
SHORTEST = 4  # characters of a secret that is looked for in other text; shorter ones would be found everywhere
MOST_PARTS = 500  # schemas one value is described by; beyond it the value is hidden
CREDENTIAL = re.compile(
    r"(?:^|[._-])(?:(?:proxy[._-])?authorization|(?:set[._-])?cookie|x[._-]llamastack[._-]provider[._-]data"
    r"|passw(?:or)?d|passphrase|secret|credentials?|(?:api|access|private|secret|signing|encryption)[._-]?key"
    r"|(?:access|refresh|id|auth|bearer|session|security|api)[._-]?token)$",
    re.IGNORECASE,
)


def has_secrets(schema: Any) -> bool:
    """Return whether anything a JSON Schema describes is secret."""
    try:
        return _has_secrets(schema)
    except RecursionError:
        return True


def hide(arguments: str, schema: Any) -> tuple[str, list[str]]:
    """Return a call's arguments, JSON text, with secret values hidden, and those values as text.

    What is not a JSON object is hidden whole: nobody can tell what in it is secret.
    """
    secrets: list[str] = []
    try:
        told = from_json(arguments)
        if not isinstance(told, dict):
            return HIDDEN, []
        shown = _hidden(told, [schema], schema, secrets)
    except (ValueError, RecursionError):
        return HIDDEN, []
    return arguments if shown == told else to_json(shown).decode(), secrets


def without(value: Any, secrets: Sequence[str]) -> Any:
    """Return plain data with these secrets hidden wherever its texts hold them, also as JSON writes them."""
    if isinstance(value, str):
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= SHORTEST:
                value = value.replace(secret, HIDDEN).replace(to_json(secret).decode()[1:-1], HIDDEN)
        return value
    if isinstance(value, dict):
        return {name: without(item, secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [without(item, secrets) for item in value]
    return value


def without_credentials(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return a span's attributes with those hidden, at any depth, that are credentials by their names.

    The same dict comes back where there are none.
    """
    hidden = {}
    for name, value in attributes.items():
        if _is_credential(name):
            hidden[name] = HIDDEN
        elif isinstance(value, dict | list) and (inner := _inside(value)) is not value:
            hidden[name] = inner
    return {**attributes, **hidden} if hidden else attributes


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return without_credentials(value)
    if not isinstance(value, list):
        return value
    items = [_inside(item) for item in value]
    return value if all(map(operator.is_, items, value)) else items


@lru_cache(maxsize=4096)
def _is_credential(name: str) -> bool:
    return CREDENTIAL.search(name) is not None


def _is_secret(schema: Any) -> bool:
    return isinstance(schema, dict) and (schema.get("writeOnly") is True or schema.get("format") == "password")


def _has_secrets(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_has_secrets, schema))
    return isinstance(schema, dict) and (_is_secret(schema) or any(map(_has_secrets, schema.values())))


def _hidden(value: Any, schemas: list[Any], root: Any, secrets: list[str]) -> Any:
    """Return the value as it may be shown; ``schemas`` all describe it."""
    parts = list(_parts(schemas, root))
    if len(parts) > MOST_PARTS or any(map(_is_secret, parts)):
        secrets += _texts(value)
        return HIDDEN
    if isinstance(value, dict):
        return {name: _hidden(item, _of_property(name, parts), root, secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item, _of_item(index, parts), root, secrets) for index, item in enumerate(value)]
    return value


def _parts(schemas: list[Any], root: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema that may describe the value: these, what they are made of, and where they point."""
    waiting: list[Any] = list(schemas)
    seen: set[int] = set()
    while waiting and len(seen) <= MOST_PARTS:
        schema = waiting.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield schema
        for name in ("allOf", "anyOf", "oneOf"):
            waiting += schema[name] if isinstance(schema.get(name), list) else []
        waiting += [schema.get(name) for name in ("if", "then", "else")]
        waiting.append(_pointed_at(schema.get("$ref"), root))


def _pointed_at(reference: Any, root: Any) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    for name in filter(None, reference[1:].split("/")):
        root = root.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(root, dict) else None
    return root


def _of_property(name: str, parts: list[dict[str, Any]]) -> list[Any]:
    found: list[Any] = []
    for part in parts:
        known = part.get("properties")
        if isinstance(known, dict) and name in known:
            found.append(known[name])
        else:
            found.append(part.get("additionalProperties"))
        patterns = part.get("patternProperties")  # not tried: somebody else's pattern may take for ever
        found += patterns.values() if isinstance(patterns, dict) else ()
    return found


def _of_item(index: int, parts: list[dict[str, Any]]) -> list[Any]:
    found: list[Any] = []
    for part in parts:
        first = part.get("prefixItems")
        found.append(first[index] if isinstance(first, list) and index < len(first) else part.get("items"))
    return found


def _texts(value: Any) -> list[str]:
    """Return what a secret is made of, as it may turn up in text."""
    if isinstance(value, dict | list):
        return [text for item in (value.values() if isinstance(value, dict) else value) for text in _texts(item)]
    if value is None or isinstance(value, bool):
        return []
    return [value if isinstance(value, str) else to_json(value).decode()]
