"""The jobs app."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.jobs"
    label = "jobs"

    def ready(self) -> None:
        """Make the topics of jobs watchable."""
        from apps.jobs import live

        live.register()
