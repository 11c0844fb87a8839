"""People, keys and audit lines in the admin site: for looking closely and for repair."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.accounts import keys, people
from apps.accounts.auth import principal_of
from apps.accounts.models import ApiKey, AuditLine, Role, User
from apps.core.numbers import whole

# Django logs a deletion of many in one statement, which no audit line could follow (see accounts.audit).
admin.site.disable_action("delete_selected")


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]
    """Accounts. The last administrator can neither be deleted nor lose the role here either."""

    list_display = ("username", "role", "is_active", "is_staff", "last_login", "in_console")
    list_filter = ("role", "is_active", "is_staff")
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("username", "email", "first_name", "last_name")
    date_hierarchy = "date_joined"
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password", "role", "is_active")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Preferences", {"fields": ("theme", "time_zone", "nav", "shortcuts")}),
        (
            "Admin site",
            {"fields": ("is_staff", "is_superuser", "groups", "user_permissions"), "classes": ("collapse",)},
        ),
        ("Times", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "role", "usable_password", "password1", "password2")}),
    )

    @admin.display(description="console")
    def in_console(self, person: User) -> SafeString:
        """A link to the users page."""
        return format_html('<a href="{}">Users</a>', reverse("accounts:users"))

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Keep Django's flags in step with the role, and have open sockets ask again."""
        if obj.role == Role.ADMIN or "role" in form.changed_data:
            obj.is_staff = obj.is_superuser = obj.role == Role.ADMIN
        super().save_model(request, obj, form, change)
        transaction.on_commit(partial(people.recheck, obj.pk))

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Set somebody's password; the sockets of their sessions end with them."""
        response = super().user_change_password(request, id, form_url)
        if request.method == "POST" and (pk := whole(id)) is not None:
            people.recheck(pk)
        return response

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Delete an account and close its sockets."""
        transaction.on_commit(partial(people.recheck, obj.pk))
        super().delete_model(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """Name the administrators as protected when the deletion would leave none."""
        found, counts, needed, protected = super().get_deleted_objects(objs, request)
        able = User.objects.able_admins()
        going = {person.pk for person in objs}
        if set(able.values_list("pk", flat=True)) <= going:
            protected = [*protected, *(f"{person} (no administrator would be left)" for person in able)]
        return found, counts, needed, protected


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A model that is shown and not changed."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes here."""
        return False


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys, without what could be used: they are made and shown once in the console, and revoked there or here."""

    list_display = ("name", "role", "user", "begins", "state", "created_at", "last_used_at", "expires_at")
    list_filter = ("role",)
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__username")
    fields = ("name", "role", "user", "begins", "state", "created_at", "last_used_at", "expires_at", "revoked_at")
    actions = ("revoke",)

    @admin.display(description="begins with")
    def begins(self, key: ApiKey) -> str:
        """The part of a key that may be shown."""
        return f"sc_{key.prefix}…"

    @admin.action(description="Revoke selected keys")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        """End keys from their next call on."""
        ended = sum(keys.revoke(principal_of(request), key) for key in queryset)
        self.message_user(request, f"{ended} keys revoked.")
        return None


@admin.register(AuditLine)
class AuditLineAdmin(ReadOnlyAdmin):
    """The record of every write."""

    list_display = ("at", "actor", "action", "kind", "object_id", "address")
    list_filter = ("action", "kind")
    search_fields = ("actor", "object_id", "request_id")
    date_hierarchy = "at"
