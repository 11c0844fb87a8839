"""Models in the admin."""

from django.contrib import admin

from apps.core.in_console import in_console
from apps.inference.models import Model


@admin.register(Model)
class ModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows and edits models; listed ones follow their provider."""

    list_display = ["identifier", "model_type", "provider", "source", "enabled", "missing_since", in_console]
    list_filter = ["model_type", "source", "enabled", "provider"]
    list_select_related = ["provider"]
    search_fields = ["identifier", "provider_resource_id"]
    readonly_fields = ["source", "missing_since", "created_at", "updated_at"]
