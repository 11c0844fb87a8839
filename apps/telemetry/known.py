"""Names that many spans share, told once: keys of attributes, and resources. Known ones cost no query."""

from collections.abc import Iterable

from django.db import transaction

from apps.telemetry.bulk import chunked, clean
from apps.telemetry.models import AttributeKey, Resource
from apps.telemetry.records import Json, digest

ASKED = 5_000
REMEMBERED = 50_000
_keys: dict[str, int] = {}
_resources: dict[str, int] = {}


def key(name: str) -> str:
    """Return an attribute's name as its key is kept."""
    return clean(name)[:255]


def keys(names: Iterable[str]) -> dict[str, int]:
    """Return the primary key of each name's key; new names are stored."""
    wanted = {key(name) for name in names}
    missing = sorted(wanted - _keys.keys())
    if not missing:
        return {name: _keys[name] for name in wanted}
    AttributeKey.objects.bulk_create([AttributeKey(name=name) for name in missing], ignore_conflicts=True)
    found: dict[str, int] = {}
    for some in chunked(missing, ASKED):
        found |= dict(AttributeKey.objects.filter(name__in=some).values_list("name", "pk"))
    _remember(_keys, found)
    return {name: _keys[name] if name in _keys else found[name] for name in wanted}


def resources(told: Iterable[Json]) -> dict[str, int]:
    """Return the primary key of each resource by its digest; new ones are stored."""
    by_digest = {digest(one): one for one in told if one}
    missing = sorted(by_digest.keys() - _resources.keys())
    if missing:
        rows = [_row(one, by_digest[one]) for one in missing]
        Resource.objects.bulk_create(rows, ignore_conflicts=True)
        found = dict(Resource.objects.filter(digest__in=missing).values_list("digest", "pk"))
        _remember(_resources, found)
        return {one: _resources[one] if one in _resources else found[one] for one in by_digest}
    return {one: _resources[one] for one in by_digest}


def resource_of(told: Json, by_digest: dict[str, int]) -> int | None:
    """Return the primary key of a span's resource, None when it told none."""
    return by_digest[digest(told)] if told else None


def forget() -> None:
    """Ask the database again; tests that empty it call this."""
    _keys.clear()
    _resources.clear()


def _row(one: str, told: Json) -> Resource:
    name = told.get("service.name")
    return Resource(digest=one, service=clean(name)[:255] if isinstance(name, str) else "", attributes=told)


def _remember(cache: dict[str, int], found: dict[str, int]) -> None:
    """Keep what was found once it is sure to stay."""

    def keep() -> None:
        if len(cache) + len(found) > REMEMBERED:
            cache.clear()
        cache.update(found)

    transaction.on_commit(keep)
