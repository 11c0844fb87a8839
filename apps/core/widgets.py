"""Form widgets every domain may use."""

from typing import Any

from django import forms


class LongText(forms.Textarea):
    """A text of several lines. Browsers send their ends as CRLF; programs that ask for the same write a line feed."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """Return what was typed, its lines ended as programs end them."""
        value = super().value_from_datadict(data, files, name)
        return lines_ended(value) if isinstance(value, str) else value


def lines_ended(text: str) -> str:
    """Return a text with a line feed at the end of each line."""
    return text.replace("\r\n", "\n")
