"""Models in the admin."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from apps.inference.models import Model


@admin.register(Model)
class ModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows and edits models; listed ones follow their provider."""

    list_display = ["identifier", "model_type", "provider", "source", "enabled", "missing_since", "console"]
    list_filter = ["model_type", "source", "enabled", "provider"]
    list_select_related = ["provider"]
    search_fields = ["identifier", "provider_resource_id"]
    readonly_fields = ["source", "missing_since", "created_at", "updated_at"]

    @admin.display(description="console")
    def console(self, row: Model) -> str:
        """Return a link to the model's page."""
        return format_html('<a href="{}">Open</a>', reverse("inference:model-detail", args=[row.identifier]))
