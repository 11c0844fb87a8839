"""System checks: every provider type that settings name loads and has what its API asks for."""

import inspect
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string
from pydantic import BaseModel

# Where each API says what it asks of a backend.
PROTOCOLS = {"inference": "apps.inference.providers.base.InferenceProvider"}


@register()
def provider_types(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Return an error for each type in PROVIDER_TYPES that cannot be used."""
    return [
        Error(problem, hint=f"Mend settings.PROVIDER_TYPES[{api!r}][{name!r}].", id="providers.E001")
        for api, types in settings.PROVIDER_TYPES.items()
        for name, path in types.items()
        for problem in _problems(api, path)
    ]


def _problems(api: str, path: str) -> list[str]:
    try:
        backend = import_string(path)
    except ImportError as error:
        return [f"{path} cannot be imported: {error}"]
    problems = []
    config = getattr(backend, "Config", None)
    if not (inspect.isclass(config) and issubclass(config, BaseModel)):
        problems.append(f"{path} has no Config that is a pydantic model.")
    protocol = import_string(PROTOCOLS[api]) if api in PROTOCOLS else None
    missing = [name for name in _methods(protocol) if not callable(getattr(backend, name, None))]
    if missing:
        problems.append(f"{path} lacks {', '.join(missing)} of {PROTOCOLS[api]}.")
    return problems


def _methods(protocol: Any) -> list[str]:
    if protocol is None:
        return []
    return [name for name, member in vars(protocol).items() if inspect.isfunction(member) and not name.startswith("_")]
