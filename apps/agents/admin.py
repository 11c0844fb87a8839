"""Agents, sessions, turns and steps in the admin site, to look closely. What the API cannot change stays as it is."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from apps.agents.models import Agent, Pending, Session, Status, Step, Turn
from apps.core.in_console import in_console


class RecordAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Records of what happened: shown, searched, and deleted where the API deletes too."""

    list_per_page = 50
    show_full_result_count = False
    ordering: ClassVar = ["-pk"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nothing is made here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing is changed here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Parts of a turn go only with their session."""
        return False

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """What belongs to a deleted record goes with it, though it cannot be deleted alone."""
        found, counts, _, protected = super().get_deleted_objects(objs, request)
        return found, counts, set(), protected


@admin.register(Agent)
class AgentAdmin(RecordAdmin):
    """Configured agents; the API has no update."""

    list_display = ("__str__", "model", "created_at", "created_by", in_console)
    search_fields = ("name", "model", "=agent_id")
    list_filter = ("created_at",)
    list_select_related = ("created_by",)
    readonly_fields = ("agent_id", "created_at")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """An agent goes with its sessions, unless one of them is answering."""
        running = isinstance(obj, Agent) and Turn.objects.filter(session__agent=obj, status=Status.RUNNING).exists()
        return not running and admin.ModelAdmin.has_delete_permission(self, request, obj)


@admin.register(Session)
class SessionAdmin(RecordAdmin):
    """Conversations."""

    list_display = ("__str__", "agent", "started_at", "last_used_at", "created_by", in_console)
    search_fields = ("session_name", "=session_id", "agent__name")
    list_filter = ("started_at",)
    list_select_related = ("agent", "created_by")
    readonly_fields = ("session_id", "started_at", "last_used_at")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A session goes with its turns, unless it is answering."""
        running = isinstance(obj, Session) and obj.turns.filter(status=Status.RUNNING).exists()
        return not running and admin.ModelAdmin.has_delete_permission(self, request, obj)


class StepInline(admin.TabularInline):  # type: ignore[type-arg]
    """The steps of a turn, told in short."""

    model = Step
    fields = ("step_type", "started_at", "completed_at", "facts")
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is made here."""
        return False


@admin.register(Turn)
class TurnAdmin(RecordAdmin):
    """Questions and what was done to answer them."""

    list_display = ("__str__", "status", "session", "started_at", "input_tokens", "output_tokens", in_console)
    search_fields = ("=turn_id", "=trace_id", "error", "session__session_name")
    list_filter = ("status", "started_at")
    list_select_related = ("session__agent",)
    readonly_fields = ("turn_id", "started_at")
    inlines: ClassVar = [StepInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Turn]:
        """Leave the documents' text out of lists."""
        return super().get_queryset(request).defer("documents", "documents_content", "output_message")


@admin.register(Step)
class StepAdmin(RecordAdmin):
    """Steps as the API tells them."""

    list_display = ("__str__", "step_type", "turn", "started_at", "duration", in_console)
    search_fields = ("=step_id", "=turn__turn_id")
    list_filter = ("step_type", "started_at")
    list_select_related = ("turn__session__agent",)
    readonly_fields = ("step_id",)


@admin.register(Pending)
class PendingAdmin(RecordAdmin):
    """Calls that wait for a person."""

    list_display = ("tool_name", "call_id", "turn", "asked_at", "taken_by", in_console)
    search_fields = ("tool_name", "=call_id", "=turn__turn_id")
    list_filter = ("asked_at", "tool_name")
    list_select_related = ("turn", "taken_by")
