"""Coming in: the first account, sign-in, invitations, sign-out."""

from datetime import timedelta
from math import ceil
from typing import Any

from axes.helpers import get_cool_off
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.timezone import now
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from apps.accounts import audit, first_run, people
from apps.accounts.auth import principal_of
from apps.accounts.forms import PasswordForm, SetupForm, SignInForm, weaknesses
from apps.accounts.models import User
from apps.accounts.principals import address_of, principal_for

BACKEND = "django.contrib.auth.backends.ModelBackend"


@never_cache
@sensitive_post_parameters()
def setup(request: HttpRequest) -> HttpResponse:
    """Make the first account; the page is gone once somebody has one."""
    if User.objects.exists():
        raise Http404("This console is set up.")
    if not first_run.may_set_up(request):
        is_wrong = bool(first_run.brought(request))
        return render(request, "accounts/setup_closed.html", {"is_wrong": is_wrong}, status=403 if is_wrong else 200)
    form = SetupForm(request.POST or None)
    if not form.is_valid():
        context = {"form": form, "token": first_run.token()}
        return render(request, "accounts/setup.html", context, status=422 if form.is_bound else 200)
    user = first_run.create_admin(request, form.cleaned_data["username"], form.cleaned_data["password"])
    login(request, user, backend=BACKEND)
    return redirect("/")


# It keeps nothing, and the token of a form that is just being sent is replaced as its person signs in.
@csrf_exempt
@require_POST
@sensitive_post_parameters()
def password_check(request: HttpRequest) -> HttpResponse:
    """Say what is weak about a password while it is typed, before the form is sent."""
    password = request.POST.get("password", "")
    name = request.POST.get("username") or request.user.get_username()
    reasons = weaknesses(password, User(username=name)) if password else []
    return render(request, "accounts/_password_help.html", {"reasons": reasons, "is_typed": bool(password)})


@never_cache
@sensitive_post_parameters()
def sign_in(request: HttpRequest) -> HttpResponse:
    """Let somebody in by name and password, and lead them where they were going."""
    if request.user.is_authenticated:
        return redirect(_next(request))
    form = SignInForm(request.POST or None)
    if form.is_valid():
        user = authenticate(request, **form.cleaned_data)
        if isinstance(user, User):
            login(request, user)
            audit.note(principal_for(user, request), "sign_in", "user", str(user.pk), name=user.username)
            return redirect(_next(request))
        form.add_error(None, "Name or password is wrong.")
    return _sign_in_page(request, form, status=422 if form.is_bound else 200)


def locked_out(request: HttpRequest, *_: Any) -> HttpResponse:
    """Answer a sign-in after too many wrong ones; django-axes calls it in place of the view's answer."""
    wait = _locked_for(request)
    response = _sign_in_page(
        request, SignInForm(initial={"username": request.POST.get("username", "")}), status=429, wait=wait
    )
    response["Retry-After"] = str(ceil(wait.total_seconds()))
    return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    actor = principal_of(request)
    audit.note(actor, "sign_out", "user", str(actor.user_id), name=actor.name)
    logout(request)
    people.recheck(actor.user_id)
    return redirect("accounts:login")


@never_cache
@sensitive_post_parameters()
def invite(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    """Let somebody who was invited, or lost their password, choose one and come in."""
    user = people.invited(uid, token)
    if user is None:
        return render(request, "accounts/invite_closed.html", status=404)
    form = PasswordForm(user, request.POST or None)
    if not form.is_valid():
        context = {"form": form, "person": user}
        return render(request, "accounts/invite.html", context, status=422 if form.is_bound else 200)
    people.set_password(principal_for(user, request), user, form.cleaned_data["password"])
    login(request, user, backend=BACKEND)
    return redirect("/")


def _sign_in_page(
    request: HttpRequest, form: SignInForm, *, status: int, wait: timedelta | None = None
) -> HttpResponse:
    context = {"form": form, "next": request.GET.get("next", ""), "wait": wait}
    return render(request, "accounts/login.html", context, status=status)


def _next(request: HttpRequest) -> str:
    """Where to go after sign-in: only within this console."""
    wanted = request.GET.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return wanted
    return resolve_url(settings.LOGIN_REDIRECT_URL)


def _locked_for(request: HttpRequest) -> timedelta:
    """How long this name stays locked for this address."""
    name = request.POST.get("username", "")
    attempts = AccessAttempt.objects.filter(username=name, ip_address=address_of(request) or None)
    last = attempts.aggregate(last=Max("attempt_time"))["last"] or now()
    return max(last + (get_cool_off(request) or timedelta()) - now(), timedelta(seconds=1))
