"""The evals app."""

from django.apps import AppConfig


class EvalsConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.evals"
    label = "evals"

    def ready(self) -> None:
        """Make the topics of evaluations watchable, and let datasets tell which benchmarks need them."""
        from apps.datasets import dependants
        from apps.evals import live, registry

        live.register()
        dependants.register("benchmark", registry.of_dataset)
