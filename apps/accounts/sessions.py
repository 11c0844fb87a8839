"""Calls that reach the API from a page: they prove that they come from our own."""

from typing import Any

from django.http import HttpRequest, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware

from apps.core.errors import Forbidden

SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}


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
