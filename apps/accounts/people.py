"""What administrators do with accounts: invite, change a role, disable. The last administrator always stays."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from apps.accounts import audit
from apps.accounts.models import Role, User
from apps.accounts.principals import Principal
from apps.core.consumers import group_of_user
from apps.core.errors import Conflict


def invite(actor: Principal, username: str, role: str) -> User:
    """Make an account without a password; its link lets the person choose one."""
    with transaction.atomic():
        user = User(username=username)
        _give(user, role)
        user.set_unusable_password()
        user.save()
        audit.note(actor, "invite", "user", str(user.pk), name=username, role=role)
    return user


def link_path(user: User) -> str:
    """Return the path of a link that lets this person choose a password: once, and for three days."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return reverse("accounts:invite", args=[uid, default_token_generator.make_token(user)])


def renew_link(actor: Principal, user: User) -> str:
    """Return a new link for somebody who lost theirs, or their password."""
    with transaction.atomic():
        audit.note(actor, "make_link", "user", str(user.pk), name=user.username)
    return link_path(user)


def invited(uid: str, token: str) -> User | None:
    """Return whom a link was made for; None when it was used, is too old, or the account is disabled."""
    try:
        user = User.objects.filter(pk=int(urlsafe_base64_decode(uid)), is_active=True).first()
    except (ValueError, OverflowError):
        return None
    return user if user and default_token_generator.check_token(user, token) else None


def set_password(actor: Principal, user: User, password: str, *, going_on: str | None = None) -> None:
    """Store a new password; every session of this person ends by it, but for the one ``going_on`` under a new key."""
    with transaction.atomic():
        user.set_password(password)
        user.save(update_fields=["password"])
        audit.note(actor, "set_password", "user", str(user.pk), name=user.username)
        transaction.on_commit(lambda: recheck(user.pk, going_on))


def change_role(actor: Principal, user_id: int, role: str) -> User:
    """Give somebody another role; raises Conflict when nobody would be left to administer."""
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user_id)
        before = user.role
        if role != Role.ADMIN:
            _keep_one_admin(user)
        _give(user, role)
        user.save(update_fields=["role", "is_staff", "is_superuser"])
        audit.note(actor, "change_role", "user", str(user.pk), name=user.username, before=before, after=role)
        transaction.on_commit(lambda: recheck(user.pk))
    return user


def set_active(actor: Principal, user_id: int, *, active: bool) -> User:
    """Let somebody in again, or out at once: sessions, keys and sockets; raises Conflict for the last administrator."""
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user_id)
        if not active:
            _keep_one_admin(user)
        user.is_active = active
        user.save(update_fields=["is_active"])
        audit.note(actor, "enable" if active else "disable", "user", str(user.pk), name=user.username)
        transaction.on_commit(lambda: recheck(user.pk))
    return user


def recheck(user_id: int | None, going_on: str | None = None) -> None:
    """Tell the open sockets of a person to ask again who they are and what they may watch.

    Those of the session ``going_on``, whose key has just changed, come back with the new one.
    """
    layer = get_channel_layer()
    if layer is not None and user_id is not None:
        async_to_sync(layer.group_send)(group_of_user(user_id), {"type": "live.recheck", "going_on": going_on})


def _give(user: User, role: str) -> None:
    # Who administers the console administers its data too; anybody else gets into the admin site by its own flags only.
    user.role = role
    user.is_staff = user.is_superuser = role == Role.ADMIN


def _keep_one_admin(user: User) -> None:
    try:
        user.refuse_if_last_admin()
    except ValidationError as refusal:
        raise Conflict(refusal.messages[0]) from refusal
