"""The session cookie of a page, for calls that reach the API from the browser."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.http import HttpRequest, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.crypto import constant_time_compare

from apps.accounts.models import User
from apps.core.errors import Forbidden

SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}


def user_of(cookie: str) -> User | None:
    """Return who is signed in under this session; None for an ended session, a disabled account or an old password."""
    session = import_module(settings.SESSION_ENGINE).SessionStore(cookie)
    user_id = session.get(SESSION_KEY)
    if user_id is None:
        return None
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or not constant_time_compare(session.get(HASH_SESSION_KEY) or "", user.get_session_auth_hash()):
        return None
    return user


class _Csrf(CsrfViewMiddleware):
    """Django's check, answering with its reason instead of a page."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def refuse_forged(request: HttpRequest) -> None:
    """Raise Forbidden when an unsafe call by cookie does not prove that it comes from our own page."""
    if request.method in SAFE:
        return
    check = _Csrf(lambda _: HttpResponseForbidden())
    check.process_request(request)
    reason = check.process_view(request, HttpResponseForbidden, (), {})
    if reason:
        why = str(reason).rstrip(".")
        raise Forbidden(f"CSRF check failed: {why}. Send the page's token as X-CSRFToken, or use an API key.")
