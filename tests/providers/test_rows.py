"""Providers as rows: secrets sealed, backends built and kept, the environment's own."""

from typing import Any

import pytest
from django.core.checks import run_checks

from apps.core.errors import BadRequest, NotFound, ProviderError
from apps.providers import bootstrap, checks, instances, secrets, types
from apps.providers.models import Health, Provider
from tests import build

pytestmark = pytest.mark.django_db
KEY = "sk-a-secret-of-the-operator"


def far(**fields: Any) -> Provider:
    row = Provider(
        provider_id="far", provider_type="remote::openai", config={"base_url": "http://127.0.0.1:9/v1"}, **fields
    )
    row.keep_secrets({"api_key": KEY})
    row.save()
    return row


def test_a_secret_is_stored_sealed_and_shown_as_stars() -> None:
    row = far()

    stored = Provider.objects.values().get()
    assert KEY not in str(stored) and row.secrets == {"api_key": KEY}
    assert row.shown_config() == {"base_url": "http://127.0.0.1:9/v1", "api_key": "********"}


def test_secrets_outlive_a_change_of_the_key_that_keeps_the_old_one(settings: Any) -> None:
    sealed = secrets.seal({"api_key": KEY})
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another"

    assert secrets.unseal(sealed, "far") == {"api_key": KEY}


def test_secrets_of_another_key_are_told_to_be_lost(settings: Any) -> None:
    sealed = secrets.seal({"api_key": KEY})
    settings.SECRET_KEY = "another"

    with pytest.raises(ProviderError, match="'far' cannot be read because SECRET_KEY has changed"):
        secrets.unseal(sealed, "far")
    assert secrets.names(sealed) == ["api_key"]


def test_no_secret_stores_nothing() -> None:
    assert secrets.seal({}) == "" and secrets.unseal("", "far") == {} and secrets.names("") == []


def test_a_backend_is_kept_until_its_row_is_saved() -> None:
    row = far()
    first = instances.instance(row)

    assert instances.instance(Provider.objects.get()) is first
    row.save()
    assert instances.instance(Provider.objects.get()) is not first


def test_a_health_check_keeps_the_backend() -> None:
    first = instances.instance(far())
    Provider.objects.update(health=Health.OK)

    assert instances.instance(Provider.objects.get()) is first


def test_a_provider_that_is_off_has_no_backend() -> None:
    with pytest.raises(ProviderError, match="disabled"):
        instances.instance(far(enabled=False))


def test_an_unknown_provider_is_told_with_those_there_are() -> None:
    far()
    with pytest.raises(NotFound, match=r"'near'.*Configured: far"):
        Provider.objects.named("near")


@pytest.mark.parametrize(
    ("provider_type", "config", "words"),
    [
        ("remote::nothing", {}, "Known: inline::llama-cpp"),
        ("remote::openai", {}, "base_url: Field required"),
        ("remote::openai", {"base_url": "http://x", "colour": 1}, "colour"),
        ("inline::llama-cpp", {"slots": 0}, "slots"),
    ],
)
def test_settings_are_checked_by_their_type(provider_type: str, config: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        types.check_config("inference", provider_type, config)


def test_a_wrong_setting_is_refused_without_its_value() -> None:
    with pytest.raises(BadRequest) as caught:
        types.check_config("inference", "remote::openai", {"base_url": KEY, "api_key": KEY})

    assert KEY not in caught.value.detail


def test_the_environment_makes_its_providers_once(settings: Any) -> None:
    settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY, settings.EMBEDDED_MODELS = "http://127.0.0.1:9/v1/", KEY, True
    bootstrap.ensure()
    before = list(Provider.objects.values_list("provider_id", "updated_at"))
    bootstrap.ensure()

    assert [name for name, _ in before] == ["openai", "embedded"]
    assert list(Provider.objects.values_list("provider_id", "updated_at")) == before
    assert Provider.objects.get(provider_id="openai").config == {"base_url": "http://127.0.0.1:9/v1"}


def test_a_changed_environment_changes_its_provider_and_nobody_elses(settings: Any) -> None:
    settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = "http://127.0.0.1:9/v1", "old"
    bootstrap.ensure()
    settings.OPENAI_API_KEY = KEY
    bootstrap.ensure()
    assert Provider.objects.get(provider_id="openai").secrets == {"api_key": KEY}

    Provider.objects.update(from_environment=False)
    settings.OPENAI_API_KEY = "newer"
    bootstrap.ensure()
    assert Provider.objects.get(provider_id="openai").secrets == {"api_key": KEY}


def test_without_settings_nothing_is_made(settings: Any) -> None:
    settings.OPENAI_BASE_URL = settings.OPENAI_API_KEY = ""
    settings.EMBEDDED_MODELS = False
    bootstrap.ensure()

    assert not Provider.objects.exists()


def test_a_switched_off_embedded_provider_stays_off(settings: Any) -> None:
    settings.EMBEDDED_MODELS = True
    build.provider("embedded", "inline::llama-cpp", enabled=False)
    bootstrap.ensure()

    assert not Provider.objects.get().enabled


def test_the_types_of_the_settings_are_all_usable() -> None:
    assert run_checks() == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("apps.inference.providers.nothing.At", "cannot be imported"),
        ("apps.providers.models.Provider", "no Config"),
        ("apps.providers.types.Config", "lacks chat"),
    ],
)
def test_a_type_that_cannot_work_is_found_by_the_system_check(path: str, words: str, settings: Any) -> None:
    settings.PROVIDER_TYPES = {"inference": {"inline::wrong": path}}

    messages = checks.provider_types(None)

    assert any(words in message.msg for message in messages)
    assert all("PROVIDER_TYPES['inference']['inline::wrong']" in (message.hint or "") for message in messages)
