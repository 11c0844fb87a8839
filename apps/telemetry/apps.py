"""The telemetry app."""

from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.telemetry"
    label = "telemetry"

    def ready(self) -> None:
        """Make the topics of traces watchable."""
        from apps.telemetry import live

        live.register()
