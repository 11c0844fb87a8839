"""The providers app."""

from django.apps import AppConfig


class ProvidersConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.providers"
    label = "providers"

    def ready(self) -> None:
        """Load the system checks and the live topic."""
        from apps.providers import checks, live  # noqa: F401
