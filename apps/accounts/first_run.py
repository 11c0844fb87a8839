"""The first account: a link that works once, printed where only the operator looks."""

from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from apps.accounts import audit
from apps.accounts.models import User
from apps.accounts.principals import principal_for
from apps.core.errors import NotFound


def token() -> str:
    """Return the token of the set-up link: the same in every process of this installation, kept nowhere."""
    return salted_hmac("accounts.first_run", "set-up", algorithm="sha256").hexdigest()


def link(origin: str) -> str | None:
    """Return the address that makes the first account; None once there is one."""
    if User.objects.exists():
        return None
    return f"{origin.rstrip('/')}{reverse('accounts:setup')}?token={token()}"


def brought(request: HttpRequest) -> str:
    """Return the token a request brings, by its form or its address; somebody may have pasted the whole link."""
    text = request.POST.get("token") or request.GET.get("token") or ""
    return text.strip().rpartition("token=")[2]


def may_set_up(request: HttpRequest) -> bool:
    """Return whether a request may make the first account: it brings the link's token.

    Where it comes from proves nothing: other people of this machine, and pages in a browser here, come from loopback.
    """
    return constant_time_compare(brought(request), token())


def create_admin(request: HttpRequest, username: str, password: str) -> User:
    """Make the first account and return it; raises NotFound when somebody else was faster."""
    with transaction.atomic():
        # A row that always exists serves as the lock: two set-ups sent at the same time must not both win.
        ContentType.objects.select_for_update().get(app_label="accounts", model="user")
        if User.objects.exists():
            raise NotFound("This console is already set up.")
        user = User.objects.create_superuser(username, password=password)
        audit.note(principal_for(user, request), "create", "user", str(user.pk), name=username, role=user.role)
    return user
