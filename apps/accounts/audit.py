"""Every write leaves one line: who, what, which object, when, from where."""

from typing import Any

from apps.accounts.models import AuditLine
from apps.accounts.principals import Principal


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
