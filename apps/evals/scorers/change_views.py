"""Changing scoring functions of one's own: registered, edited, switched off and on, deleted."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST
from pydantic import ValidationError

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.accounts.principals import Principal
from apps.core import once
from apps.core.errors import ConsoleError
from apps.core.htmx import is_partial
from apps.evals import functions, lookup, own_functions, schemas
from apps.evals.models import ScoringFunction
from apps.evals.scorers import used_by, vectors
from apps.evals.scorers.columns import columns_of
from apps.evals.scorers.form import ScorerForm
from apps.evals.scoring.base import Scorer
from apps.evals.scoring.catalog import BUILT_IN

FIRST = "basic::equality"
Store = Callable[[schemas.RegisterScoringFunctionRequest, Principal, float | None], ScoringFunction]


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def scorer_new(request: HttpRequest) -> HttpResponse:
    """Register a function of one's own; ``?from=`` names the one it begins with, ``?runs=`` what runs.

    A form that was filled in for something else that runs is shown again for what is chosen now.
    """
    name = request.GET.get("from", "")
    copied = lookup.scorer_or_404(name)[0] if name else None
    usual = request.GET.get("runs") or (copied.provider_resource_id if copied else FIRST)
    chosen = BUILT_IN.get(str(request.POST.get("provider_scoring_fn_id", usual)), BUILT_IN[FIRST])
    filled_for = BUILT_IN.get(request.POST.get("filled_for", ""), chosen)
    if filled_for != chosen:
        typed = ScorerForm(request.POST, scorer=filled_for, **_begun(copied, filled_for)).typed
        begun = _begun(copied, chosen)
        form = ScorerForm(scorer=chosen, initial=begun["initial"] | typed, params=begun["params"])
        return _new(request, form, is_typed=bool(typed))
    form = ScorerForm(request.POST if request.method == "POST" else None, scorer=chosen, **_begun(copied, chosen))
    if form.is_bound and form.is_valid() and (made := _stored(own_functions.register, request, form)):
        return redirect("evals:scorer-detail", made.scoring_fn_id)
    return _new(request, form, status=422 if form.is_bound else 200)


def _begun(copied: schemas.ScoringFn | None, scorer: Scorer) -> dict[str, Any]:
    """Return what a form begins with: the description of a registered function, its parameters where the same runs."""
    if copied is None:
        return {"initial": {}, "params": None}
    return {
        "initial": _about_own(copied) if copied.identifier not in BUILT_IN else {},
        "params": copied.params if copied.provider_resource_id == scorer.identifier else None,
    }


def _about_own(told: schemas.ScoringFn) -> dict[str, Any]:
    return {"description": told.description or "", "fails_below": told.metadata.get("fails_below")}


def _new(request: HttpRequest, form: ScorerForm, *, status: int = 200, is_typed: bool = False) -> HttpResponse:
    here = {"from": request.GET.get("from", ""), "runs": form.scorer.identifier}
    place = f"{reverse('evals:scorer-new')}?{urlencode({name: value for name, value in here.items() if value})}"
    context = {**_about(form), "here": place, "is_typed": is_typed}
    template = "evals/_scorer_form.html" if is_partial(request) else "evals/scorer_form.html"
    answer = render(request, template, context, status=status)
    answer["HX-Replace-Url"] = place
    return answer


def _about(form: ScorerForm) -> dict[str, Any]:
    """Return what both forms show."""
    scorer = form.scorer
    compares = vectors.words_of([functions.built_in(scorer)]).get(scorer.identifier, "")
    columns = columns_of(scorer, form.own)
    return {"form": form, "scorer": scorer, "columns": columns, "compares": compares}


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def scorer_edit(request: HttpRequest, scoring_fn_id: str) -> HttpResponse:
    """Change description and parameters of a registered function; its id and what runs stay."""
    told, scorer = lookup.scorer_or_404(scoring_fn_id)
    if told.identifier in BUILT_IN:
        raise Http404(f"'{told.identifier}' is built in and cannot be changed")
    form = ScorerForm(
        request.POST if request.method == "POST" else None,
        scorer=scorer,
        initial=_about_own(told),
        params=told.params,
        edited=told.identifier,
    )
    if form.is_bound and form.is_valid() and _stored(own_functions.change, request, form):
        messages.success(request, f"{told.identifier} was changed. Evaluations that were started keep what they had.")
        return redirect("evals:scorer-detail", told.identifier)
    return render(request, "evals/scorer_form.html", _about(form), status=422 if form.is_bound else 200)


def _stored(store: Store, request: HttpRequest, form: ScorerForm) -> ScoringFunction | None:
    """Return the function as it was stored; None when it was refused, which the form then tells."""
    try:
        asked = form.request()
        async_to_sync(functions.check_own_expressions)(asked.params)
        with transaction.atomic():
            return store(asked, principal_of(request), form.cleaned_data["fails_below"])
    except ConsoleError as error:
        form.refuse(error.detail)
    except ValidationError as error:
        form.refuse_values(error)
    return None


@require_POST
@requires("operator")
def scorer_switch(request: HttpRequest, scoring_fn_id: str) -> HttpResponse:
    """Switch a registered function off, or on again."""
    told, _ = lookup.scorer_or_404(scoring_fn_id)
    enabled = request.POST.get("enabled") == "true"
    try:
        with transaction.atomic():
            own_functions.switch(told.identifier, enabled, principal_of(request))
    except ConsoleError as error:
        messages.error(request, error.detail)
    else:
        off = "is switched off. Runs that were started go on; no new one is scored by it."
        messages.success(request, f"{told.identifier} {'is switched on.' if enabled else off}")
    return redirect("evals:scorer-detail", told.identifier)


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def scorer_delete(request: HttpRequest, scoring_fn_id: str) -> HttpResponse:
    """Take a registered function away; asked once, with the benchmarks that use it named."""
    told, _ = lookup.scorer_or_404(scoring_fn_id)
    back = reverse("evals:scorer-detail", args=[told.identifier])
    if request.method == "POST":
        try:
            with transaction.atomic():
                own_functions.unregister(told.identifier, principal_of(request))
        except ConsoleError as error:
            messages.error(request, error.detail)
            return redirect(back)
        messages.success(request, f"Scorer {told.identifier} was deleted.")
        return redirect("evals:scorer-list")
    if told.identifier in BUILT_IN:
        raise Http404(f"'{told.identifier}' is built in and cannot be deleted")
    text = used_by.what_goes(told.identifier, *used_by.benchmarks(told.identifier))
    return render(request, "evals/scorer_delete.html", {"told": told, "text": text, "back": back})
