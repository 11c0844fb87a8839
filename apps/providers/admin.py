"""Providers in the admin: to look at and to switch off; settings and secrets are entered on the console's own pages."""

from django.contrib import admin
from django.http import HttpRequest

from apps.core.in_console import in_console
from apps.providers.models import Provider


@admin.register(Provider)
class ProviderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows providers; secrets are not shown in any form."""

    list_display = ["provider_id", "provider_type", "enabled", "health", "checked_at", in_console]
    list_filter = ["enabled", "health", "provider_type"]
    search_fields = ["provider_id", "provider_type"]
    fields = ["provider_id", "api", "provider_type", "shown", "enabled", "health", "health_error", "checked_at"]
    readonly_fields = ["provider_id", "api", "provider_type", "shown", "health", "health_error", "checked_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """New ones are made where their settings are checked."""
        return False

    @admin.display(description="config")
    def shown(self, row: Provider) -> str:
        """Return the settings with secrets hidden."""
        return ", ".join(f"{name}: {value}" for name, value in row.shown_config().items()) or "–"
