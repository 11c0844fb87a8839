"""Datasets and rows in the admin: read by key, never counted, as fast at a million rows as at ten."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.accounts.auth import principal_of
from apps.core.in_console import in_console
from apps.core.uncounted import Uncounted
from apps.datasets import registry
from apps.datasets.models import Addition, Dataset, Row, State

SHOWN = 120


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows datasets; rows are added and changed on their pages, where they are checked."""

    list_display = ["dataset_id", "purpose", "state", "row_count", "updated_at", in_console]
    list_filter = ["purpose", "state"]
    search_fields = ["dataset_id"]
    show_full_result_count = False
    readonly_fields = [
        "dataset_id", "source", "state", "load_error", "job_id", "read_from", "row_count", "next_position",
        "size_bytes", "gaps", "created_at", "updated_at", "created_by", "warning", "metadata", "purpose",
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dataset]:
        """Leave out what is being removed."""
        return super().get_queryset(request).exclude(state=State.HIDDEN)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Datasets are registered on their page or by the API."""
        return False

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name the datasets alone: listing a million rows helps nobody."""
        return [f"{one} with {one.row_count:,} rows" for one in objs], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: Dataset) -> None:
        """Delete as the API does: many rows go by a job."""
        registry.unregister(obj.dataset_id, principal_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Delete those that were chosen, as the API does."""
        for one in queryset:
            self.delete_model(request, one)


@admin.register(Row)
class RowAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows rows, read-only; they are changed on their page, where the dataset's numbers follow."""

    list_display = ["dataset", "position", "short", in_console]
    list_select_related = ["dataset"]
    list_per_page = 50
    paginator = Uncounted
    show_full_result_count = False
    ordering = ["-id"]
    readonly_fields = ["dataset", "position", "content", "origin"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are added on their dataset's page or by the API."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are changed on their page."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are deleted on their dataset's page."""
        return False

    @admin.display(description="row")
    def short(self, row: Row) -> str:
        """Return the beginning of the row."""
        return row.content[:SHOWN]


@admin.register(Addition)
class AdditionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows how rows came; written once, never changed."""

    list_display = ["dataset", "start", "count", "how", "about", "by", "at"]
    list_select_related = ["dataset"]
    list_filter = ["how"]
    paginator = Uncounted
    show_full_result_count = False
    ordering = ["-id"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Additions are written with their rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are history."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are history."""
        return False
