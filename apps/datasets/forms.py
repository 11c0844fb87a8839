"""Forms of datasets: a new one, further rows, one row."""

import io
from collections.abc import Callable
from typing import Any

from django import forms

from apps.core.errors import ConsoleError
from apps.core.widgets import LongText
from apps.datasets import cutting, readers, registry, sources
from apps.datasets.models import Purpose

ROWS_HELP = "JSON Lines (one object a line), a JSON array of objects, or CSV with a header line."


class RowsField(forms.CharField):
    """Typed or pasted rows; its value is the lines that were read."""

    def __init__(self, **options: Any) -> None:
        widget = LongText(attrs={"rows": 10, "class": "mono", "spellcheck": "false"})
        super().__init__(widget=widget, strip=False, help_text=ROWS_HELP, **options)


def lines_in(text: str) -> list[readers.Line]:
    """Return what pasted text holds line by line; raises BadRequest when it makes no sense as a whole."""
    kind = kind_of_text(text)
    return list(readers.read(io.BytesIO(text.encode("utf-8", "replace")), kind))


def kind_of_text(text: str) -> str:
    """Return which format pasted text is in."""
    start = text.lstrip()[:1]
    return {"[": "json", "{": "jsonl"}.get(start, "csv")


class DatasetForm(forms.Form):
    """A new dataset, its rows typed, or read from an address."""

    dataset_id = forms.CharField(
        max_length=255,
        label="Name",
        help_text="Its id in the API.",
        error_messages={"required": "Give the dataset a name."},
    )
    purpose = forms.ChoiceField(choices=Purpose.choices, label="For")
    description = forms.CharField(max_length=500, required=False)
    text = RowsField(required=False, label="Rows")
    uri = forms.CharField(
        required=False,
        label="Address",
        help_text="https://…, lsfs://… (the server's folder for datasets), huggingface://datasets/owner/name?split=train",
        widget=forms.TextInput(attrs={"class": "mono"}),
    )

    def __init__(self, *args: Any, source: str = "rows", **options: Any) -> None:
        super().__init__(*args, **options)
        self.source = source
        self.lines: list[readers.Line] = []

    def clean_dataset_id(self) -> str:
        """Refuse a name nothing could be found by."""
        return _told(str(self.cleaned_data["dataset_id"]), registry.check_name)

    def clean_uri(self) -> str:
        """Refuse an address no rows can come from."""
        uri: str = self.cleaned_data["uri"].strip()
        if self.source == "uri":
            if not uri:
                raise forms.ValidationError("Say where the rows are.")
            _told(uri, sources.check)
        return uri

    def clean_text(self) -> str:
        """Read the rows; every bad line is named."""
        text: str = self.cleaned_data["text"]
        if self.source == "rows":
            self.lines = _read(text)
        return text


class AddRowsForm(forms.Form):
    """Further rows of a dataset."""

    text = RowsField(label="Rows")

    lines: list[readers.Line]

    def clean_text(self) -> str:
        """Read the rows; every bad line is named."""
        text: str = self.cleaned_data["text"]
        self.lines = _read(text)
        if not self.lines:
            raise forms.ValidationError("There is no row in it.")
        return text


class RowForm(forms.Form):
    """One row as JSON; ``was`` is the text it had when it was opened."""

    content = forms.CharField(
        label="Row as JSON", strip=False,
        widget=LongText(attrs={"rows": 16, "class": "mono", "spellcheck": "false"}),
    )  # fmt: skip
    was = forms.CharField(widget=forms.HiddenInput, strip=False, required=False)

    def clean_content(self) -> str:
        """Return the text to store."""
        try:
            self.value, text = cutting.one(self.cleaned_data["content"])
        except ConsoleError as error:
            raise forms.ValidationError(error.detail) from error
        except ValueError as error:
            raise forms.ValidationError(f"This is not a JSON object: {error}") from error
        return text


def _told(value: str, check: Callable[[str], object]) -> str:
    try:
        check(value)
    except ConsoleError as error:
        raise forms.ValidationError(error.detail.partition(": ")[2] or error.detail) from error
    return value


def _read(text: str) -> list[readers.Line]:
    try:
        lines = lines_in(text)
    except ConsoleError as error:
        raise forms.ValidationError(error.detail) from error
    bad = [f"Line {line.number}: {line.error}" for line in lines if line.error]
    if bad:
        raise forms.ValidationError(bad[:20])
    return lines
