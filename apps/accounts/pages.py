"""Who may open a page."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from apps.accounts.models import Role, User

View = TypeVar("View", bound=Callable[..., Any])


def requires(role: str = Role.VIEWER) -> Callable[[View], View]:
    """Let a page be opened by people of this role: others get the 403 page, strangers the sign-in page.

    The view may be sync or async; the door has already loaded the person, so asking costs no query.
    """

    def decorate(view: View) -> View:
        if iscoroutinefunction(view):

            @wraps(view)
            async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
                return _refusal(request, role) or await view(request, *args, **kwargs)

            return guarded_async  # type: ignore[return-value]

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return _refusal(request, role) or view(request, *args, **kwargs)

        return guarded  # type: ignore[return-value]

    return decorate


def may(request: HttpRequest, role: str) -> bool:
    """Return whether who opened the page has this role: what it needs is shown only then."""
    return isinstance(request.user, User) and request.user.can(role)


def _refusal(request: HttpRequest, role: str) -> HttpResponseBase | None:
    user = request.user
    if not isinstance(user, User):
        return redirect_to_login(request.get_full_path())
    if not user.can(role):
        raise PermissionDenied(f"This page needs the role {role}; yours is {user.role}.")
    return None
