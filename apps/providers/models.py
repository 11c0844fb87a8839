"""Configured backends: which provider, of which type, with which settings; what its last health check said."""

from typing import Any, ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse
from django.utils.timezone import now

from apps.core.errors import NotFound, ProviderError
from apps.core.fields import FastJSONField
from apps.core.redaction import HIDDEN
from apps.providers import secrets


class ProviderQuerySet(models.QuerySet["Provider"]):
    """Reads of providers."""

    def named(self, provider_id: str) -> "Provider":
        """Return the provider; raises NotFound that names what is configured."""
        provider = self.filter(provider_id=provider_id).first()
        if provider is None:
            known = ", ".join(self.values_list("provider_id", flat=True)) or "none"
            raise NotFound(f"No provider is named '{provider_id}'. Configured: {known}.")
        return provider

    def running(self, api: str) -> "ProviderQuerySet":
        """Return the enabled providers of one API."""
        return self.filter(api=api, enabled=True)


class Health(models.TextChoices):
    """What the last check found."""

    UNKNOWN = "unknown", "not checked yet"
    OK = "ok", "healthy"
    ERROR = "error", "unhealthy"


class Provider(models.Model):
    """A backend an operator, or the environment, configured; what can run is named in ``PROVIDER_TYPES``."""

    id = models.BigAutoField(primary_key=True)
    provider_id = models.CharField(
        max_length=100,
        unique=True,
        validators=[
            RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", "Letters, digits, dots, dashes and underscores only.")
        ],
        help_text="The name clients use: a model is addressed as provider/model.",
    )
    api = models.CharField(max_length=40, default="inference")
    provider_type = models.CharField(max_length=80)
    config = FastJSONField(
        default=dict, blank=True, help_text="Settings without secrets, as the type's Config names them."
    )
    sealed = models.TextField(
        blank=True, editable=False, help_text="Secrets, encrypted with a key made from SECRET_KEY."
    )
    enabled = models.BooleanField(default=True)
    from_environment = models.BooleanField(
        default=False, editable=False, help_text="Made and updated at start from environment variables."
    )
    health = models.CharField(max_length=8, choices=Health.choices, default=Health.UNKNOWN, editable=False)
    health_error = models.TextField(blank=True, editable=False)
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=now, editable=False)
    # Changes with every save and not with health checks, which go through ``update``: instances are kept by it.
    updated_at = models.DateTimeField(auto_now=True)

    objects = ProviderQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.provider_id

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("providers:provider-detail", args=[self.provider_id])

    @property
    def state(self) -> str:
        """Return the row's state as the pages call it."""
        if not self.enabled:
            return "disabled"
        return {Health.OK: "healthy", Health.ERROR: "unhealthy"}.get(Health(self.health), "unknown")

    @property
    def secrets_set(self) -> list[str]:
        """The names of the secrets that are set."""
        return secrets.names(self.sealed)

    @property
    def secrets(self) -> dict[str, str]:
        """The secrets in the clear, for building the backend; raises ProviderError when they cannot be read."""
        return secrets.unseal(self.sealed, self.provider_id)

    @property
    def readable_secrets(self) -> dict[str, str]:
        """The secrets in the clear, none when SECRET_KEY has changed: for whoever is about to enter new ones."""
        try:
            return self.secrets
        except ProviderError:
            return {}

    def keep_secrets(self, values: dict[str, str]) -> None:
        """Replace the stored secrets; the row still has to be saved."""
        self.sealed = secrets.seal({name: value for name, value in values.items() if value})

    def shown_config(self) -> dict[str, Any]:
        """Return the settings as they may leave this server: every secret that is set reads ``********``."""
        return {**self.config, **dict.fromkeys(self.secrets_set, HIDDEN)}
