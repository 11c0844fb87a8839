"""The admin site: shows keys without their hash, changes no audit line, and keeps one administrator."""

import pytest
from django.test import Client

from apps.accounts.models import AuditLine, User
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Client:
    """The only administrator, signed in."""
    client = Client()
    client.force_login(build.user("admin", username="mara"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def form_of(user: User, **changed: str) -> dict[str, str]:
    fields = {"username": user.username, "role": user.role, "theme": "system", "nav": "auto", "is_active": "on"}
    return {name: value for name, value in {**fields, **changed}.items() if value}


@pytest.mark.parametrize("model", ["user", "apikey", "auditline"])
def test_every_model_is_listed_and_searched(site: Client, model: str) -> None:
    build.key("viewer")

    assert site.get(f"/admin/accounts/{model}/?q=vie").status_code == 200


def test_a_key_is_shown_without_its_hash_and_can_be_revoked(site: Client) -> None:
    from apps.accounts.models import ApiKey

    build.key("viewer")
    key = ApiKey.objects.get()

    assert key.hash not in site.get(f"/admin/accounts/apikey/{key.pk}/change/").content.decode()
    site.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [key.pk]})

    key.refresh_from_db()
    assert key.state == "revoked"


def test_audit_lines_are_read_only(site: Client) -> None:
    build.key("viewer")
    line = AuditLine.objects.get()

    assert site.post(f"/admin/accounts/auditline/{line.pk}/change/", {"actor": "eve"}).status_code == 403
    assert site.post(f"/admin/accounts/auditline/{line.pk}/delete/", {"post": "yes"}).status_code == 403
    assert site.get("/admin/accounts/auditline/add/").status_code == 403


@pytest.mark.parametrize("changed", [{"role": "viewer"}, {"is_active": ""}], ids=["demoted", "disabled"])
def test_the_last_administrator_stays(site: Client, changed: dict[str, str]) -> None:
    mara = User.objects.get()

    answer = site.post(f"/admin/accounts/user/{mara.pk}/change/", form_of(mara, **changed))

    assert "last administrator" in answer.content.decode()
    mara.refresh_from_db()
    assert mara.can("admin")


def test_the_last_administrator_cannot_be_deleted(site: Client) -> None:
    mara = User.objects.get()
    path = f"/admin/accounts/user/{mara.pk}/delete/"

    assert "no administrator would be left" in site.get(path).content.decode()
    site.post(path, {"post": "yes"})

    assert User.objects.filter(pk=mara.pk).exists()


def test_a_change_and_a_deletion_leave_an_audit_line_each(site: Client) -> None:
    tom = build.user("viewer", username="tom")
    path = f"/admin/accounts/user/{tom.pk}"

    assert site.post(f"{path}/change/", form_of(tom, role="operator")).status_code == 302
    assert site.post(f"{path}/delete/", {"post": "yes"}).status_code == 302

    lines = AuditLine.objects.order_by("pk")
    assert [(line.actor, line.action, line.kind, line.object_id) for line in lines] == [
        ("mara", "update", "user", str(tom.pk)),
        ("mara", "delete", "user", str(tom.pk)),
    ]
    assert all(line.address == "127.0.0.1" and line.request_id for line in lines)


def test_a_demoted_administrator_loses_the_site(site: Client) -> None:
    tom = build.user("admin", username="tom")

    site.post(f"/admin/accounts/user/{tom.pk}/change/", form_of(tom, role="viewer", is_staff="on", is_superuser="on"))

    tom.refresh_from_db()
    assert (tom.role, tom.is_staff, tom.is_superuser) == ("viewer", False, False)


def test_the_site_is_closed_to_everybody_else() -> None:
    client = Client()
    client.force_login(build.user("operator"), backend="django.contrib.auth.backends.ModelBackend")

    assert client.get("/admin/accounts/user/", follow=True).redirect_chain[0][0].startswith("/admin/login/")
