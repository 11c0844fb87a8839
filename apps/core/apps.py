"""The core app."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.core"
    label = "core"
