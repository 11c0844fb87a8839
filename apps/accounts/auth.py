"""Who may call an operation: an API key first, else the signed-in session of a page."""

from django.conf import settings
from django.http import HttpRequest

from apps.accounts import keys, sessions
from apps.accounts.models import Role, User
from apps.accounts.principals import Principal, address_of, principal_for
from apps.core import db, signed_in
from apps.core.errors import Forbidden, Unauthorized

__all__ = ["Principal", "Requires", "admin", "by_method", "caller", "operator", "principal_of", "viewer"]


class Requires:
    """A django-ninja authenticator that lets in whoever has the role; without one, the method decides."""

    def __init__(self, role: str | None = None) -> None:
        self.role = role

    async def __call__(self, request: HttpRequest) -> Principal:
        """Return who asks, and keep it as ``request.principal``; raises Unauthorized or Forbidden."""
        principal = await identify(request)
        needed = self.role or (Role.VIEWER if request.method in sessions.SAFE else Role.OPERATOR)
        if not principal.can(needed):
            raise Forbidden(f"{principal.name} has the role {principal.role}; this needs {needed}.")
        request.principal = principal  # type: ignore[attr-defined]
        return principal


viewer = Requires(Role.VIEWER)
operator = Requires(Role.OPERATOR)
admin = Requires(Role.ADMIN)
by_method = Requires()


def caller(request: HttpRequest) -> Principal:
    """Return who called an operation of the API, which one of the doors above must have let through."""
    principal: Principal = request.principal  # type: ignore[attr-defined]
    return principal


def principal_of(request: HttpRequest) -> Principal:
    """Return who acts in a page request; the page must have been let through by the door."""
    user = request.user
    if not isinstance(user, User):
        raise TypeError("principal_of needs a signed-in request; decorate the view with accounts.pages.requires")
    return principal_for(user, request)


async def identify(request: HttpRequest) -> Principal:
    """Return who asks, in one hop to the database; raises Unauthorized, or Forbidden for a forged page request."""
    header = request.META.get("HTTP_AUTHORIZATION", "")
    if header:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("Authorization must be 'Bearer <API key>'.", headers={"WWW-Authenticate": "Bearer"})
        return await db.read(keys.recognise, token.strip(), address_of(request), getattr(request, "request_id", ""))
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    user = await db.read(signed_in.user_of, cookie) if cookie else None
    if user is None:
        raise Unauthorized(
            "Send an API key: 'Authorization: Bearer <API key>'. Keys are made under Settings, API keys.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    sessions.refuse_forged(request)
    return principal_for(user, request)
