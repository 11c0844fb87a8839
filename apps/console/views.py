"""The shell's own pages: home, the way to any object, preferences, errors."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import User
from apps.accounts.pages import requires
from apps.console import finding
from apps.console.context import THEME_COOKIE, THEMES
from apps.console.overview import overview

YEAR_S = 31_536_000


@require_safe
@requires("viewer")
def home(request: HttpRequest) -> HttpResponse:
    """Return the first page: what needs me, what changed, what next."""
    part = bool(request.headers.get("HX-Request"))
    return render(request, "console/_home.html" if part else "console/home.html", {"overview": overview()})


@require_safe
@requires("viewer")
def badge(request: HttpRequest) -> HttpResponse:
    """Return the number of waiting turns as the menu shows it, for tabs without a socket."""
    return render(request, "_badge.html")


@require_safe
@requires("viewer")
def go(request: HttpRequest, kind: str, name: str) -> HttpResponse:
    """Lead to the page of an object by its kind and id."""
    place = finding.place_of(kind, name)
    return redirect(place) if place else not_found(request)


@require_safe
@requires("viewer")
def search(request: HttpRequest) -> HttpResponse:
    """Return what is named or numbered like the words given."""
    words = request.GET.get("q", "").strip()
    return render(request, "console/search.html", {"words": words, "found": finding.find(words) if words else []})


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Keep the colours somebody chose, on the account and for this browser's sign-in page."""
    theme = request.POST.get("theme", "")
    if theme not in {choice.value for choice in THEMES}:
        theme = "system"
    if isinstance(request.user, User):
        User.objects.filter(pk=request.user.pk).update(theme=theme)
    response = _back(request)
    response.set_cookie(THEME_COOKIE, theme, max_age=YEAR_S, samesite="Lax", secure=request.is_secure())
    return response


@require_POST
@requires("viewer")
def set_nav(request: HttpRequest) -> HttpResponse:
    """Keep whether the menu shows words or icons."""
    state = "rail" if request.POST.get("nav") == "rail" else "full"
    if isinstance(request.user, User):
        User.objects.filter(pk=request.user.pk).update(nav=state)
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    if request.headers.get("X-Quiet"):
        return HttpResponse(status=204)
    place = request.headers.get("Referer", "")
    safe = url_has_allowed_host_and_scheme(place, {request.get_host()}, require_https=request.is_secure())
    return redirect(place if safe else "/")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Return the page for an address or object that does not exist."""
    return render(request, "404.html", {"path": request.path}, status=404)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Return the page for somebody whose role does not allow this."""
    reason = str(exception) if isinstance(exception, PermissionDenied) else ""
    return render(request, "403.html", {"reason": reason}, status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """Return the page for a bug; it asks nothing of the database, which may be what failed."""
    return render(request, "500.html", {"request_id": getattr(request, "request_id", "")}, status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Return the page for a form whose secret is missing or old."""
    return render(request, "403_csrf.html", {"reason": reason}, status=403)
