"""Providers as the API tells them."""

from typing import Any, Literal

from apps.core.spec import SpecModel


class HealthInfo(SpecModel):
    """What the last check found."""

    status: Literal["OK", "Error", "Not Implemented"]
    message: str | None = None


class ProviderInfo(SpecModel):
    """A configured backend; secrets read ``********``."""

    api: str
    provider_id: str
    provider_type: str
    config: dict[str, Any]
    health: dict[str, Any]


class ListProvidersResponse(SpecModel):
    """Every configured backend."""

    data: list[ProviderInfo]
