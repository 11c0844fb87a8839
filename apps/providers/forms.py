"""The form of a provider, made from what its type's Config says of each setting."""

from types import NoneType
from typing import Any, Literal, get_args, get_origin

from django import forms
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import from_json, to_json

from apps.core.widgets import LongText
from apps.providers import types
from apps.providers.models import Provider
from apps.providers.types import Config

REMOVE = "remove_"
WHETHER = {"": "By the address", "true": "Yes", "false": "No"}


class JsonField(forms.JSONField):
    """JSON text of any shape."""

    widget = LongText(attrs={"rows": 8, "spellcheck": "false", "autocomplete": "off"})

    def prepare_value(self, value: Any) -> Any:
        """Show data as indented JSON, and what somebody typed as they typed it."""
        return value if isinstance(value, str) else to_json(value, indent=2).decode()


class LinesField(forms.CharField):
    """A list of texts, one a line."""

    widget = LongText(attrs={"rows": 3, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """Show a list as lines."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Return the lines that hold something."""
        return [line.strip() for line in (value or "").splitlines() if line.strip()]


class ProviderForm(forms.Form):
    """A provider's name and its settings; secrets are written and never shown."""

    provider_id = forms.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=100,
        label="Name",
        help_text="Models are addressed as name/model.",
        error_messages={"invalid": "Letters, digits, dots, dashes and underscores only."},
    )

    def __init__(self, *args: Any, row: Provider, **options: Any) -> None:
        self.row = row
        self.kept = row.readable_secrets
        self.config_type: type[Config] = types.backend(row.api, row.provider_type).Config
        options["initial"] = {"provider_id": row.provider_id, **row.config}
        super().__init__(*args, **options)
        if row.pk:
            del self.fields["provider_id"]  # models are addressed by it
        for name, info in self.config_type.model_fields.items():
            self.fields[name] = self._field(name, info)
            if name in self.kept:
                self.fields[REMOVE + name] = forms.BooleanField(
                    required=False, label=f"Remove the stored {_words(name)}"
                )

    def _field(self, name: str, info: FieldInfo) -> forms.Field:
        if name in self.config_type.secret_names():
            state = self._state_of(name)
            widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
            return forms.CharField(
                required=False,
                label=_label(name),
                help_text=state + (info.description or ""),
                widget=widget,
                strip=True,
            )
        return field_of(name, info)

    def _state_of(self, secret: str) -> str:
        if secret in self.kept:
            return "Set; leave it empty to keep it. "
        if secret in self.row.secrets_set:
            return "It cannot be read because SECRET_KEY has changed: enter it again. "
        return ""

    def clean_provider_id(self) -> str:
        """Refuse a name that is taken."""
        name = str(self.cleaned_data["provider_id"])
        if name == "new":
            raise forms.ValidationError("This name is kept for the page that makes providers.")
        if Provider.objects.filter(provider_id=name).exists():
            raise forms.ValidationError(f"There is a provider '{name}' already.")
        return name

    def clean(self) -> dict[str, Any]:
        """Check the settings together, as the backend will read them."""
        cleaned = super().clean() or {}
        plain, secrets = self.settings(), self.secrets()
        try:
            self.config_type.model_validate({**plain, **secrets})
        except ValidationError as error:
            for one in error.errors(include_url=False, include_input=False, include_context=False):
                place = str(one["loc"][0]) if one["loc"] else None
                if place is None or (place in self.fields and place not in self.errors):
                    self.add_error(place, _told(one))
        return cleaned

    def settings(self) -> dict[str, Any]:
        """Return the settings that differ from what the type takes without being told."""
        found = {}
        for name, info in self.config_type.model_fields.items():
            value = self.cleaned_data.get(name)
            usual = None if info.is_required() else info.get_default(call_default_factory=True)
            if name not in self.config_type.secret_names() and value not in (None, "", usual):
                found[name] = value
        return found

    def secrets(self) -> dict[str, str]:
        """Return the secrets to keep: new ones, and stored ones that nobody removed."""
        secrets = {}
        for name in self.config_type.secret_names():
            new = self.cleaned_data.get(name)
            if new:
                secrets[name] = str(new)
            elif name in self.kept and not self.cleaned_data.get(REMOVE + name):
                secrets[name] = self.kept[name]
        return secrets

    def save(self) -> Provider:
        """Store the provider and return its row."""
        self.row.provider_id = self.cleaned_data.get("provider_id") or self.row.provider_id
        self.row.config = self.settings()
        self.row.keep_secrets(self.secrets())
        self.row.from_environment = False  # what somebody changed by hand is no longer the environment's
        self.row.save()
        return self.row


def field_of(name: str, info: FieldInfo) -> forms.Field:
    """Return the form field for one setting, by its type."""
    options: dict[str, Any] = {
        "required": info.is_required(),
        "label": _label(name),
        "help_text": info.description or "",
    }
    if not info.is_required():
        options["initial"] = info.get_default(call_default_factory=True)
    kinds = [kind for kind in get_args(info.annotation) or (info.annotation,) if kind is not NoneType]
    if get_origin(info.annotation) is Literal:
        return forms.ChoiceField(choices=[(value, value) for value in get_args(info.annotation)], **options)
    if kinds == [bool]:
        return forms.TypedChoiceField(choices=WHETHER, coerce=lambda text: text == "true", empty_value=None, **options)
    if info.annotation == list[str]:
        return LinesField(**options)
    if get_origin(info.annotation) in (list, dict):
        options["initial"] = from_json(to_json(options.get("initial")))
        return JsonField(**options)
    for kind, field in ((int, forms.IntegerField), (float, forms.FloatField)):
        if kinds == [kind]:
            return field(**options)
    return forms.CharField(**options)


def _label(name: str) -> str:
    return _words(name).capitalize().replace("url", "URL").replace("Api", "API")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _told(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"][1:])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else f"{message[:1].upper()}{message[1:]}."
