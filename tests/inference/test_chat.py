"""Finding models: by id, by a unique name, cheaply, and never after they are gone."""

from typing import Any

import pytest

from apps.core import db
from apps.core.errors import BadRequest, NotFound, ProviderError
from apps.inference import chat
from apps.inference.models import Model, Source
from apps.providers.models import Provider
from tests import build

pytestmark = pytest.mark.django_db(transaction=True)


def two_providers() -> tuple[Provider, Provider]:
    return build.provider("one"), build.provider("two")


async def test_a_model_is_found_by_its_id_and_by_a_name_only_one_has(model: str) -> None:
    by_id, by_name = await chat.find(model), await chat.find("scripted")

    assert by_id.identifier == by_name.identifier == "scripted/scripted"
    assert (by_id.provider_id, by_id.name) == ("scripted", "scripted")
    assert by_id.provider is by_name.provider


async def test_a_name_two_providers_have_is_not_guessed() -> None:
    for row in await db.read(two_providers):
        await db.write(build.model, row, "same")

    with pytest.raises(NotFound, match="one/same, two/same"):
        await chat.find("same")


async def test_an_unknown_model_is_told_with_those_there_are(model: str) -> None:
    with pytest.raises(NotFound, match=f"'nope' not found.*{model}"):
        await chat.find("nope")


async def test_a_model_for_something_else_is_refused() -> None:
    row = await db.write(build.provider)
    await db.write(build.model, row, "vectors", "embedding")

    with pytest.raises(BadRequest, match="for embedding, not for chat"):
        await chat.find("scripted/vectors")


async def test_finding_again_asks_the_database_nothing(model: str) -> None:
    await chat.find(model)
    asked: list[Any] = []
    real = chat._look
    chat._look = lambda kept: asked.append(kept) or real(kept)  # type: ignore[func-returns-value]
    try:
        for _ in range(50):
            await chat.find(model)
    finally:
        chat._look = real

    assert asked == []


async def test_a_change_is_seen_at_once(model: str) -> None:
    before = (await chat.find(model)).provider

    await db.write(lambda: Provider.objects.get(provider_id="scripted").save())
    after = (await chat.find(model)).provider
    await db.write(lambda: Provider.objects.get(provider_id="scripted").delete())

    assert after is not before
    with pytest.raises(NotFound):
        await chat.find(model)


async def test_a_change_of_another_process_is_seen_after_two_seconds(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await chat.find(model)
    await db.write(lambda: Model.objects.all().delete() and None)

    monkeypatch.setattr(chat, "FRESH_S", 0)
    with pytest.raises(NotFound):
        await chat.find(model)


@pytest.mark.parametrize("state", [{"enabled": False}, {"source": Source.LISTED, "missing_since": "2026-01-01T00:00Z"}])
async def test_a_model_that_is_off_or_gone_is_not_found(model: str, state: dict[str, Any]) -> None:
    await db.write(lambda: Model.objects.update(**state))
    chat.forget()

    with pytest.raises(NotFound):
        await chat.find(model)


async def test_a_provider_whose_settings_do_not_fit_is_a_failure_of_the_provider() -> None:
    row = await db.write(build.provider, "bad", "remote::openai", config={"base_url": "nowhere"})
    await db.write(build.model, row, "m")

    with pytest.raises(ProviderError, match="base_url") as caught:
        await chat.find("bad/m")
    assert caught.value.status == 502


def catalogue() -> None:
    embedded, far = build.provider("embedded", "inline::llama-cpp"), build.provider("far")
    for name, demo in (("smollm2-135m", True), ("qwen2.5-coder-0.5b", False), ("qwen2.5-coder-1.5b", False)):
        build.model(embedded, name, metadata={"demo": demo})
    build.model(far, "big")


async def test_the_default_is_the_best_that_is_there() -> None:
    assert await chat.default() is None
    await db.write(catalogue)
    order = []
    while name := await chat.default():
        order.append(name.split("/")[1])
        await db.write(lambda gone=name: Model.objects.get(identifier=gone).delete() and None)

    assert order == ["qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b", "big", "smollm2-135m"]
