"""API keys at the door of the API: who gets in, for how long, how often, and at what price."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from apps.accounts import keys
from apps.accounts.models import ApiKey, AuditLine, User
from apps.core import db
from apps.core.errors import ConsoleError, Forbidden, Unauthorized
from tests import build

Clients = Callable[..., httpx2.AsyncClient]
AGENTS = "/v1alpha/agents"


def recognised(token: str) -> Any:
    return keys.recognise(token, "192.0.2.1", "request-1")


@pytest.mark.parametrize("header", ["", "Basic bWFyYTo=", "Bearer", "Bearer nonsense", "Bearer sc_0123456789ab_wrong"])
async def test_a_call_without_a_known_key_is_401(client_for: Clients, header: str) -> None:
    answer = await client_for("").get(AGENTS, headers={"Authorization": header} if header else {})

    assert answer.status_code == 401
    assert answer.json()["title"] == "Unauthorized"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_key_opens_what_its_role_may(client_for: Clients) -> None:
    config = {"agent_config": build.config()}

    assert (await client_for("viewer").get(AGENTS)).status_code == 200
    refused = await client_for("viewer").post(AGENTS, json=config)

    assert refused.status_code == 403
    assert "needs operator" in refused.json()["detail"]


async def test_a_revoked_key_is_refused_on_its_next_call(client_for: Clients) -> None:
    client = client_for("operator")
    assert (await client.get(AGENTS)).status_code == 200

    await db.write(ApiKey.objects.revoke, (await db.read(ApiKey.objects.get, role="operator")).pk)

    answer = await client.get(AGENTS)
    assert answer.status_code == 401
    assert "revoked" in answer.json()["detail"]


async def test_a_key_over_its_rate_is_told_when_to_come_back(client_for: Clients, settings: Any) -> None:
    settings.API_RATE = "3/h"
    client, other = client_for("operator"), client_for("viewer")

    answers = [await client.get(AGENTS) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 3600
    assert answers[3].json()["title"] == "Too Many Requests"
    assert (await other.get(AGENTS)).status_code == 200


async def test_health_needs_no_key(client_for: Clients) -> None:
    assert (await client_for("").get("/v1/health")).status_code == 200


async def test_the_last_use_of_a_key_is_noted_once_a_minute(client_for: Clients) -> None:
    client = client_for("operator")
    await client.get(AGENTS)
    first = await last_use()
    await client.get(AGENTS)

    assert first is not None
    assert await last_use() == first


async def last_use() -> Any:
    for _ in range(100):
        key = await db.read(ApiKey.objects.get, role="operator")
        if key.last_used_at:
            return key.last_used_at
        await asyncio.sleep(0.01)
    return None


@pytest.mark.django_db
def test_recognising_a_key_takes_one_query() -> None:
    token = build.key("operator", user=build.user("admin"))
    ApiKey.objects.update(last_used_at=now())
    recognised(token)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        principal = recognised(token)

    assert len(queries) == 1
    assert principal.role == "operator"
    assert principal.address == "192.0.2.1"


@pytest.mark.django_db
def test_only_a_hash_of_a_key_is_kept() -> None:
    token = build.key("viewer")

    stored = str(ApiKey.objects.values().get())

    assert token not in stored
    assert token.split("_", 2)[2] not in stored
    assert len(token.split("_", 2)[2]) == 43  # 256 bits


@pytest.mark.django_db
def test_a_key_with_the_right_prefix_and_a_wrong_secret_is_refused() -> None:
    token = build.key("viewer")

    with pytest.raises(Unauthorized, match="not known"):
        recognised(token[:-1] + ("a" if token[-1] != "a" else "b"))


@pytest.mark.django_db
def test_an_expired_key_is_refused() -> None:
    token = build.key("viewer", expires_at=now() - timedelta(seconds=1))

    with pytest.raises(Unauthorized, match="expired"):
        recognised(token)


@pytest.mark.django_db
def test_a_key_can_do_no_more_than_its_owner_now() -> None:
    owner = build.user("operator")
    token = build.key("operator", user=owner)
    assert recognised(token).role == "operator"

    User.objects.filter(pk=owner.pk).update(role="viewer")
    assert recognised(token).role == "viewer"

    User.objects.filter(pk=owner.pk).update(is_active=False)
    with pytest.raises(Unauthorized, match="disabled"):
        recognised(token)


@pytest.mark.django_db
def test_nobody_makes_a_key_above_their_own_role() -> None:
    with pytest.raises(Forbidden, match="your role is operator"):
        keys.issue(build.actor("operator"), "too much", "admin")

    assert not ApiKey.objects.exists()


@pytest.mark.django_db
def test_making_and_revoking_leave_one_audit_line_each_without_the_secret() -> None:
    key, token = keys.issue(build.actor("admin"), "nightly", "viewer")
    keys.revoke(build.actor("admin"), key)
    keys.revoke(build.actor("admin"), key)

    lines = AuditLine.objects.order_by("pk")
    assert [(line.action, line.kind, line.object_id) for line in lines] == [
        ("create", "api_key", str(key.pk)),
        ("revoke", "api_key", str(key.pk)),
    ]
    assert token not in str(lines.values())


@pytest.mark.parametrize("rate", ["lots", "10", "10/y", "-1/s"])
def test_an_unreadable_rate_fails_the_check_by_name(settings: Any, rate: str) -> None:
    settings.API_RATE = rate

    with pytest.raises(SystemCheckError, match="API_RATE"):
        call_command("check")


@pytest.mark.django_db
def test_the_rate_starts_anew_with_each_window(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.API_RATE = "1/m"
    token = build.key("viewer")
    clock = iter([600.0, 630.0, 660.0])
    monkeypatch.setattr("apps.accounts.keys.time", SimpleNamespace(time=lambda: next(clock)))

    recognised(token)
    with pytest.raises(ConsoleError) as refusal:
        recognised(token)
    recognised(token)

    assert refusal.value.status == 429
    assert refusal.value.headers["Retry-After"] == "30"


@pytest.mark.django_db
def test_the_command_prints_the_key_alone(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_api_key", "bench", "--role", "admin")

    printed = capsys.readouterr().out.strip()
    assert recognised(printed).role == "admin"
    assert AuditLine.objects.get().actor == "command line"
