"""The datasets app."""

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.datasets"
    label = "datasets"

    def ready(self) -> None:
        """Make the topics of datasets watchable."""
        from apps.datasets import live

        live.register()
