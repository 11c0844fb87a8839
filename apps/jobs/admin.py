"""Jobs and workers in the admin site, to look closely; they are cancelled and tried again in the console."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django_tasks_db.models import DBTaskResult

from apps.jobs.models import Job, JobLine, Worker

# Deliveries are wake-ups of a moment; what they speak of are the jobs.
if admin.site.is_registered(DBTaskResult):
    admin.site.unregister(DBTaskResult)


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows to look at: a job changes by what its worker does and by nothing else."""

    list_per_page = 50
    show_full_result_count = False
    ordering: ClassVar = ["-pk"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nothing is made here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is changed here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What runs stays; history may go."""
        is_active = isinstance(obj, Job) and obj.is_active
        return not is_active and super().has_delete_permission(request, obj)


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """Jobs by state, kind and queue."""

    list_display = ["__str__", "status", "kind", "queue", "attempt", "scheduled_at", "completed_at", "console"]
    list_filter = ["status", "queue", "kind", "scheduled_at"]
    list_select_related = ["created_by"]
    search_fields = ["title", "=job_id", "=about_id"]
    date_hierarchy = None

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Deleting many would take running ones along."""
        return {}

    def view_on_site(self, obj: Job) -> str:
        """Return the address of the job's page."""
        return reverse("jobs:job-detail", args=[obj.job_id])

    @admin.display(description="console")
    def console(self, row: Job) -> str:
        """Return a link to the job's page."""
        return format_html('<a href="{}">Open</a>', self.view_on_site(row))


@admin.register(JobLine)
class JobLineAdmin(ReadOnlyAdmin):
    """Lines of logs."""

    list_display = ["at", "level", "job", "text"]
    list_filter = ["level"]
    list_select_related = ["job"]
    search_fields = ["=job__job_id", "text"]


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Workers as they last told of themselves."""

    list_display = ["__str__", "queues", "is_embedded", "is_draining", "heartbeat_at", "stopped_at"]
    list_filter = ["is_embedded", "is_draining"]
    search_fields = ["worker_id"]
