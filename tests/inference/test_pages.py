"""Pages of models: list, catalog, trying, registering, taking away."""

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import AuditLine
from apps.inference.models import Model, Source
from apps.providers.models import Provider
from tests import build

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser() -> Callable[[str], Client]:
    """Make the browser of a new person of a role."""

    def of(role: str) -> Client:
        client = Client()
        client.force_login(build.user(role), backend="django.contrib.auth.backends.ModelBackend")
        return client

    return of


def words(response: HttpResponse) -> str:
    return response.content.decode()


def test_the_list_shows_models_and_what_can_be_fetched(browser: Any, model: str, settings: Any, tmp_path: Any) -> None:
    settings.DATA_DIR = tmp_path
    page = words(browser("viewer").get("/models/"))

    assert model in page and "SmolLM2 135M Instruct" in page
    assert "an operator fetches it" in page and "Apache-2.0" in page


def test_a_filter_leaves_what_it_names(browser: Any, model: str) -> None:
    build.model(Provider.objects.get(), "vectors", "embedding")

    page = words(browser("viewer").get("/models/?q=embedding", headers={"HX-Request": "true"}))

    assert "scripted/vectors" in page and model not in page and "<html" not in page
    page = words(browser("operator").get("/models/?q=chat", headers={"HX-Request": "true"}))
    assert model in page and "scripted/vectors" not in page
    assert "No model matches" in words(build_browser().get("/models/?q=nothing-like-it"))


def build_browser() -> Client:
    client = Client()
    client.force_login(build.user("viewer", username="other"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_the_list_costs_the_same_for_many(browser: Any, model: str, django_assert_max_num_queries: Any) -> None:
    row = Provider.objects.get()
    for number in range(60):
        build.model(row, f"m{number}")
    client = browser("viewer")

    with django_assert_max_num_queries(12):
        page = words(client.get("/models/"))

    assert page.count('data-ui="model-row"') == 50 and "Older" in page


def test_a_demo_model_and_an_unreachable_provider_are_told(browser: Any, model: str) -> None:
    Model.objects.update(metadata={"demo": True})
    Provider.objects.update(health="error", health_error="It is away.")

    page = words(browser("operator").get(f"/models/{model}/"))

    assert "demo model" in page and "It is away." in page and 'data-ui="try-send"' not in page


def test_trying_a_model_without_script_shows_its_answer(browser: Any, scripted: Any) -> None:
    model = scripted("It is <b>four</b>.")

    page = words(browser("operator").post(f"/models/{model}/try/", {"prompt": "2 + 2?"}))

    assert "It is &lt;b&gt;four&lt;/b&gt;." in page


def test_trying_a_model_that_fails_shows_why(browser: Any, scripted: Any) -> None:
    model = scripted({"error": "The backend broke."})

    page = words(browser("operator").post(f"/models/{model}/try/", {"prompt": "hi"}))

    assert "The backend broke." in page


def test_trying_an_embedding_shows_its_numbers(browser: Any, model: str) -> None:
    build.model(Provider.objects.get(), "vectors", "embedding")

    page = words(browser("operator").post("/models/scripted/vectors/try/", {"prompt": "a cat"}))

    assert "8 numbers of length 1.000" in page


def test_an_empty_prompt_is_refused(browser: Any, model: str) -> None:
    assert browser("operator").post(f"/models/{model}/try/", {"prompt": ""}).status_code == 422


def test_a_viewer_looks_and_does_not_try(browser: Any, model: str) -> None:
    client = browser("viewer")

    assert "Operators can try" in words(client.get(f"/models/{model}/"))
    for path in (f"{model}/try/", f"{model}/unregister/", f"{model}/enable/", "new/"):
        assert client.post(f"/models/{path}", {"prompt": "hi"}).status_code == 403


def test_registering_a_model_under_a_name_of_its_own(browser: Any, model: str) -> None:
    sent = {"provider_id": "scripted", "provider_model_id": "scripted", "model_id": "my/own", "model_type": "llm"}
    client = browser("operator")

    page = words(client.post("/models/new/", sent, follow=True))
    again = client.post("/models/new/", {**sent, "model_type": "embedding"})

    assert "my/own" in page and Model.objects.get(identifier="my/own").source == Source.REGISTERED
    assert again.status_code == 422 and "exists with other content" in words(again)


def test_a_listed_model_is_switched_off_and_on(browser: Any, model: str) -> None:
    Model.objects.update(source=Source.LISTED)
    client = browser("operator")

    assert "Switch off model" in words(client.get(f"/models/{model}/unregister/"))
    client.post(f"/models/{model}/unregister/")
    off = words(client.get(f"/models/{model}/"))
    client.post(f"/models/{model}/enable/")

    assert "Switched off" in off and Model.objects.get().enabled
    lines = AuditLine.objects.filter(kind="model").order_by("id").values_list("action", flat=True)
    assert list(lines) == ["unregister", "enable"]


def test_a_registered_model_is_deleted(browser: Any, model: str) -> None:
    browser("operator").post(f"/models/{model}/unregister/")

    assert not Model.objects.exists()


def test_an_unknown_model_is_not_found(browser: Any) -> None:
    assert browser("viewer").get("/models/no/such/").status_code == 404


def test_the_admin_opens(model: str) -> None:
    staff = Client()
    staff.force_login(build.user("admin"), backend="django.contrib.auth.backends.ModelBackend")

    for path in ("", f"{Model.objects.get().pk}/change/", "?q=scripted"):
        assert staff.get(f"/admin/inference/model/{path}").status_code == 200
