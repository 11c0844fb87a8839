"""The door of the pages: first run, then sign-in, before anything else is looked up."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.decorators import sync_and_async_middleware

from apps.accounts.models import User
from apps.core import db
from apps.core.middleware import is_api

ALWAYS_OPEN = ("/static/", "/healthz", "/readyz", "/openapi.json", "/favicon.ico")
OPEN_TO_STRANGERS = ("/login/", "/invite/", "/setup/")


@sync_and_async_middleware
def door(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Return the handler that leads strangers to set-up while no user exists, else to sign-in.

    One hop loads session and person together; views and templates then use ``request.user`` for free.
    """
    if iscoroutinefunction(get_response):

        async def async_door(request: HttpRequest) -> HttpResponseBase:
            turned_away = None if _is_open(request) else await db.read(_turn_away, request)
            return turned_away or await get_response(request)

        return async_door

    def sync_door(request: HttpRequest) -> HttpResponseBase:
        turned_away = None if _is_open(request) else _turn_away(request)
        return turned_away or get_response(request)

    return sync_door


def _is_open(request: HttpRequest) -> bool:
    # The API has its own authentication; it comes by here only when the pages' handler serves it.
    return request.path.startswith(ALWAYS_OPEN) or is_api(request.path)


def _turn_away(request: HttpRequest) -> HttpResponseBase | None:
    if request.user.is_authenticated:
        return None
    if not User.objects.exists():
        return None if request.path.startswith("/setup/") else _lead(request, redirect("accounts:setup"))
    if request.path.startswith(OPEN_TO_STRANGERS):
        return None
    return _lead(request, redirect_to_login(request.get_full_path()))


def _lead(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Have htmx follow with the whole page; a sign-in form inside a part helps nobody."""
    if request.headers.get("HX-Request") != "true":
        return response
    return HttpResponse(status=401, headers={"HX-Redirect": response["Location"]})
