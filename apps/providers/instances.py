"""From a row to the backend it describes: built on first use, built anew when the row changed."""

import threading
from datetime import datetime
from typing import Any

from apps.core.errors import BadRequest, ProviderError
from apps.providers import types
from apps.providers.models import Provider

_built: dict[int, tuple[datetime, Any]] = {}
_building = threading.Lock()


def instance(row: Provider) -> Any:
    """Return the backend of this row, the same one until the row is saved again.

    Raises ProviderError when the provider is disabled or its settings do not fit its type.
    """
    if not row.enabled:
        raise ProviderError(f"Provider '{row.provider_id}' is disabled.")
    kept = _built.get(row.pk)
    if kept and kept[0] == row.updated_at:
        return kept[1]
    with _building:
        kept = _built.get(row.pk)
        if kept and kept[0] == row.updated_at:
            return kept[1]
        backend = build(row)
        # The old one is let go, not closed: streams that began on it run to their end.
        _built[row.pk] = (row.updated_at, backend)
    return backend


def build(row: Provider) -> Any:
    """Return a new backend for a row that need not be saved; raises ProviderError when it cannot be used."""
    try:
        config = types.check_config(row.api, row.provider_type, row.config | row.secrets)
        return types.backend(row.api, row.provider_type)(row.provider_id, config)
    except BadRequest as error:
        raise ProviderError(f"Provider '{row.provider_id}' cannot be used. {error.detail}") from None


async def close() -> None:
    """Close the connections kept backends have in this loop; they may be used again."""
    for _, backend in list(_built.values()):
        await backend.close()


def forget() -> None:
    """Drop every kept backend; tests call it between databases."""
    _built.clear()
