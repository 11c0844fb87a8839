"""What probes ask: answered without a key and under any name, telling strangers no more than which part fails."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.console import health


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """Migrations are looked at anew."""
    health._migrations.cache_clear()
    yield
    health._migrations.cache_clear()


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["testserver", "192.0.2.7:8000", "elsewhere.example"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_answered_under_any_name(client: Client, path: str, host: str) -> None:
    answer = client.get(path, headers={"host": host})

    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


async def test_probes_are_answered_by_the_server_itself(client_for: Any) -> None:
    probe = client_for("", host="192.0.2.7:8000")

    assert (await probe.get("/healthz")).json() == {"status": "ok"}
    assert (await probe.get("/readyz")).json() == {
        "status": "ok",
        "database": "ok",
        "migrations": "ok",
        "cache": "ok",
    }


@pytest.mark.django_db
def test_what_fails_is_named_and_why_is_logged(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise OSError("no route to cache.internal as user console")

    monkeypatch.setattr(caches["default"], "set", broken)
    with caplog.at_level(logging.WARNING):
        answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "database": "ok", "migrations": "ok", "cache": "failed"}
    assert "no route to cache.internal" in caplog.text


@pytest.mark.django_db
def test_migrations_are_asked_for_until_they_are_applied(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as early:
        early.setattr(MigrationExecutor, "migration_plan", lambda *_: ["0002_more"])
        assert client.get("/readyz").json()["migrations"] == "failed"

    assert client.get("/readyz").json()["migrations"] == "ok"
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/readyz").json()["migrations"] == "ok"
    assert len(queries) <= 1
