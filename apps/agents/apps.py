"""The agents app."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.agents"
    label = "agents"

    def ready(self) -> None:
        """Make the topics of sessions, turns and the inbox watchable."""
        from apps.agents import live

        live.register()
