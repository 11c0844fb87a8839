"""Names that many spans share, told once: keys of attributes, and resources. Known ones cost no query.

Each row keeps when it was last looked up: ``retention`` deletes those nobody can be using any more. What is remembered
here is therefore looked up anew every few hours.
"""

import time
from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import QuerySet

from apps.telemetry.bulk import chunked, clean
from apps.telemetry.models import NAME, AttributeKey, Resource
from apps.telemetry.records import Json, digest

ASKED = 5_000
REMEMBERED = 50_000
SEEN_S = 6 * 3600  # what was looked up so long ago is looked up again; far less than retention's day of grace
_keys: dict[str, int] = {}
_resources: dict[str, int] = {}
_since = 0.0


def key(name: str) -> str:
    """Return an attribute's name as its key is kept."""
    return clean(name)[:NAME]


def keys(names: Iterable[str]) -> dict[str, int]:
    """Return the primary key of each name's key; new names are stored."""
    _forget_in_time()
    wanted = {key(name) for name in names}
    missing = sorted(wanted - _keys.keys())
    if not missing:
        return {name: _keys[name] for name in wanted}
    AttributeKey.objects.bulk_create(
        [AttributeKey(name=name, seen_s=int(time.time())) for name in missing], ignore_conflicts=True
    )
    found: dict[str, int] = {}
    for some in chunked(missing, ASKED):
        rows = AttributeKey.objects.filter(name__in=some)
        _see(rows)
        found |= dict(rows.values_list("name", "pk"))
    _remember(_keys, found)
    return {name: _keys[name] if name in _keys else found[name] for name in wanted}


def resources(told: Sequence[Json]) -> list[int | None]:
    """Return the primary key of each resource, None for one that tells nothing; new ones are stored."""
    _forget_in_time()
    # Spans of one process share the dict of its resource, which is then looked at once.
    distinct = {id(one): one for one in told if one}
    digests = {number: digest(one) for number, one in distinct.items()}
    by_digest = {digests[number]: one for number, one in distinct.items()}
    missing = sorted(by_digest.keys() - _resources.keys())
    found = {one: _resources[one] for one in by_digest.keys() & _resources.keys()}
    if missing:
        Resource.objects.bulk_create([_row(one, by_digest[one]) for one in missing], ignore_conflicts=True)
        for some in chunked(missing, ASKED):
            rows = Resource.objects.filter(digest__in=some)
            _see(rows)
            found |= dict(rows.values_list("digest", "pk"))
        _remember(_resources, {one: found[one] for one in missing})
    return [found[digests[id(one)]] if one else None for one in told]


def forget() -> None:
    """Ask the database again; tests that empty it call this."""
    _keys.clear()
    _resources.clear()


def _row(one: str, told: Json) -> Resource:
    name = told.get("service.name")
    service = clean(name)[:NAME] if isinstance(name, str) else ""
    return Resource(digest=one, service=service, attributes=told, seen_s=int(time.time()))


def _see(rows: "QuerySet[AttributeKey] | QuerySet[Resource]") -> None:
    rows.filter(seen_s__lt=time.time() - SEEN_S // 2).update(seen_s=int(time.time()))


def _forget_in_time() -> None:
    global _since
    if time.monotonic() - _since > SEEN_S:
        forget()
        _since = time.monotonic()


def _remember(cache: dict[str, int], found: dict[str, int]) -> None:
    """Keep what was found once it is sure to stay."""

    def keep() -> None:
        if len(cache) + len(found) > REMEMBERED:
            cache.clear()
        cache.update(found)

    transaction.on_commit(keep)
