"""The evals app."""

from django.apps import AppConfig


class EvalsConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.evals"
    label = "evals"
