"""Tool groups as rows keep them: their arguments may be keys and passwords, so they are encrypted at rest."""

import logging
from typing import Any

from pydantic_core import from_json, to_json

from apps.core.errors import ProviderError
from apps.core.fields import FastJSONField, SchemaField
from apps.providers.secrets import seal, unseal

log = logging.getLogger(__name__)
SEALED = "~sealed"  # the one argument of a group whose arguments are encrypted


def sealed(groups: Any) -> Any:
    """Return tool groups with their arguments encrypted; whatever else is given comes back as it is."""
    return [_each(group, _seal) for group in groups] if isinstance(groups, list) else groups


def opened(groups: Any) -> Any:
    """Return stored tool groups with their arguments; without any, and a line in the log, when they cannot be read."""
    return [_each(group, _open) for group in groups] if isinstance(groups, list) else groups


class GroupsField(FastJSONField):
    """A column of tool groups."""

    def kept(self, value: Any) -> Any:
        """Return the groups as they are stored."""
        return sealed(value)

    def given(self, value: Any) -> Any:
        """Return stored groups as they were given."""
        return opened(value)


class ConfigField(SchemaField):
    """A column that holds an agent's configuration, its tool groups among the rest."""

    def kept(self, value: Any) -> Any:
        """Return a configuration as it is stored."""
        return value | {"toolgroups": sealed(value["toolgroups"])} if _has_groups(value) else value

    def given(self, value: Any) -> Any:
        """Return a stored configuration as it was given."""
        return value | {"toolgroups": opened(value["toolgroups"])} if _has_groups(value) else value


def _has_groups(value: Any) -> bool:
    return isinstance(value, dict) and bool(value.get("toolgroups"))


def _each(group: Any, change: Any) -> Any:
    args = group.get("args") if isinstance(group, dict) else None
    return {**group, "args": change(args, group)} if isinstance(args, dict) and args else group


def _seal(args: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    return args if set(args) == {SEALED} else {SEALED: seal({"args": to_json(args).decode()})}


def _open(args: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    if set(args) != {SEALED}:
        return args
    try:
        return dict(from_json(unseal(args[SEALED], str(group.get("name")))["args"]))
    except ProviderError:
        log.warning("SECRET_KEY has changed: the arguments of tool group '%s' are lost", group.get("name"))
        return {}
