"""How a JSON schema reads to a person: its fields as a tree, its type in words, and an example of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.utils.html import conditional_escape, escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from pydantic_core import to_json

Json = dict[str, Any]
PREFIX = "#/components/schemas/"
LIMITS = {
    "minimum": "at least {}", "exclusiveMinimum": "more than {}", "maximum": "at most {}", "minItems": "{} or more",
    "maxItems": "at most {} of them", "maxLength": "at most {} characters", "format": "{}",
}  # fmt: skip
# What an example says for a field of this name, or of this type and name; other texts are their names in capitals.
USUAL: Json = {
    "content": "Why is the sky blue?",
    "input": "The sky is blue.",
    "instructions": "You answer in one or two plain sentences.",
    "messages": {"role": "user", "content": "Why is the sky blue?"},
    "session_name": "First talk",
    "stream": True,
    "tool_name": "get_weather",
    "ToolResponse.content": "21 °C, clear",
}


@dataclass(frozen=True)
class Field:
    """A line of the tree: a field, or one of the shapes a field may have."""

    name: str
    kind: SafeString
    about: str = ""  # escaped HTML
    required: bool = False
    old: bool = False
    fields: tuple["Field", ...] = ()


@dataclass
class Shapes:
    """The named schemas of a document, read by people."""

    schemas: dict[str, Json]
    usual: Json = field(default_factory=lambda: USUAL)

    def fields(self, schema: Json, inside: tuple[str, ...] = ()) -> tuple[Field, ...]:
        """Return the fields of an object, required ones first; a type that lies inside itself is only named."""
        return self._lines(schema, inside, deep=True)

    def flat(self, name: str) -> tuple[Field, ...]:
        """Return the fields of a named type; the types they are made of are only named."""
        return self._lines({"$ref": PREFIX + name}, (), deep=False)

    def _lines(self, schema: Json, inside: tuple[str, ...], *, deep: bool) -> tuple[Field, ...]:
        target, inside = self._entered(schema, inside)
        needed = set(target.get("required", []))
        found = [
            Field(
                name=name,
                kind=self.kind(part),
                about=_about(part),
                required=name in needed,
                old=part.get("deprecated", False),
                fields=self._below(part, inside) if deep else (),
            )
            for name, part in target.get("properties", {}).items()
        ]
        return tuple(sorted(found, key=lambda one: (not one.required, one.old)))

    def _below(self, part: Json, inside: tuple[str, ...]) -> tuple[Field, ...]:
        named = [name for name in dict.fromkeys(_names(part)) if name not in inside]
        if len(named) == 1:
            return self.fields({"$ref": PREFIX + named[0]}, inside)
        return tuple(
            Field("", _link(name), told(self.schemas[name].get("description", "")), fields=fields)
            for name in named
            if (fields := self.fields({"$ref": PREFIX + name}, (*inside, *named)))
        )

    def kind(self, schema: Json) -> SafeString:
        """Return a type in words, named types as links: ``array of string``, ``auto | required | none``."""
        if "$ref" in schema:
            return _link(schema["$ref"].removeprefix(PREFIX))
        if options := schema.get("anyOf") or schema.get("oneOf"):
            kinds = dict.fromkeys(self.kind(option) for option in options if option.get("type") != "null")
            return format_html_join(" or ", "{}", ((one,) for one in kinds))
        if schema.get("type") == "array":
            return format_html("array of {}", self.kind(schema.get("items", {})))
        if "const" in schema:
            return _quoted(schema["const"])
        if "enum" in schema:
            return format_html_join(" | ", "{}", ((_quoted(value),) for value in schema["enum"]))
        return conditional_escape(schema.get("type", "any value"))

    def example(self, schema: Json, name: str = "") -> Any:
        """Return the smallest value that fits: required fields, defaults, the first of several shapes."""
        target = self._entered(schema, ())[0]
        kind = target.get("type")
        if kind == "object" and "properties" in target:
            return {key: self._part(target, key) for key in target["properties"] if _is_shown(key, target)}
        if kind == "array":
            return [self.example(target.get("items", {}), name)]
        if name in self.usual:
            return self.usual[name]
        for key in ("const", "default"):
            if key in target:
                return target[key]
        if options := target.get("anyOf") or target.get("oneOf"):
            return self.example(options[0], name)
        simple = {"object": {}, "integer": 1, "number": 1, "boolean": False}
        return simple[kind] if kind in simple else target.get("enum", [name.upper()])[0]

    def _part(self, target: Json, key: str) -> Any:
        own = f"{target.get('title')}.{key}"
        return self.usual[own] if own in self.usual else self.example(target["properties"][key], key)

    def _entered(self, schema: Json, inside: tuple[str, ...]) -> tuple[Json, tuple[str, ...]]:
        """Return a schema in full, and the names of the types one is inside of."""
        if "$ref" not in schema:
            return schema, inside
        name = schema["$ref"].removeprefix(PREFIX)
        return self.schemas[name], (*inside, name)


def told(text: str) -> SafeString:
    """Return a description with its ``code`` marked."""
    return mark_safe(re.sub(r"``(.+?)``", r"<code>\1</code>", escape(text)))  # escaped first


def _about(part: Json) -> SafeString:
    limits = [words.format(part[key]) for key, words in LIMITS.items() if key in part]
    if "default" in part and part.get("const") != part["default"]:
        limits.append(f"``{to_json(part['default']).decode()}`` unless given")
    return told(" · ".join(filter(None, [part.get("description", ""), *limits])))


def _names(part: Json) -> Iterator[str]:
    """Yield the named types a value may be, or be made of."""
    if "$ref" in part:
        yield part["$ref"].removeprefix(PREFIX)
    inner = [part["items"]] if "items" in part else []
    for option in (*part.get("anyOf", ()), *part.get("oneOf", ()), *inner):
        yield from _names(option)


def _is_shown(key: str, target: Json) -> bool:
    # A constant tells shapes apart (role, type), so an example names it although it may be left out.
    return key in target.get("required", []) or "const" in target["properties"][key] or key == "stream"


def _link(name: str) -> SafeString:
    return format_html('<a class="link" href="#type-{}">{}</a>', name, name)


def _quoted(value: Any) -> SafeString:
    return format_html("{}", to_json(value).decode())
