"""The door of the pages: first run, then sign-in, before anything else is looked up."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import iscoroutinefunction
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import sync_and_async_middleware

from apps.accounts import audit
from apps.accounts.models import User
from apps.core import db
from apps.core.middleware import is_api

ALWAYS_OPEN = ("/static/", "/favicon.ico")
API_DOCUMENT = "/openapi.json"
OPEN_TO_STRANGERS = ("/login/", "/invite/", "/setup/")


@sync_and_async_middleware
def door(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Return the handler that leads strangers to set-up while no user exists, else to sign-in.

    One hop loads session and person together; views and templates then use ``request.user`` for free.
    """
    if iscoroutinefunction(get_response):

        async def async_door(request: HttpRequest) -> HttpResponseBase:
            audit.remember(request)
            turned_away = None if _is_open(request) else await db.read(_turn_away, request)
            return turned_away or await get_response(request)

        return async_door

    def sync_door(request: HttpRequest) -> HttpResponseBase:
        audit.remember(request)
        turned_away = None if _is_open(request) else _turn_away(request)
        return turned_away or get_response(request)

    return sync_door


def _is_open(request: HttpRequest) -> bool:
    # The API, its document included, has its own authentication; here it comes by when the pages' handler serves it.
    return request.path.startswith(ALWAYS_OPEN) or request.path == API_DOCUMENT or is_api(request.path)


def _turn_away(request: HttpRequest) -> HttpResponseBase | None:
    if request.user.is_authenticated:
        return None
    if not User.objects.exists():
        return None if request.path.startswith("/setup/") else _lead(request, _to_set_up(request))
    if request.path.startswith(OPEN_TO_STRANGERS):
        return None
    return _lead(request, redirect_to_login(request.get_full_path()))


def _to_set_up(request: HttpRequest) -> HttpResponse:
    """Lead to set-up; a token that was put behind another address comes along."""
    token = request.GET.get("token")
    return redirect(reverse("accounts:setup") + (f"?{urlencode({'token': token})}" if token else ""))


def _lead(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Have htmx follow with the whole page; a sign-in form inside a part helps nobody."""
    if request.headers.get("HX-Request") != "true":
        return response
    return HttpResponse(status=401, headers={"HX-Redirect": response["Location"]})
