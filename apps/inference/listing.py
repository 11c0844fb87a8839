"""Keeps Model rows in step with what providers list: new ones added, gone ones marked, registered ones left alone."""

from typing import Any

from django.db import transaction
from django.utils.timezone import now

from apps.core import db
from apps.inference import chat
from apps.inference.models import Model, Source
from apps.providers.instances import instance
from apps.providers.models import Provider


async def refresh(provider: Provider) -> None:
    """Ask a provider for its models and store what changed; raises ProviderError when it cannot say."""
    listed = await instance(provider).models()
    if await db.read(_is_old, provider, listed):
        await db.write(store, provider, listed)
        chat.forget()


def _is_old(provider: Provider, listed: list[dict[str, Any]]) -> bool:
    known = {row.provider_resource_id: row for row in _listed_rows(provider)}
    present = {name for name, row in known.items() if row.missing_since is None}
    wanted = _not_registered(provider, listed)
    return present != set(wanted) or any(known[name].differs(entry) for name, entry in wanted.items())


def store(provider: Provider, listed: list[dict[str, Any]]) -> None:
    """Make the rows of a provider say what it lists."""
    with transaction.atomic():
        known = {row.provider_resource_id: row for row in _listed_rows(provider)}
        for name, entry in _not_registered(provider, listed).items():
            _store_one(provider, known.pop(name, None), entry)
        for row in known.values():
            if row.missing_since is None:
                row.missing_since = now()
                row.save()


def _listed_rows(provider: Provider) -> Any:
    return Model.objects.filter(provider=provider, source=Source.LISTED)


def _not_registered(provider: Provider, listed: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the entries by name, without those whose identifier an operator registered: theirs counts."""
    registered = set(Model.objects.filter(source=Source.REGISTERED).values_list("identifier", flat=True))
    return {entry["id"]: entry for entry in listed if _identifier(provider, entry["id"]) not in registered}


def _identifier(provider: Provider, name: str) -> str:
    return f"{provider.provider_id}/{name}"


def _store_one(provider: Provider, row: Model | None, entry: dict[str, Any]) -> None:
    name = entry["id"]
    if row is None:
        row = Model(
            identifier=_identifier(provider, name), provider=provider, provider_resource_id=name, source=Source.LISTED
        )
    elif row.missing_since is None and not row.differs(entry):
        return
    row.model_type, row.metadata, row.missing_since = entry["model_type"], entry["metadata"], None
    row.save()
