"""One normal form for JSON Schemas, so that two documents that mean the same compare as equal.

References are followed, words for people are dropped, unions are flat and sorted. Bounds on numbers and lengths are
dropped too: the contract has none, and ours only say earlier what a request is refused for anyway.
"""

import json
from typing import Any

Json = Any
FOR_PEOPLE = {"title", "description", "examples", "example", "discriminator", "contentMediaType"}
BOUNDS = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems",
    "pattern",
}  # fmt: skip
ANYTHING: dict[str, str] = {"anything": "goes"}
SIX_TYPES = {"null", "boolean", "number", "string", "array", "object"}


def plain(schema: Json, document: Json, above: tuple[str, ...] = ()) -> Json:
    """Return the normal form of a schema of an OpenAPI document."""
    if schema is True:
        return ANYTHING
    if not isinstance(schema, dict):
        return schema
    if not schema.keys() - FOR_PEOPLE:
        return ANYTHING
    if "const" in schema or len(schema.get("enum", [])) == 1:  # beside a reference the constant says more
        return {"const": schema.get("const", schema.get("enum", [None])[0])}
    if "$ref" in schema:
        return _followed(schema["$ref"], document, above)
    options = schema.get("oneOf") or schema.get("anyOf")
    if options:
        return _union(options, document, above) | _default(schema)
    found = {
        key: _value(key, value, document, above)
        for key, value in schema.items()
        if key not in FOR_PEOPLE | BOUNDS and not (key == "default" and value is None)
    }
    if "properties" in found:
        # A constant is there whatever a document says of it: it names the variant.
        constants = {name for name, field in found["properties"].items() if "const" in field}
        found["required"] = sorted({*found.get("required", []), *constants})
    return found


def without_null(schema: Json) -> Json:
    """Return a parameter's schema without the null that stands for "not given"."""
    options = schema.get("union") if isinstance(schema, dict) else None
    if not options:
        return schema
    rest = {label: option for label, option in options.items() if option != {"type": "null"}}
    return next(iter(rest.values())) if len(rest) == 1 else {**schema, "union": rest}


def _followed(ref: str, document: Json, above: tuple[str, ...]) -> Json:
    name = ref.rsplit("/", 1)[-1]
    if name in above:
        return {"again": name}
    schemas = document["components"]["schemas"]
    return plain(schemas[name], document, (*above, name)) if name in schemas else {"missing": name}


def _union(options: list[Json], document: Json, above: tuple[str, ...]) -> Json:
    flat: list[Json] = []
    for option in (plain(one, document, above) for one in options):
        flat += option["union"].values() if isinstance(option, dict) and "union" in option else [option]
    if {one.get("type") for one in flat if len(one) == 1} >= SIX_TYPES:
        return ANYTHING
    once = {_label(one): one for one in flat}
    return {"union": once} if len(once) > 1 else flat[0]


def _label(option: Json) -> str:
    """Return what tells an option from its neighbours: its constants, so that a difference is told where it is."""
    fields = option.get("properties", {})
    constants = [f"{name}={field['const']}" for name, field in sorted(fields.items()) if "const" in field]
    return " ".join(constants) or json.dumps(option, sort_keys=True)


def _default(schema: Json) -> Json:
    return {"default": schema["default"]} if schema.get("default") is not None else {}


def _value(key: str, value: Json, document: Json, above: tuple[str, ...]) -> Json:
    if key == "properties":
        return {name: plain(field, document, above) for name, field in value.items()}
    if key in ("items", "additionalProperties"):
        return plain(value, document, above)
    return sorted(value) if key in ("required", "enum") else value
