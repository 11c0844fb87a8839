"""The accounts app."""

from django.apps import AppConfig
from django.core.checks import register
from django.db.models.signals import post_save


class AccountsConfig(AppConfig):
    """Registers the app with Django."""

    name = "apps.accounts"
    label = "accounts"
    verbose_name = "People and keys"

    def ready(self) -> None:
        """Have settings checked, and let the admin site's writes leave audit lines too."""
        from apps.accounts import audit, checks

        register(checks.rate_is_readable)
        post_save.connect(audit.admin_wrote, sender="admin.LogEntry", dispatch_uid="accounts.audit")
