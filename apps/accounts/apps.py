"""The accounts app."""

from django.apps import AppConfig
from django.db.models.signals import post_save


class AccountsConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.accounts"
    label = "accounts"
    verbose_name = "People and keys"

    def ready(self) -> None:
        """Let the admin site's writes leave audit lines too."""
        from apps.accounts import audit

        post_save.connect(audit.admin_wrote, sender="admin.LogEntry", dispatch_uid="accounts.audit")
