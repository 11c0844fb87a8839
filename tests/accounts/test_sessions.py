"""The API called from a page: by the session cookie, and only with the page's own token when it changes something."""

from typing import Any

import httpx2
import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.core import db, signed_in
from tests import build
from tests.accounts.cookies import cookie_of

AGENTS = "/v1alpha/agents"
TOKEN = "a" * 32


@pytest.fixture
async def browser(operator: User, client_for: Any) -> httpx2.AsyncClient:
    """A client that holds the cookies of a signed-in operator's browser."""
    cookie = await db.write(cookie_of, operator)
    client: httpx2.AsyncClient = client_for("")
    client.cookies.set(settings.SESSION_COOKIE_NAME, cookie)
    client.cookies.set(settings.CSRF_COOKIE_NAME, TOKEN)
    return client


async def test_the_session_reads(browser: httpx2.AsyncClient) -> None:
    assert (await browser.get(AGENTS)).status_code == 200


async def test_the_session_writes_with_the_token_of_the_page(browser: httpx2.AsyncClient, model: str) -> None:
    body = {"agent_config": build.config(model=model)}

    answer = await browser.post(AGENTS, json=body, headers={"X-CSRFToken": TOKEN})

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "headers", [{}, {"X-CSRFToken": "b" * 32}, {"X-CSRFToken": TOKEN, "Origin": "http://evil.example"}]
)
async def test_a_write_that_may_be_forged_is_403(browser: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    answer = await browser.post(AGENTS, json={"agent_config": build.config()}, headers=headers)

    assert answer.status_code == 403
    assert answer.json()["title"] == "Forbidden"
    assert "CSRF" in answer.json()["detail"]


async def test_a_key_goes_before_the_session_and_needs_no_token(browser: httpx2.AsyncClient) -> None:
    answer = await browser.get(AGENTS, headers={"Authorization": "Bearer wrong"})

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "change",
    [{"is_active": False}, {"password": "md5$changed$elsewhere"}],
    ids=["disabled", "password changed"],
)
@pytest.mark.django_db
def test_a_session_ends_with_its_account_or_its_password(change: dict[str, Any]) -> None:
    operator = build.user("operator")
    cookie = cookie_of(operator)
    assert signed_in.user_of(cookie) == operator

    User.objects.filter(pk=operator.pk).update(**change)

    assert signed_in.user_of(cookie) is None


@pytest.mark.django_db
def test_a_made_up_session_is_nobody() -> None:
    assert signed_in.user_of("x" * 32) is None


@pytest.mark.django_db
def test_a_session_takes_two_queries() -> None:
    cookie = cookie_of(build.user("operator"))

    with CaptureQueriesContext(connection) as queries:
        signed_in.user_of(cookie)

    assert len(queries) == 2
