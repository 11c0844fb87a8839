"""What an agent may name on this server. Tool groups and shields are looked up as a turn looks them up."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync

from apps.core.errors import ConsoleError
from apps.core.spec import did_you_mean
from apps.inference.models import Model
from apps.providers.models import Health
from apps.safety import shields
from apps.tools import runtime as tools


@dataclass(frozen=True)
class KnownModel:
    """A model that can be chosen."""

    identifier: str
    is_embedded: bool
    is_demo: bool
    is_reachable: bool


def models() -> list[KnownModel]:
    """Return the language models, the one to begin with first: built in, real before demo; one query."""
    known = [_known(row) for row in Model.objects.offered().filter(model_type="llm").order_by("identifier")]
    return sorted(known, key=lambda model: (not model.is_embedded, model.is_demo, not model.is_reachable))


def _known(row: Model) -> KnownModel:
    return KnownModel(
        identifier=row.identifier,
        is_embedded=row.provider.provider_type == "inline::llama-cpp",
        is_demo=row.is_demo,
        is_reachable=row.provider.health != Health.ERROR,
    )


def why_not_model(identifier: str, known: list[KnownModel]) -> str:
    """Return why this model cannot be used, empty when it can."""
    names = [model.identifier for model in known]
    if identifier in names or not identifier:
        return ""
    return f"There is no language model '{identifier}' on this server{did_you_mean(identifier, names)}."


def why_not_toolgroup(name: str) -> str:
    """Return why this tool group cannot be used, empty when it can."""
    return _refusal(lambda: async_to_sync(tools.collect)({name: {}}))


def why_not_shield(shield_id: str) -> str:
    """Return why this shield cannot be used, empty when it can."""
    return _refusal(lambda: async_to_sync(shields.find)([shield_id]))


def _refusal(ask: Callable[[], Any]) -> str:
    try:
        ask()
    except ConsoleError as error:
        return error.detail
    return ""
