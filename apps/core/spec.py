"""SpecModel, the base of every published schema, and types that take no other for their own."""

from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, Strict, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

# What a body has as JSON's own: "3" is no integer, and 1 and "yes" are no booleans.
Integer = Annotated[int, Strict()]
Boolean = Annotated[bool, Strict()]


class SpecModel(BaseModel):
    """A value of the published API: refuses unknown fields and reads an explicit ``null`` as an absent field."""

    model_config = ConfigDict(extra="forbid", from_attributes=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def read_strictly(cls, data: Any) -> Any:
        """Refuse unknown names with the nearest known one, and drop nulls of known fields."""
        if not isinstance(data, dict):
            return data
        known = cls.model_fields
        for name in data:
            if name not in known:
                raise ValueError(f"unknown field '{name}'{did_you_mean(str(name), known)}")
        if None in data.values():
            return {name: value for name, value in data.items() if value is not None}
        return data

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Publish optional fields as plain ones: the API leaves them out and never sends null."""
        schema = handler(core)
        for field in handler.resolve_ref_schema(schema).get("properties", {}).values():
            _drop_null(field)
        return schema


def did_you_mean(name: str, known: Any) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest known name, or the known names when none is close."""
    near = get_close_matches(name, list(known), n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(sorted(known))}" if known else ""


def _drop_null(field: dict[str, Any]) -> None:
    options = field.get("anyOf")
    if options and {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        if len(rest) == 1:
            del field["anyOf"]
            field.update(rest[0])
        else:
            field["anyOf"] = rest
    if "default" in field and field["default"] is None:
        del field["default"]
