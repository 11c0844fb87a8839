"""The providers that exist without anybody configuring them: from the environment, and the embedded one."""

from typing import Any

from django.conf import settings
from django.db import transaction

from apps.providers.models import Provider

OPENAI = "openai"
EMBEDDED = "embedded"


def ensure() -> None:
    """Create or update the rows that settings ask for; calling it again changes nothing.

    ``OPENAI_BASE_URL`` or ``OPENAI_API_KEY`` make provider ``openai``; ``EMBEDDED_MODELS`` makes ``embedded``.
    """
    with transaction.atomic():
        if settings.OPENAI_BASE_URL or settings.OPENAI_API_KEY:
            address = settings.OPENAI_BASE_URL or "https://api.openai.com/v1"
            _ensure_openai(address.rstrip("/"), settings.OPENAI_API_KEY)
        if settings.EMBEDDED_MODELS:
            defaults: dict[str, Any] = {"provider_type": "inline::llama-cpp", "from_environment": True}
            Provider.objects.get_or_create(provider_id=EMBEDDED, defaults=defaults)


def _ensure_openai(address: str, key: str) -> None:
    row = Provider.objects.filter(provider_id=OPENAI).first()
    if row is None:
        row = Provider(provider_id=OPENAI, provider_type="remote::openai", from_environment=True)
    elif not row.from_environment:
        return  # an operator made this one by hand: it is theirs
    elif row.config.get("base_url") == address and row.readable_secrets.get("api_key", "") == key:
        return
    row.config = row.config | {"base_url": address}
    row.keep_secrets({"api_key": key})
    row.save()
