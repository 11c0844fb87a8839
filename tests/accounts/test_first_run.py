"""The first account: everything leads to it, it is made once, and only by who has the link."""

import threading

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import Client, RequestFactory

from apps.accounts import first_run
from apps.accounts.models import AuditLine, User
from apps.core.errors import NotFound
from tests import build

GOOD = {"username": "mara", "password": "harbour-lamp-49"}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/agents/", "/login/", "/admin/", "/no/such/page/", "/settings/users/"])
def test_without_a_user_every_page_leads_to_set_up(client: Client, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 302
    assert answer["Location"] == "/setup/"
    told = client.get("/setup/")
    assert told.status_code == 200
    assert "Open the set-up link" in told.content.decode()


@pytest.mark.django_db
def test_a_token_behind_another_address_comes_along(client: Client) -> None:
    link = f"/setup/?token={first_run.token()}"

    assert client.get(f"/agents/?token={first_run.token()}")["Location"] == link
    assert "Set up this console" in client.get(link).content.decode()


@pytest.mark.django_db
def test_set_up_makes_an_administrator_and_signs_in(client: Client) -> None:
    page = client.get("/setup/", {"token": first_run.token()}).content.decode()
    assert f'name="token" value="{first_run.token()}"' in page

    answer = client.post("/setup/", GOOD | {"token": first_run.token()})

    user = User.objects.get()
    assert answer["Location"] == "/"
    assert (user.role, user.is_staff, user.is_superuser) == ("admin", True, True)
    assert client.get("/settings/profile/").status_code == 200
    line = AuditLine.objects.get()
    assert (line.action, line.kind, line.actor, line.address) == ("create", "user", "mara", "127.0.0.1")


@pytest.mark.django_db
def test_set_up_is_gone_once_somebody_has_an_account(client: Client) -> None:
    first_run.create_admin(RequestFactory().post("/setup/"), **GOOD)

    for visitor in (client, Client()):
        assert visitor.get("/setup/").status_code == 404
        eve = {**GOOD, "username": "eve", "token": first_run.token()}
        assert visitor.post("/setup/", eve).status_code == 404
        assert visitor.get(f"/setup/?token={first_run.token()}").status_code == 404
    assert User.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.0.2.7", ""])
def test_set_up_needs_the_link_wherever_one_comes_from(client: Client, address: str) -> None:
    for token in ("guess", "ü", "token="):
        assert "setup-form" not in client.get("/setup/", {"token": token}, REMOTE_ADDR=address).content.decode()
        client.post("/setup/", GOOD | {"token": token}, REMOTE_ADDR=address)
    client.post("/setup/", GOOD, REMOTE_ADDR=address)
    assert not User.objects.exists()

    link = first_run.link("http://testserver")
    assert link is not None
    assert client.post(link.removeprefix("http://testserver"), GOOD, REMOTE_ADDR=address)["Location"] == "/"
    assert first_run.link("http://testserver") is None


@pytest.mark.django_db
def test_a_wrong_code_is_told_and_the_whole_link_may_be_pasted(client: Client) -> None:
    wrong = client.get("/setup/", {"token": "guess"})
    assert wrong.status_code == 403
    assert "setup-code-wrong" in wrong.content.decode()

    pasted = client.get("/setup/", {"token": f" {first_run.link('http://testserver')} "})
    assert "Set up this console" in pasted.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short-7", "too short"),
        ("password123", "too common"),
        ("8274650918273", "entirely numeric"),
        ("mara-mara-1", "similar"),
    ],
)
def test_a_weak_password_is_refused_with_its_reason(client: Client, password: str, reason: str) -> None:
    told = {"username": "mara-mara", "password": password, "token": first_run.token()}
    answer = client.post("/setup/", told)

    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert 'aria-invalid="true"' in answer.content.decode()
    assert not User.objects.exists()


@pytest.mark.django_db
def test_weakness_is_told_before_the_form_is_sent(client: Client) -> None:
    def told(password: str) -> str:
        return client.post("/setup/password/", {"username": "mara", "password": password}).content.decode()

    assert "too short" in told("abc")
    assert "entirely numeric" in told("8274650918273")
    assert "This one is fine" in told("harbour-lamp-49")
    assert "At least 10" in told("")


@pytest.mark.django_db
def test_a_check_on_its_way_while_the_form_is_sent_is_answered() -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.get("/setup/", {"token": first_run.token()})
    old = browser.cookies["csrftoken"].value
    made = browser.post("/setup/", {**GOOD, "token": first_run.token(), "csrfmiddlewaretoken": old})

    checked = browser.post("/setup/password/", {"password": "harbour-lamp-49"}, headers={"X-CSRFToken": old})

    assert made.status_code == 302
    assert checked.status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_set_ups_at_once_one_wins() -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def set_up(name: str) -> None:
        request = RequestFactory().post("/setup/")
        barrier.wait()
        try:
            outcomes.append(first_run.create_admin(request, name, GOOD["password"]).username)
        except NotFound:
            outcomes.append("too late")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=set_up, args=[name]) for name in ("mara", "tom")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count("too late") == 1
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_createsuperuser_makes_an_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", build.PASSWORD)

    call_command("createsuperuser", "--noinput", "--username", "mara", verbosity=0)
    call_command("createsuperuser", "--noinput", "--username", "tom", "--email", "tom@example.org", verbosity=0)

    assert list(User.objects.values_list("username", "role", "is_staff")) == [
        ("mara", "admin", True),
        ("tom", "admin", True),
    ]


@pytest.mark.django_db
def test_what_machines_ask_is_open_before_set_up(client: Client) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/v1/health").status_code == 200
