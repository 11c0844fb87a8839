"""The console app."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.console"
    label = "console"
