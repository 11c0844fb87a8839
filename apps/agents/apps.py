"""The agents app."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.agents"
    label = "agents"
