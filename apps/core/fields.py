"""Columns that hold JSON: plain, or speaking one schema."""

import json
import re
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")  # an escaped NUL, not an escaped backslash before the word u0000


def json_text(value: Any) -> str:
    """Return JSON text any database can hold: NaN as null, without NUL characters and halves of characters."""
    try:
        text = to_json(value, inf_nan_mode="null")
    except ValueError:
        text = json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "replace")
    return (NUL.sub(rb"\1", text) if b"\\u0000" in text else text).decode()


def json_value(text: str) -> Any:
    """Return the value of a JSON text that may come from anywhere, with "?" for half a character.

    Raises ValueError for what is no JSON, or nested beyond all reason.
    """
    try:
        return from_json(text)
    except ValueError:
        return from_json(json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace"))


class FastJSONField(models.JSONField):
    """A JSON column read by pydantic's parser: several times faster than the standard one, big integers kept."""

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        """Return the stored value as Python data."""
        if not isinstance(value, str | bytes):
            return value
        return self.given(from_json(value))

    def kept(self, value: Any) -> Any:
        """Return what is stored for a value; a column that encrypts parts of it does so here."""
        return value

    def given(self, value: Any) -> Any:
        """Return the value for what is stored."""
        return value

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        """Return the text the database stores; expressions go Django's way."""
        if not hasattr(value, "as_sql"):
            value = self.kept(value)
        value = _without_nul(value)
        if connection.vendor != "sqlite" or value is None or hasattr(value, "as_sql"):
            return super().get_db_prep_value(value, connection, prepared)
        return to_json(value).decode()


def _without_nul(value: Any) -> Any:
    """Return JSON without NUL characters, which no database text can hold; models and tools may write them."""
    if value is None or hasattr(value, "as_sql"):
        return value
    text = to_json(value)
    return from_json(NUL.sub(rb"\1", text)) if b"\\u0000" in text else value


class SchemaField(FastJSONField):
    """A JSON column that speaks one schema: typed on read, checked on write, plain JSON in the database."""

    def __init__(self, schema: Any = None, **options: Any) -> None:
        self.schema = schema
        self._adapter: TypeAdapter[Any] | None = TypeAdapter(schema) if schema is not None else None
        super().__init__(**options)

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        """Return the value as its schema; a key looked up inside it stays plain."""
        data = super().from_db_value(value, expression, connection)
        if data is None or self._adapter is None or getattr(expression, "lhs", None) is not None:
            return data
        return self._adapter.validate_python(data)

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """Check the value against the schema and return what is stored."""
        if value is not None and self._adapter is not None and not hasattr(value, "as_sql"):
            value = self._adapter.dump_python(self._adapter.validate_python(value), mode="json", exclude_none=True)
        return super().get_db_prep_save(value, connection)

    def value_to_string(self, obj: models.Model) -> str:
        """Return the column for a serialiser or a form."""
        value = self.value_from_object(obj)
        return json.dumps(self._adapter.dump_python(value, mode="json", exclude_none=True) if self._adapter else value)


class JSONTextField(models.TextField[Any, Any]):
    """JSON kept as text: comes back exactly as given, where a database's own JSON type would change or refuse it."""

    _pyi_private_set_type: Any  # what type checkers take for the column's values
    _pyi_private_get_type: Any

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        """Return the stored value as Python data."""
        return from_json(value) if isinstance(value, str | bytes) else value

    def get_prep_value(self, value: Any) -> Any:
        """Return the text the database stores."""
        return value if value is None or hasattr(value, "as_sql") else to_json(value).decode()

    def value_to_string(self, obj: models.Model) -> str:
        """Return the column for a serialiser or a form."""
        return to_json(self.value_from_object(obj)).decode()
