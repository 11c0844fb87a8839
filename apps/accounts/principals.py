"""Who is acting: what an operation or a page view knows about whoever asked."""

from dataclasses import dataclass

from django.http import HttpRequest

from apps.accounts.models import Role, User, includes


@dataclass(frozen=True, slots=True)
class Principal:
    """A person, a key, or the command line, with the request it came by."""

    role: str
    user_id: int | None = None
    key_id: int | None = None
    name: str = ""
    address: str = ""
    request_id: str = ""

    def can(self, needed: str) -> bool:
        """Return whether the role is ``needed`` or more."""
        return includes(self.role, needed)


TERMINAL = Principal(role=Role.ADMIN, name="command line")


def address_of(request: HttpRequest) -> str:
    """Return the address the request came from; a proxy's own when there is one before us."""
    return str(request.META.get("REMOTE_ADDR") or "")


def principal_for(user: User, request: HttpRequest) -> Principal:
    """Return a person as the actor of a request."""
    return Principal(
        role=user.role,
        user_id=user.pk,
        name=user.username,
        address=address_of(request),
        request_id=getattr(request, "request_id", ""),
    )
