"""The accounts app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.accounts"
    label = "accounts"
    verbose_name = "People and keys"
