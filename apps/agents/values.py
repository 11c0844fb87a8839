"""Values of tools as pages show them: JSON as data, long ones cut."""

from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

SHORT = 2_048
MEDIUM = 10_000  # of one of several texts on a page
LONG = 100_000
CUT = " …"


class Shown(NamedTuple):
    """What is printed of a value, and the size of the whole when it was cut (else 0)."""

    value: Any
    whole: int

    @property
    def first(self) -> int:
        """How many characters are shown of a value that was cut."""
        return len(self.value.removesuffix(CUT)) if self.whole else 0


def as_value(text: Any) -> Any:
    """Return JSON text as data, so that it prints as JSON; anything else as it is."""
    if not isinstance(text, str) or text[:1] not in ("{", "["):
        return text
    try:
        return from_json(text)
    except ValueError:
        return text


def cut(value: Any, limit: int = SHORT) -> Shown:
    """Return the value, or its first characters when it is long."""
    text = value if isinstance(value, str) else to_json(value, indent=2).decode()
    return Shown(value, 0) if len(text) <= limit else Shown(text[:limit] + CUT, len(text))
