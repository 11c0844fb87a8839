"""The evals app."""

from django.apps import AppConfig


class EvalsConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.evals"
    label = "evals"

    def ready(self) -> None:
        """Make the topics of evaluations watchable."""
        from apps.evals import live

        live.register()
