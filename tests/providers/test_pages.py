"""Pages of providers: who may do what, what is shown, and that no secret comes back."""

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import AuditLine
from apps.providers.forms import ProviderForm
from apps.providers.models import Provider
from tests import build
from tests.processes import free_port

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "sk-never-shown"
NEW = "/providers/new/?type=remote::openai"


@pytest.fixture
def browser() -> Callable[[str], Client]:
    """Make the browser of a new person of a role."""

    def of(role: str) -> Client:
        client = Client()
        client.force_login(build.user(role), backend="django.contrib.auth.backends.ModelBackend")
        return client

    return of


@pytest.fixture
def far() -> Provider:
    """A server that is not there, with a key."""
    row = Provider(
        provider_id="far",
        provider_type="remote::openai",
        config={"base_url": f"http://127.0.0.1:{free_port()}/v1"},
    )
    row.keep_secrets({"api_key": KEY})
    row.save()
    return row


def words(response: HttpResponse) -> str:
    return response.content.decode()


def audited() -> list[str]:
    return list(AuditLine.objects.filter(kind="provider").order_by("id").values_list("action", flat=True))


def test_the_list_shows_state_and_error(browser: Any, far: Provider) -> None:
    Provider.objects.update(health="error", health_error="It is away.")

    page = words(browser("viewer").get("/providers/"))

    assert "far" in page and "Unreachable" in page and "It is away." in page
    assert 'data-live="providers:all"' in page


def test_an_empty_list_says_who_can_help(browser: Any) -> None:
    assert "An administrator adds them" in words(browser("viewer").get("/providers/"))
    assert "Add provider" in words(browser("admin").get("/providers/"))


@pytest.mark.parametrize("path", ["", "new/", "new/?type=remote::openai", "far/", "far/edit/", "far/delete/"])
def test_no_page_holds_the_secret(browser: Any, far: Provider, path: str) -> None:
    response = browser("admin").get(f"/providers/{path}")

    assert response.status_code == 200 and KEY not in words(response)


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_administrators_change_providers(browser: Any, far: Provider, role: str) -> None:
    client = browser(role)

    assert client.get("/providers/new/").status_code == 403
    for path in ("edit/", "delete/", "switch/"):
        assert client.post(f"/providers/far/{path}").status_code == 403
    page = words(client.get("/providers/far/"))
    assert "edit-provider" not in page and "delete-provider" not in page


def test_adding_a_provider_stores_it_checks_it_and_says_so(browser: Any, model_server: Any) -> None:
    sent = {"provider_id": "mine", "base_url": f"{model_server.url}/v1", "api_key": KEY, "max_tokens_name": "auto"}

    response = browser("admin").post(NEW, sent, follow=True)

    row = Provider.objects.get()
    assert (
        row.health == "ok" and row.secrets == {"api_key": KEY} and row.config == {"base_url": f"{model_server.url}/v1"}
    )
    assert "mine answers." in words(response) and KEY not in words(response)
    assert row.models.filter(identifier="mine/fake").exists()
    assert audited() == ["create"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"base_url": "nowhere"}, "Must be an address"),
        ({"base_url": ""}, "This field is required"),
        ({"provider_id": "a/b"}, "Letters, digits"),
        ({"provider_id": "far"}, "There is a provider"),
        ({"provider_id": "new"}, "This name is kept"),
    ],
)
def test_what_does_not_fit_is_told_beside_its_field(browser: Any, far: Provider, wrong: Any, told: str) -> None:
    sent = {
        "provider_id": "mine",
        "base_url": "http://127.0.0.1:9/v1",
        "max_tokens_name": "auto",
        "api_key": KEY,
        **wrong,
    }

    response = browser("admin").post(NEW, sent)

    assert response.status_code == 422 and told in words(response) and KEY not in words(response)
    assert Provider.objects.count() == 1


@pytest.mark.parametrize(("sent", "kept"), [({}, KEY), ({"api_key": "new"}, "new"), ({"remove_api_key": "on"}, None)])
def test_a_secret_stays_is_replaced_or_removed(browser: Any, far: Provider, sent: Any, kept: str | None) -> None:
    browser("admin").post("/providers/far/edit/", {**far.config, "max_tokens_name": "auto", **sent})

    assert Provider.objects.get().secrets.get("api_key") == kept
    assert audited() == ["update"]


def test_switching_off_and_on(browser: Any) -> None:
    build.scripted_model([])
    client = browser("admin")

    client.post("/providers/scripted/switch/", {"enabled": "false"})
    off = words(client.get("/providers/scripted/"))
    client.post("/providers/scripted/switch/", {"enabled": "true"})

    assert "Switched off" in off and Provider.objects.get().state == "healthy"
    assert audited() == ["disable", "enable"]


def test_checking_now_tells_the_error(browser: Any, far: Provider) -> None:
    page = words(browser("operator").post("/providers/far/check/", follow=True))

    assert "cannot be reached" in page and Provider.objects.get().health == "error"


def test_deleting_names_what_goes_and_takes_the_models(browser: Any, far: Provider) -> None:
    build.model(far, "m")
    client = browser("admin")

    asked = words(client.get("/providers/far/delete/"))
    client.post("/providers/far/delete/")

    assert "Its 1 model can no longer be used" in asked
    assert not Provider.objects.exists() and audited() == ["delete"]


@pytest.mark.parametrize("name", ["inline::scripted", "inline::llama-cpp", "remote::openai"])
def test_every_type_has_a_form_of_its_settings(browser: Any, name: str) -> None:
    assert "Add provider" in words(browser("admin").get(f"/providers/new/?type={name}"))


def test_a_script_is_given_as_json(browser: Any) -> None:
    sent = {"provider_id": "play", "script": '[{"text": "hi"}]', "models": "a\nb\n", "pace_s": "0"}

    browser("admin").post("/providers/new/?type=inline::scripted", sent)

    row = Provider.objects.get()
    assert row.config == {"script": [{"text": "hi"}], "models": ["a", "b"]}
    shown = ProviderForm(row=row)
    assert "hi" in str(shown["script"]) and "a\nb" in str(shown["models"])


def test_the_admin_shows_no_secret(far: Provider) -> None:
    staff = Client()
    staff.force_login(build.user("admin"), backend="django.contrib.auth.backends.ModelBackend")

    for path in ("", f"{far.pk}/change/"):
        response = staff.get(f"/admin/providers/provider/{path}")
        assert response.status_code == 200 and KEY not in words(response) and far.sealed not in words(response)
