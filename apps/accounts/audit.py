"""Every write leaves one line: who, what, which object, when, from where."""

from contextvars import ContextVar
from typing import Any

from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.http import HttpRequest

from apps.accounts.models import AuditLine, User
from apps.accounts.principals import Principal, address_of

# Django's admin tells of a change by a signal, which knows no request.
_came_by: ContextVar[tuple[str, str]] = ContextVar("came_by", default=("", ""))


def remember(request: HttpRequest) -> None:
    """Keep where the page request being answered comes from, for lines that are written without it at hand."""
    _came_by.set((address_of(request), getattr(request, "request_id", "")))


def note(actor: Principal, action: str, kind: str, object_id: str, **detail: Any) -> None:
    """Write the line of a change; call it inside the change's own transaction, so that both are kept or neither.

    ``action`` is a verb (``create``, ``delete``), ``kind`` the thing's name in the API (``agent``); ``detail`` holds
    JSON values worth reading later and never a secret.
    """
    AuditLine.objects.create(
        actor=actor.name[:150],
        user_id=actor.user_id,
        key_id=actor.key_id,
        action=action,
        kind=kind,
        object_id=str(object_id)[:255],
        detail=detail,
        address=actor.address,
        request_id=actor.request_id,
    )


def maker_of(kind: str, object_id: str) -> str:
    """Return who made an object, as the log names them: a person, or a key; "" when no line tells."""
    lines = AuditLine.objects.filter(kind=kind, object_id=object_id[:255], action="create")
    return lines.values_list("actor", flat=True).first() or ""


def admin_wrote(instance: LogEntry, **_: Any) -> None:
    """Write the line of a change made in the admin site, of whichever model: its own log entry tells of it."""
    user = User.objects.get(pk=instance.user_id)
    action = {ADDITION: "create", DELETION: "delete"}.get(instance.action_flag, "update")
    model = instance.content_type.model_class() if instance.content_type else None
    kind = str(model._meta.verbose_name).lower().replace(" ", "_") if model else "object"
    address, request_id = _came_by.get()
    actor = Principal(role=user.role, user_id=user.pk, name=user.username, address=address, request_id=request_id)
    note(actor, action, kind, instance.object_id or "", name=instance.object_repr, by="admin site")
