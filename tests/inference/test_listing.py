"""Rows of models follow what providers list."""

from typing import Any

import pytest

from apps.inference import listing
from apps.inference.models import Model, Source
from tests import build

pytestmark = pytest.mark.django_db(transaction=True)


def entries(*names: str, **metadata: Any) -> list[dict[str, Any]]:
    return [{"id": name, "model_type": "llm", "metadata": metadata} for name in names]


def states() -> dict[str, bool]:
    return {row.identifier: row.missing_since is None for row in Model.objects.all()}


def test_what_is_listed_is_kept_and_what_is_gone_is_marked() -> None:
    row = build.provider("far")

    listing.store(row, entries("a", "b"))
    listing.store(row, entries("b", "c"))

    assert states() == {"far/a": False, "far/b": True, "far/c": True}


def test_what_comes_back_is_offered_again() -> None:
    row = build.provider("far")
    for listed in (entries("a"), entries(), entries("a")):
        listing.store(row, listed)

    assert states() == {"far/a": True}


def test_changed_facts_are_taken_over_and_switched_off_stays_off() -> None:
    row = build.provider("far")
    listing.store(row, entries("a"))
    Model.objects.update(enabled=False)

    listing.store(row, entries("a", size=5))

    model = Model.objects.get()
    assert model.metadata == {"size": 5} and not model.enabled


def test_a_registered_model_is_left_alone() -> None:
    row = build.provider("far")
    build.model(row, "a", "embedding", source=Source.REGISTERED)

    listing.store(row, entries("a"))
    listing.store(row, entries())

    model = Model.objects.get()
    assert (model.model_type, model.missing_since) == ("embedding", None)
    assert not listing._is_old(row, entries("a"))


async def test_refreshing_asks_the_provider_and_writes_only_changes(scripted: Any) -> None:
    await listing.db.write(scripted, models=["one", "two"])
    row = await listing.db.read(lambda: Model.objects.select_related("provider").get().provider)

    await listing.refresh(row)
    first = await listing.db.read(lambda: dict(Model.objects.values_list("identifier", "updated_at")))
    await listing.refresh(row)
    second = await listing.db.read(lambda: dict(Model.objects.values_list("identifier", "updated_at")))

    assert {"scripted/one", "scripted/two", "scripted/vectors"} <= set(first) and first == second
