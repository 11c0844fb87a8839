"""Pages of providers: list with health, detail, and for administrators adding, changing, switching off and deleting."""

from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.audit import note
from apps.accounts.auth import principal_of
from apps.accounts.pages import may, requires
from apps.core import live, once
from apps.core.errors import BadRequest
from apps.providers import health, types
from apps.providers.forms import ProviderForm
from apps.providers.models import Provider

# What a type is, for somebody who chooses one.
ABOUT = {
    "remote::openai": ("OpenAI-compatible server", "OpenAI, vLLM, Ollama, llama-server: an address and a key.", "plug"),
    "inline::llama-cpp": ("Embedded models", "llama.cpp on this machine, no account and no network.", "cpu"),
    "inline::scripted": ("Scripted model", "Plays a written list of answers: for tests and demos.", "file-text"),
}


@require_GET
@requires("viewer")
def provider_list(request: HttpRequest) -> HttpResponse:
    """Show every provider with what its last check said."""
    number = async_to_sync(live.head)(health.TOPIC)  # before the rows: what happens between is told again, not lost
    rows = Provider.objects.prefetch_related("models")
    context = {"rows": rows, "number": number, "topic": health.TOPIC, "can_admin": may(request, "admin")}
    return render(request, "providers/provider_list.html", context)


@require_GET
@requires("viewer")
def provider_detail(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Show a provider: its settings with secrets hidden, its health, its models."""
    number = async_to_sync(live.head)(health.TOPIC)
    row = _row_or_404(provider_id)
    context = {
        "provider": row,
        "config": row.shown_config(),
        "models": row.models.order_by("identifier"),
        "number": number,
        "topic": health.TOPIC,
        "can_admin": may(request, "admin"),
        "delete_text": _what_goes(row),
    }
    return render(request, "providers/provider_detail.html", context)


@require_http_methods(["GET", "POST"])
@requires("admin")
@once.only
def provider_new(request: HttpRequest) -> HttpResponse:
    """Choose a type, then give its settings."""
    provider_type = request.GET.get("type", "")
    if provider_type not in types.known("inference"):
        known = sorted(types.known("inference"), key=lambda name: (name not in ABOUT, [*ABOUT, name].index(name)))
        choices = [(name, *ABOUT.get(name, (name, "", "plug"))) for name in known]
        return render(request, "providers/provider_type.html", {"choices": choices})
    return _form_page(request, Provider(api="inference", provider_type=provider_type), "create")


@require_http_methods(["GET", "POST"])
@requires("admin")
@once.only
def provider_edit(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Change a provider's settings; secrets are written and never shown."""
    return _form_page(request, _row_or_404(provider_id), "update")


@require_POST
@requires("operator")
def provider_check(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Ask the provider now and say what it answered."""
    row = _row_or_404(provider_id)
    _check_and_tell(request, row)
    return redirect("providers:provider-detail", row.provider_id)


@require_POST
@requires("admin")
def provider_switch(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Switch a provider off, or on again."""
    row = _row_or_404(provider_id)
    row.enabled = request.POST.get("enabled") == "true"
    with transaction.atomic():
        row.save()
        note(principal_of(request), "enable" if row.enabled else "disable", "provider", row.provider_id)
    if row.enabled:
        _check_and_tell(request, row)
    else:
        messages.success(request, f"{row} is switched off. Its models cannot be used until it is on again.")
    return redirect("providers:provider-detail", row.provider_id)


@require_http_methods(["GET", "POST"])
@requires("admin")
@once.only
def provider_delete(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Delete a provider with its models, asked once."""
    row = _row_or_404(provider_id)
    if request.method == "POST":
        with transaction.atomic():
            note(principal_of(request), "delete", "provider", row.provider_id, provider_type=row.provider_type)
            row.delete()
        messages.success(request, f"Provider {provider_id} is deleted.")
        return redirect("providers:provider-list")
    context = {"provider": row, "text": _what_goes(row), "back": _url(row)}
    return render(request, "providers/provider_delete.html", context)


def _form_page(request: HttpRequest, row: Provider, action: str) -> HttpResponse:
    try:
        form = ProviderForm(request.POST if request.method == "POST" else None, row=row)
    except BadRequest as error:
        raise Http404(error.detail) from None
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            saved = form.save()
            note(principal_of(request), action, "provider", saved.provider_id, settings=sorted(saved.config))
        _check_and_tell(request, saved)
        return redirect("providers:provider-detail", saved.provider_id)
    title, about, _ = ABOUT.get(row.provider_type, (row.provider_type, "", ""))
    context: dict[str, Any] = {"form": form, "provider": row, "type_title": title, "type_about": about}
    return render(request, "providers/provider_form.html", context, status=422 if form.is_bound else 200)


def _check_and_tell(request: HttpRequest, row: Provider) -> None:
    checked = async_to_sync(health.check)(row)
    if checked.health_error:
        named = "" if str(row) in checked.health_error else f"{row}: "
        messages.error(request, named + checked.health_error)
    else:
        messages.success(request, f"{row} answers.")


def _row_or_404(provider_id: str) -> Provider:
    row = Provider.objects.filter(provider_id=provider_id).first()
    if row is None:
        raise Http404(f"No provider is named '{provider_id}'")
    return row


def _what_goes(row: Provider) -> str:
    count = row.models.count()
    text = f"Its {count} model{'s' if count != 1 else ''} can no longer be used; agents that name them stop answering."
    comes_back = row.from_environment and (settings.EMBEDDED_MODELS or settings.OPENAI_BASE_URL)
    return text + (" It comes from the environment and is made again at the next start." if comes_back else "")


def _url(row: Provider) -> str:
    return reverse("providers:provider-detail", args=[row.provider_id])
