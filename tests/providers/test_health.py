"""Health: asked in the background, stored, announced, and never an exception."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from apps.core import db, live
from apps.inference.models import Model
from apps.providers import health, instances
from apps.providers.models import Health, Provider
from tests import build
from tests.processes import free_port

pytestmark = pytest.mark.django_db(transaction=True)


def row_of(provider_id: str = "scripted") -> Provider:
    return Provider.objects.get(provider_id=provider_id)


async def made(provider_id: str = "scripted", provider_type: str = "inline::scripted", **fields: Any) -> Provider:
    row: Provider = await db.write(build.provider, provider_id, provider_type, **fields)
    return row


async def test_a_good_check_is_stored_and_lists_the_models() -> None:
    await health.check(await made())

    row = await db.read(row_of)
    assert (row.health, row.health_error) == (Health.OK, "") and row.checked_at
    assert await db.read(Model.objects.count) == 2


async def test_an_unreachable_server_is_told_with_its_address() -> None:
    port = free_port()
    row = await health.check(await made("far", "remote::openai", config={"base_url": f"http://127.0.0.1:{port}/v1"}))
    await instances.close()

    assert row.health == Health.ERROR and str(port) in row.health_error
    assert (await db.read(row_of, "far")).health_error == row.health_error


async def test_settings_that_do_not_fit_are_a_failed_check() -> None:
    row = await health.check(await made("bad", "remote::openai"))

    assert row.health == Health.ERROR and "base_url" in row.health_error


async def test_a_backend_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TIMEOUT_S", 0.05)
    row = await made()
    monkeypatch.setattr(instances.instance(row), "health", lambda: asyncio.sleep(30))

    assert "No answer" in (await health.check(row)).health_error


async def test_a_backend_with_a_bug_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    row = await made()

    async def broken() -> None:
        raise ZeroDivisionError("internals")

    monkeypatch.setattr(instances.instance(row), "health", broken)

    assert (await health.check(row)).health_error == "ZeroDivisionError: see the log of the server."


async def test_only_a_change_is_announced() -> None:
    row = await made()
    number = await live.head(health.TOPIC)

    for _ in range(2):
        row = await health.check(row)

    events = await live.since(health.TOPIC, number)
    assert [event["health"] for _, event in events or []] == ["ok"]


async def test_only_providers_nobody_asked_lately_are_asked() -> None:
    await made("due", checked_at=now() - timedelta(minutes=1))
    await made("fresh", checked_at=now())
    await made("off", enabled=False)

    await health.check_all()

    assert (await db.read(row_of, "due")).health == Health.OK
    assert {(await db.read(row_of, name)).health for name in ("fresh", "off")} == {Health.UNKNOWN}


async def test_two_processes_do_not_both_ask() -> None:
    await made()
    rows = [await db.read(row_of), await db.read(row_of)]

    assert [await db.write(health._claim, row) for row in rows] == [True, False]


async def test_the_watch_checks_once_it_is_started_and_is_started_once() -> None:
    await made()

    task = health.watch()
    assert health.watch() is task
    async with asyncio.timeout(5):
        while (await db.read(row_of)).health != Health.OK:
            await asyncio.sleep(0.02)
    task.cancel()


async def test_the_watch_outlives_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "EVERY_S", 0.01)
    tries: list[int] = []

    async def failing() -> None:
        tries.append(1)
        raise OSError("the database is away")

    monkeypatch.setattr(health, "check_all", failing)
    task = health.watch()
    async with asyncio.timeout(5):
        while len(tries) < 3:
            await asyncio.sleep(0.01)
    task.cancel()


async def test_providers_are_told_by_the_api_without_their_secrets(client_for: Any) -> None:
    def sealed() -> None:
        row = Provider(provider_id="far", provider_type="remote::openai", config={"base_url": "http://127.0.0.1:9/v1"})
        row.keep_secrets({"api_key": "sk-hidden"})
        row.health, row.health_error = Health.ERROR, "It is away."
        row.save()

    await db.write(sealed)
    viewer = client_for("viewer")

    listed, one = await viewer.get("/v1/providers"), await viewer.get("/v1/providers/far")

    assert listed.json() == {"data": [one.json()]} and "sk-hidden" not in listed.text
    assert one.json() == {
        "api": "inference",
        "provider_id": "far",
        "provider_type": "remote::openai",
        "config": {"base_url": "http://127.0.0.1:9/v1", "api_key": "********"},
        "health": {"status": "Error", "message": "It is away."},
    }
    assert (await viewer.get("/v1/providers/near")).status_code == 404
