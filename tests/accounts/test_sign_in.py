"""Sign-in, sign-out, invitations: the right people in, everybody else kept out, and told why."""

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.test import Client
from django.urls import reverse

from apps.accounts import people
from apps.accounts.models import AuditLine, User
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def mara() -> User:
    """Somebody with an account."""
    person: User = build.user("operator", username="mara")
    return person


def sign_in(client: Client, password: str = build.PASSWORD, place: str = "", **extra: Any) -> Any:
    return client.post(f"/login/?next={place}", {"username": "mara", "password": password}, **extra)


def test_a_stranger_is_led_to_sign_in_and_on_to_the_page(client: Client, mara: User) -> None:
    turned_away = client.get("/settings/keys/?after=3")
    assert turned_away["Location"] == "/login/?next=/settings/keys/%3Fafter%3D3"

    page = client.get(turned_away["Location"]).content.decode()
    assert 'autocomplete="username"' in page
    assert 'autocomplete="current-password"' in page

    assert sign_in(client, place="/settings/keys/%3Fafter%3D3")["Location"] == "/settings/keys/?after=3"
    assert AuditLine.objects.get().action == "sign_in"


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", ""])
def test_sign_in_leads_nowhere_else(client: Client, mara: User, place: str) -> None:
    assert sign_in(client, place=place)["Location"] == "/"


def test_a_part_asked_by_script_leads_the_whole_page_to_sign_in(client: Client, mara: User) -> None:
    answer = client.get("/settings/keys/", headers={"HX-Request": "true"})

    assert answer.status_code == 401
    assert answer["HX-Redirect"].startswith("/login/?next=")


def test_a_wrong_password_keeps_the_name_and_not_the_password(client: Client, mara: User) -> None:
    answer = sign_in(client, "wrong-password")

    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Name or password is wrong" in page
    assert 'value="mara"' in page
    assert "wrong-password" not in page


def test_too_many_wrong_passwords_lock_this_name_here_and_say_for_how_long(client: Client, mara: User) -> None:
    build.user("viewer", username="tom")
    answers = [sign_in(client, "wrong-password") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [422, 422, 422, 422, 429]
    assert "Try again in 15 min" in answers[4].content.decode()

    locked = sign_in(client)

    assert locked.status_code == 429
    assert 0 < int(locked["Retry-After"]) <= 900
    assert client.post("/login/", {"username": "tom", "password": build.PASSWORD}).status_code == 302
    assert sign_in(Client(), REMOTE_ADDR="192.0.2.9").status_code == 302


def test_a_disabled_person_cannot_sign_in(client: Client, mara: User) -> None:
    User.objects.update(is_active=False)

    assert sign_in(client).status_code == 422


def test_disabling_ends_an_open_session(client: Client, mara: User) -> None:
    sign_in(client)
    assert client.get("/settings/profile/").status_code == 200

    User.objects.update(is_active=False)

    assert client.get("/settings/profile/").status_code == 302


def test_sign_out_ends_the_session_and_needs_a_form(client: Client, mara: User) -> None:
    sign_in(client)
    assert client.get("/logout/").status_code == 405

    assert client.post("/logout/")["Location"] == "/login/"

    assert client.get("/settings/profile/").status_code == 302


def test_forms_refuse_a_request_from_another_site(mara: User) -> None:
    strict = Client(enforce_csrf_checks=True)

    assert sign_in(strict).status_code == 403


def test_an_invitation_works_once(client: Client) -> None:
    build.user("admin")
    invited = people.invite(build.actor(), "tom", "operator")
    path = people.link_path(invited)
    assert "Welcome, tom" in client.get(path).content.decode()
    assert client.post(path, {"password": "12345"}).status_code == 422

    assert client.post(path, {"password": "grass-tin-882-x"})["Location"] == "/"

    invited.refresh_from_db()
    assert (invited.role, invited.is_staff, invited.is_invited) == ("operator", False, False)
    assert client.get("/settings/profile/").status_code == 200
    assert Client().get(path).status_code == 404
    assert [line.action for line in AuditLine.objects.order_by("pk")] == ["invite", "set_password"]


def test_an_invitation_of_a_disabled_account_is_closed(client: Client) -> None:
    build.user("admin")
    path = people.link_path(people.invite(build.actor(), "tom", "operator"))

    User.objects.filter(username="tom").update(is_active=False)

    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("uid", "token"), [("MQ", "abc-def"), ("-", "x"), ("OTk5", "x-y"), ("AAAAAAAAAAAAAAAAAAAA", "x")]
)
def test_a_made_up_invitation_is_closed(client: Client, uid: str, token: str) -> None:
    build.user("admin")

    assert client.get(reverse("accounts:invite", args=[uid, token])).status_code == 404


def test_what_is_kept_about_wrong_sign_ins_holds_no_password(client: Client, mara: User) -> None:
    sign_in(client, "not-her-password-1")

    attempt = AccessAttempt.objects.values().get()

    assert attempt["username"] == "mara"
    assert "not-her-password-1" not in str(attempt)
