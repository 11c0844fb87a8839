"""Settings that concern people: one's own profile and keys, and everybody's accounts."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.core.cache import cache
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from apps.accounts import audit, people
from apps.accounts import keys as api_keys
from apps.accounts.auth import principal_of
from apps.accounts.forms import ChangePasswordForm, InviteForm, KeyForm, PreferencesForm, RoleForm
from apps.accounts.models import ApiKey, Role, User
from apps.accounts.pages import requires
from apps.core import once
from apps.core.errors import ConsoleError
from apps.core.keyset import page_of


@requires()
def home(request: HttpRequest) -> HttpResponse:
    """Lead to the first page of the settings."""
    return redirect("accounts:profile")


@requires()
def profile(request: HttpRequest) -> HttpResponse:
    """One's own preferences."""
    user = _me(request)
    form = PreferencesForm(request.POST or None, instance=user)
    if not form.is_valid():
        return _profile_page(request, preferences=form)
    with transaction.atomic():
        form.save()
        audit.note(principal_of(request), "update", "user", str(user.pk), name=user.username, changed=form.changed_data)
    messages.success(request, "Preferences saved.")
    return redirect("accounts:profile")


@require_POST
@sensitive_post_parameters()
@requires()
def change_password(request: HttpRequest) -> HttpResponse:
    """One's own password; other browsers are signed out, this one stays."""
    user = _me(request)
    form = ChangePasswordForm(user, request.POST)
    if not form.is_valid():
        return _profile_page(request, password=form)
    before = request.session.session_key
    with transaction.atomic():
        people.set_password(principal_of(request), user, form.cleaned_data["password"], going_on=before)
        update_session_auth_hash(request, user)
    messages.success(request, "Password changed. Other browsers were signed out.")
    return redirect("accounts:profile")


@never_cache
@requires()
def keys(request: HttpRequest) -> HttpResponse:
    """API keys: one's own, or everybody's for an administrator; a new one is shown once."""
    user = _me(request)
    form = KeyForm(user, request.POST or None)
    if not form.is_valid():
        return _keys_page(request, form)
    # A form sent twice makes one key; the text of a key is never kept, so the second answer cannot show it.
    sent = once.key_of(request)
    if sent and not cache.add(sent, "", once.KEEP_S):
        messages.warning(request, "This key was made already. If you did not copy it, revoke it and make another.")
        return redirect("accounts:keys")
    with transaction.atomic():
        key, token = api_keys.issue(
            principal_of(request),
            form.cleaned_data["name"],
            form.cleaned_data["role"],
            user=user,
            expires_at=form.expires_at,
        )
    return _keys_page(request, KeyForm(user), made=key, token=token)


@requires()
@once.only
def revoke_key(request: HttpRequest, key_id: int) -> HttpResponse:
    """End a key from its next call on; asks first."""
    key = get_object_or_404(ApiKey.objects.of(_me(request)), pk=key_id)
    if request.method != "POST":
        text = "Programs that use it are refused from their next call on. This cannot be undone."
        return _confirm_page(request, f"Revoke key {key.name}?", text, verb="Revoke key", back="accounts:keys")
    with transaction.atomic():
        api_keys.revoke(principal_of(request), key)
    messages.success(request, f"Key {key.name} revoked. Its next call is refused.")
    return redirect("accounts:keys")


@never_cache
@requires(Role.ADMIN)
def users(request: HttpRequest) -> HttpResponse:
    """Everybody's accounts; an invitation makes one and shows its link once."""
    form = InviteForm(request.POST or None)
    if not form.is_valid():
        return _users_page(request, form)
    user = people.invite(principal_of(request), form.cleaned_data["username"], form.cleaned_data["role"])
    return _users_page(request, InviteForm(), linked=user, link=request.build_absolute_uri(people.link_path(user)))


@require_POST
@requires(Role.ADMIN)
def change_role(request: HttpRequest, user_id: int) -> HttpResponse:
    """Give somebody another role."""
    get_object_or_404(User, pk=user_id)
    form = RoleForm(request.POST)
    if not form.is_valid():
        return _users_refused(request, "Choose one of the roles: viewer, operator, admin.")
    try:
        user = people.change_role(principal_of(request), user_id, form.cleaned_data["role"])
    except ConsoleError as refusal:
        return _users_refused(request, refusal.detail)
    messages.success(request, f"{user.username} is now {user.get_role_display().lower()}.")
    return redirect("accounts:users")


@requires(Role.ADMIN)
@once.only
def set_active(request: HttpRequest, user_id: int) -> HttpResponse:
    """Disable an account, which asks first, or enable it again."""
    person = get_object_or_404(User, pk=user_id)
    if request.method != "POST":
        text = "Sessions end at once and API keys of this account stop working. You can enable it again."
        return _confirm_page(
            request, f"Disable {person.username}?", text, verb="Disable account", back="accounts:users"
        )
    active = request.POST.get("active") == "true"
    try:
        user = people.set_active(principal_of(request), user_id, active=active)
    except ConsoleError as refusal:
        return _users_refused(request, refusal.detail)
    messages.success(request, f"{user.username} {'can sign in again' if active else 'is disabled and signed out'}.")
    return redirect("accounts:users")


@require_POST
@never_cache
@requires(Role.ADMIN)
def renew_link(request: HttpRequest, user_id: int) -> HttpResponse:
    """Show a new link by which somebody chooses a password."""
    user = get_object_or_404(User, pk=user_id, is_active=True)
    path = people.renew_link(principal_of(request), user)
    return _users_page(request, InviteForm(), linked=user, link=request.build_absolute_uri(path))


def _me(request: HttpRequest) -> User:
    user = request.user
    assert isinstance(user, User)  # requires() let only people in
    return user


def _profile_page(request: HttpRequest, **bound: Any) -> HttpResponse:
    user = _me(request)
    forms = {
        "here": "profile",
        "preferences": PreferencesForm(instance=user),
        "password": ChangePasswordForm(user),
        **bound,
    }
    return render(request, "accounts/profile.html", forms, status=_status(*bound.values()))


def _keys_page(request: HttpRequest, form: KeyForm, **context: Any) -> HttpResponse:
    rows = page_of(ApiKey.objects.of(_me(request)).select_related("user"), request.GET)
    page = {"here": "keys", "form": form, "keys": rows, **context}
    return render(request, "accounts/keys.html", page, status=_status(form))


def _users_page(request: HttpRequest, form: InviteForm, status: int | None = None, **context: Any) -> HttpResponse:
    rows = User.objects.annotate(live_keys=Count("api_keys", filter=Q(api_keys__revoked_at=None)))
    page = {"here": "users", "form": form, "people": page_of(rows, request.GET), "roles": Role.choices, **context}
    return render(request, "accounts/users.html", page, status=status or _status(form))


def _confirm_page(request: HttpRequest, title: str, text: str, *, verb: str, back: str) -> HttpResponse:
    context = {"title": title, "text": text, "verb": verb, "url": request.path, "back": reverse(back)}
    return render(request, "accounts/confirm.html", context)


def _users_refused(request: HttpRequest, detail: str) -> HttpResponse:
    return _users_page(request, InviteForm(), status=409, refusal=detail)


def _status(*forms: Any) -> int:
    return 422 if any(form.is_bound and not form.is_valid() for form in forms) else 200
