"""Configured backends, read-only: they are changed on their pages, where secrets are entered."""

from django.http import HttpRequest, HttpResponse
from ninja import Router

from apps.core import db
from apps.core.answers import answer
from apps.providers import schemas
from apps.providers.models import Health, Provider

router = Router(tags=["Providers"])
STATUS = {Health.OK: "OK", Health.ERROR: "Error", Health.UNKNOWN: "Not Implemented"}


@router.get(
    "/providers", response=schemas.ListProvidersResponse, operation_id="list_providers", url_name="list_providers"
)
async def list_providers(request: HttpRequest) -> HttpResponse:
    """List the configured backends with what their last health check said."""
    rows = await db.read(lambda: list(Provider.objects.filter(enabled=True)))
    return answer(schemas.ListProvidersResponse(data=[_info(row) for row in rows]))


@router.get(
    "/providers/{provider_id}",
    response=schemas.ProviderInfo,
    operation_id="inspect_provider",
    url_name="inspect_provider",
)
async def inspect_provider(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Read one backend."""
    return answer(_info(await db.read(Provider.objects.named, provider_id)))


def _info(row: Provider) -> schemas.ProviderInfo:
    health = schemas.HealthInfo(status=STATUS[Health(row.health)], message=_message(row))
    return schemas.ProviderInfo(
        api=row.api,
        provider_id=row.provider_id,
        provider_type=row.provider_type,
        config=row.shown_config(),
        health=health.model_dump(exclude_none=True),
    )


def _message(row: Provider) -> str | None:
    if not row.enabled:
        return "Disabled."
    return row.health_error or (None if row.health == Health.OK else "Not checked yet.")
