"""The settings pages: profile, keys, users, each for the roles that may open it."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts import keys
from apps.accounts.models import ApiKey, AuditLine, User
from tests import build

pytestmark = pytest.mark.django_db


def browser(role: str, **fields: Any) -> Client:
    client = Client()
    client.force_login(build.user(role, **fields), backend="django.contrib.auth.backends.ModelBackend")
    return client


def shown_once(page: str, name: str) -> str:
    found = re.search(rf'id="{name}"[^>]*value="([^"]+)"', page)
    assert found, "the page shows no secret"
    return found[1]


def test_somebody_makes_a_key_sees_it_once_and_revokes_it() -> None:
    client = browser("operator")
    form = {"name": "nightly", "role": "viewer", "expires": "30", "once": "a1"}

    token = shown_once(client.post("/settings/keys/", form).content.decode(), "new-key")

    key = ApiKey.objects.get()
    assert keys.recognise(token, "", "").role == "viewer"
    assert key.expires_at is not None
    assert token not in client.get("/settings/keys/").content.decode()

    path = f"/settings/keys/{key.pk}/revoke/"
    assert "Revoke key nightly?" in client.get(path).content.decode()
    assert client.post(path)["Location"] == "/settings/keys/"
    key.refresh_from_db()
    assert key.state == "revoked"
    assert [line.action for line in AuditLine.objects.order_by("pk")] == ["create", "revoke"]


def test_a_form_sent_twice_makes_one_key() -> None:
    client = browser("operator")
    form = {"name": "nightly", "role": "viewer", "once": "a1"}

    client.post("/settings/keys/", form)
    again = client.post("/settings/keys/", form)

    assert again["Location"] == "/settings/keys/"
    assert ApiKey.objects.count() == 1


def test_a_key_above_ones_role_is_refused_and_not_offered() -> None:
    client = browser("operator")

    answer = client.post("/settings/keys/", {"name": "too much", "role": "admin", "once": "a1"})

    assert answer.status_code == 422
    assert 'value="admin"' not in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_one_sees_and_revokes_ones_own_keys_an_administrator_all() -> None:
    mine = build.key("viewer", name="mine", user=build.user("viewer", username="tom"))
    other, admin = browser("operator"), browser("admin")
    path = f"/settings/keys/{ApiKey.objects.get().pk}/revoke/"

    assert "mine" not in other.get("/settings/keys/").content.decode()
    assert other.post(path).status_code == 404
    assert keys.recognise(mine, "", "")
    assert "mine" in admin.get("/settings/keys/").content.decode()
    assert admin.post(path).status_code == 302


@pytest.mark.parametrize("path", ["/settings/users/", "/settings/users/1/role/", "/settings/users/1/active/"])
@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_users_are_for_administrators(role: str, path: str) -> None:
    client = browser(role)

    assert client.get("/settings/users/").status_code == 403
    assert client.post(path).status_code in (403, 405)
    assert "/settings/users/" not in client.get("/settings/profile/").content.decode()


def test_an_administrator_invites_changes_and_disables() -> None:
    client = browser("admin")
    page = client.post("/settings/users/", {"username": "tom", "role": "viewer"}).content.decode()
    link = shown_once(page, "invite-link")
    tom = User.objects.get(username="tom")

    assert Client().get(link).status_code == 200
    assert client.post(f"/settings/users/{tom.pk}/role/", {"role": "operator"}).status_code == 302
    assert "Disable tom?" in client.get(f"/settings/users/{tom.pk}/active/").content.decode()
    assert client.post(f"/settings/users/{tom.pk}/active/").status_code == 302
    tom.refresh_from_db()
    assert (tom.role, tom.is_active) == ("operator", False)
    assert client.post(f"/settings/users/{tom.pk}/active/", {"active": "true"}).status_code == 302
    tom.refresh_from_db()
    assert tom.is_active


def test_a_name_that_is_taken_keeps_the_form() -> None:
    client = browser("admin")

    answer = client.post("/settings/users/", {"username": "admin", "role": "viewer"})

    assert answer.status_code == 422
    assert "already exists" in answer.content.decode()


def test_the_last_administrator_is_told_why_nothing_changed() -> None:
    client = browser("admin")
    me = User.objects.get()

    for path, form in (
        (f"/settings/users/{me.pk}/role/", {"role": "viewer"}),
        (f"/settings/users/{me.pk}/active/", {}),
    ):
        answer = client.post(path, form)
        assert answer.status_code == 409
        assert "last administrator" in answer.content.decode()
    me.refresh_from_db()
    assert me.can("admin")


def test_a_lost_password_is_replaced_by_a_new_link() -> None:
    client = browser("admin")
    tom = build.user("viewer", username="tom")

    link = shown_once(client.post(f"/settings/users/{tom.pk}/link/").content.decode(), "invite-link")

    assert Client().post(link, {"password": "grass-tin-882-x"}).status_code == 302
    tom.refresh_from_db()
    assert tom.check_password("grass-tin-882-x")


def test_preferences_are_kept_and_used_by_the_frame() -> None:
    client = browser("viewer")

    client.post("/settings/profile/", {"theme": "dark", "time_zone": "Europe/Berlin", "nav": "rail"})

    page = client.get("/settings/profile/").content.decode()
    assert 'data-theme="dark"' in page
    assert 'data-zone="Europe/Berlin"' in page
    assert User.objects.get().shortcuts is False
    assert AuditLine.objects.get().detail["changed"] == ["theme", "time_zone", "nav", "shortcuts"]


def test_a_made_up_zone_is_refused() -> None:
    answer = browser("viewer").post("/settings/profile/", {"theme": "dark", "time_zone": "Mars/Base", "nav": "auto"})

    assert answer.status_code == 422


def test_changing_the_password_needs_the_old_one_and_ends_other_sessions() -> None:
    here, elsewhere = browser("viewer"), Client()
    elsewhere.force_login(User.objects.get(), backend="django.contrib.auth.backends.ModelBackend")
    path = "/settings/profile/password/"

    assert here.post(path, {"old_password": "wrong", "password": "grass-tin-882-x"}).status_code == 422
    assert here.post(path, {"old_password": build.PASSWORD, "password": "123"}).status_code == 422
    assert here.post(path, {"old_password": build.PASSWORD, "password": "grass-tin-882-x"}).status_code == 302

    assert here.get("/settings/profile/").status_code == 200
    assert elsewhere.get("/settings/profile/").status_code == 302


@pytest.mark.parametrize("page", ["keys", "users"])
def test_a_list_costs_the_same_for_three_rows_and_for_thirty(page: str) -> None:
    client = browser("admin")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(f"/settings/{page}/")
        return len(captured)

    few = queries()
    for number in range(30):
        build.key("viewer", user=build.user("viewer", username=f"person{number}"))

    assert queries() == few
