"""Provider types: settings name them, classes are them, pydantic models say what each can be told."""

from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from apps.core.errors import BadRequest, explain_model


class Config(BaseModel):
    """The base of every backend's settings: unknown names are refused; fields of type SecretStr are secrets."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @classmethod
    def secret_names(cls) -> list[str]:
        """Return which fields are secrets."""
        return [
            name
            for name, field in cls.model_fields.items()
            if SecretStr in (field.annotation, *_args(field.annotation))
        ]


def _args(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", ())


def known(api: str) -> list[str]:
    """Return the types of an API that settings name."""
    return list(settings.PROVIDER_TYPES.get(api, {}))


def backend(api: str, provider_type: str) -> Any:
    """Return the class behind a type; raises BadRequest for a type settings do not name."""
    path = settings.PROVIDER_TYPES.get(api, {}).get(provider_type)
    if path is None:
        raise BadRequest(f"No provider type '{provider_type}' for {api}. Known: {', '.join(known(api)) or 'none'}.")
    return import_string(path)


def check_config(api: str, provider_type: str, values: dict[str, Any]) -> Config:
    """Return settings and secrets together as the type's Config; raises BadRequest naming each wrong one."""
    config: type[Config] = backend(api, provider_type).Config
    try:
        return config.model_validate(values)
    except ValidationError as error:
        raise BadRequest(f"config: {explain_model(error)}") from None
