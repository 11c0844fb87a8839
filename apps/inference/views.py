"""Pages of models: list with the catalog of weights, detail with a way to try it, registering, taking away."""

import math
import time
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.audit import note
from apps.accounts.auth import principal_of
from apps.accounts.pages import may, requires
from apps.core import live, once
from apps.core.errors import ConsoleError, NotFound
from apps.core.htmx import is_partial
from apps.core.keyset import page_of
from apps.inference import catalog, chat, prices, pulling, registry
from apps.inference.forms import PricesForm, RegisterForm, TryForm
from apps.inference.models import Model, ModelType, Source
from apps.providers.health import TOPIC
from apps.providers.models import Provider

TRY_TOKENS = 400
SHOWN_NUMBERS = 8


@require_GET
@requires("viewer")
def model_list(request: HttpRequest) -> HttpResponse:
    """Show the models, those that a filter leaves, and the weights that can be fetched."""
    number = async_to_sync(live.head)(TOPIC)
    words, pulls = request.GET.get("q", "").strip()[:200], pulling.at_work()
    rows = Model.objects.select_related("provider")
    for word in words.split():
        rows = rows.filter(Q(identifier__icontains=word) | Q(model_type__in=_kinds(word)))
    context = {
        "page": page_of(rows, request.GET),
        "words": words,
        "any_model": Model.objects.exists(),
        "any_provider": Provider.objects.exists(),
        "catalog": [(entry, pulls.get(entry.name)) for entry in catalog.CATALOG],
        "number": number,
        "topic": TOPIC,
        "can_operate": may(request, "operator"),
    }
    return render(request, "inference/_models.html" if is_partial(request) else "inference/model_list.html", context)


def _kinds(word: str) -> list[str]:
    """Return the kinds called so: by the word of the column, or by that of the API."""
    return [kind for kind, label in ModelType.choices if word.lower() in (kind, label)]


@require_GET
@requires("viewer")
def model_detail(request: HttpRequest, identifier: str) -> HttpResponse:
    """Show a model and a form to try it."""
    row = _row_or_404(identifier)
    return render(request, "inference/model_detail.html", _detail(request, row, TryForm()))


@require_POST
@requires("operator")
def model_try(request: HttpRequest, identifier: str) -> HttpResponse:
    """Ask the model and show its answer whole; with script the page streams the same from the API instead."""
    row, form = _row_or_404(identifier), TryForm(request.POST)
    context = _detail(request, row, form)
    if form.is_valid():
        began = time.perf_counter()
        try:
            context |= _try(row, form.cleaned_data["prompt"])
        except ConsoleError as error:
            context["try_error"] = error.detail
        context["try_s"] = time.perf_counter() - began
    return render(request, "inference/model_detail.html", context, status=200 if form.is_valid() else 422)


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def model_new(request: HttpRequest) -> HttpResponse:
    """Register a model."""
    form = RegisterForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                row = registry.register(form.request(), principal_of(request))
        except ConsoleError as error:
            form.add_error("model_id", error.detail)
        else:
            return redirect("inference:model-detail", row.identifier)
    return render(request, "inference/model_form.html", {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def model_unregister(request: HttpRequest, identifier: str) -> HttpResponse:
    """Delete a registered model, or switch off a listed one; asked once."""
    row = _row_or_404(identifier)
    if request.method == "POST":
        with transaction.atomic():
            registry.take_away(row, principal_of(request))
        messages.success(request, f"Model {row.identifier} can no longer be used.")
        return redirect("inference:model-list")
    back = reverse("inference:model-detail", args=[row.identifier])
    context = {"model": row, "text": _what_goes(row), "back": back, **_words_for_taking_away(row)}
    return render(request, "inference/model_unregister.html", context)


@require_POST
@requires("operator")
def model_enable(request: HttpRequest, identifier: str) -> HttpResponse:
    """Switch a listed model on again."""
    row = _row_or_404(identifier)
    row.enabled = True
    with transaction.atomic():
        row.save()
        note(principal_of(request), "enable", "model", row.identifier)
    return redirect("inference:model-detail", row.identifier)


@require_POST
@requires("operator")
def model_prices(request: HttpRequest, identifier: str) -> HttpResponse:
    """Set what a million tokens of a model cost; empty fields take a price away."""
    row = _row_or_404(identifier)
    form = PricesForm(request.POST, instance=_row_or_404(identifier))
    if not form.is_valid():
        context = _detail(request, row, TryForm()) | {"prices_form": form}
        return render(request, "inference/model_detail.html", context, status=422)
    with transaction.atomic():
        registry.set_prices(form.instance, principal_of(request))
    messages.success(request, "The prices are kept. They count for what is evaluated from now on.")
    return redirect("inference:model-detail", identifier)


@require_POST
@requires("operator")
@once.only
def weights_pull(request: HttpRequest, name: str) -> HttpResponse:
    """Begin to fetch weights of the catalog, and go to the page that shows how far it is."""
    try:
        job = pulling.start(catalog.named(name), principal_of(request))
    except NotFound as error:
        raise Http404(error.detail) from error
    except ConsoleError as error:
        messages.error(request, error.detail)
        return redirect("inference:model-list")
    return redirect("jobs:job-detail", job.job_id)


def _detail(request: HttpRequest, row: Model, form: TryForm) -> dict[str, Any]:
    return {
        "model": row,
        "form": form,
        "price": prices.of(row),
        "prices_form": PricesForm(instance=row),
        "try_tokens": TRY_TOKENS,
        "json": row.as_schema().model_dump(mode="json", exclude_none=True),
        "can_operate": may(request, "operator"),
        "can_try": row.model_type in ("llm", "embedding") and row.state in ("healthy", "unknown"),
        "delete_text": _what_goes(row),
        "origin": request.build_absolute_uri("/")[:-1],
        **_words_for_taking_away(row),
    }


def _try(row: Model, prompt: str) -> dict[str, Any]:
    """Return the answer to a prompt, or its vector in words."""
    ask = _embed if row.model_type == "embedding" else _ask
    return {"answer": async_to_sync(ask)(row.identifier, prompt)}


async def _ask(identifier: str, prompt: str) -> str:
    target = await chat.find(identifier)
    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": TRY_TOKENS}
    answer = await chat.complete(target, body)
    return str(answer["choices"][0]["message"].get("content") or "")


async def _embed(identifier: str, prompt: str) -> str:
    target = await chat.find(identifier, "embedding")
    vector = (await chat.embed(target, {"input": [prompt]}))["data"][0]["embedding"]
    length = math.sqrt(sum(number * number for number in vector))
    first = " ".join(f"{number:.4f}" for number in vector[:SHOWN_NUMBERS])
    return f"{len(vector)} numbers of length {length:.3f}, beginning {first}"


def _words_for_taking_away(row: Model) -> dict[str, str]:
    is_listed = row.source == Source.LISTED
    return {
        "take_away": "Switch off model" if is_listed else "Delete model",
        "take_away_icon": "power" if is_listed else "trash-2",
    }


def _what_goes(row: Model) -> str:
    stays = (
        "It can be switched on again."
        if row.source == Source.LISTED
        else "The provider keeps it; only the name here goes."
    )
    return f"Agents that use {row.identifier} stop answering. {stays}"


def _row_or_404(identifier: str) -> Model:
    row = Model.objects.select_related("provider").filter(identifier=identifier).first()
    if row is None:
        raise Http404(f"Model '{identifier}' not found")
    return row
