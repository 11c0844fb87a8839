"""Pages of scoring functions: the list, and one with a row to try it on."""

import time
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.pages import may, requires
from apps.core.code import origin_of
from apps.core.errors import ConsoleError
from apps.core.htmx import is_partial
from apps.core.keyset import page_of
from apps.evals import code, functions, lookup, schemas, scored, spread
from apps.evals.models import ScoringFunction
from apps.evals.scorers import health, used_by, vectors
from apps.evals.scorers.columns import columns_of
from apps.evals.scorers.health import Health
from apps.evals.scorers.try_form import TryForm
from apps.evals.scoring.base import Scorer
from apps.evals.scoring.catalog import BUILT_IN

Json = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A function of the list: what it is, what runs, how many benchmarks use it, and how it does."""

    told: schemas.ScoringFn
    scorer: Scorer
    uses: int
    health: Health


@require_GET
@requires("viewer")
def scorer_list(request: HttpRequest) -> HttpResponse:
    """Show the functions somebody registered, newest first, and the built-in ones."""
    words = request.GET.get("q", "").strip()[:200]
    rows = ScoringFunction.objects.filter(provider_scoring_fn_id__in=list(BUILT_IN))
    for word in words.split():
        rows = rows.filter(
            Q(scoring_fn_id__icontains=word)
            | Q(description__icontains=word)
            | Q(provider_scoring_fn_id__icontains=word)
        )
    page = page_of(rows, request.GET)
    own = [functions.told(row) for row in page]
    built_in = [] if page.newer else [functions.built_in(one) for one in BUILT_IN.values() if _has(one, words)]
    counts, healths = used_by.counts(), health.of([*own, *built_in])

    def line(told: schemas.ScoringFn) -> Line:
        name = told.identifier
        return Line(told, BUILT_IN[str(told.provider_resource_id)], counts[name], healths[name])

    context = {
        "page": page,
        "words": words,
        "own": [line(told) for told in own],
        "built_in": [line(told) for told in built_in],
        "can_operate": may(request, "operator"),
    }
    return render(request, "evals/_scorers.html" if is_partial(request) else "evals/scorer_list.html", context)


def _has(one: Scorer, words: str) -> bool:
    text = f"{one.identifier} {one.description} {one.how}".lower()
    return all(word in text for word in words.lower().split())


@require_GET
@requires("viewer")
def scorer_detail(request: HttpRequest, scoring_fn_id: str) -> HttpResponse:
    """Show a function, what it needs, who uses it, and a row to try it on."""
    told, scorer = lookup.scorer_or_404(scoring_fn_id)
    form = TryForm(told=told, scorer=scorer)
    return render(request, "evals/scorer_detail.html", _detail(request, form, _curl(request, form)))


@require_POST
@requires("operator")
def scorer_try(request: HttpRequest, scoring_fn_id: str) -> HttpResponse:
    """Score one row and show what came of it; nothing is stored."""
    told, scorer = lookup.scorer_or_404(scoring_fn_id)
    form = TryForm(request.POST, told=told, scorer=scorer)
    curl = _curl(request, form)  # of the row as it was sent, also when it is refused
    result = _tried(form) if form.is_valid() else {}
    context = _detail(request, form, curl) | result
    name = "evals/_scorer_tried.html" if is_partial(request) else "evals/scorer_detail.html"
    return render(request, name, context, status=200 if form.is_valid() or is_partial(request) else 422)


def _curl(request: HttpRequest, form: TryForm) -> str:
    return code.score(origin_of(request), form.request())


def _tried(form: TryForm) -> Json:
    """Return what came of the row, for the page; what is refused stands in the form."""
    began = time.perf_counter()
    try:
        answer = async_to_sync(scored.rows)(schemas.ScoreRequest.model_validate(form.request()))
    except ConsoleError as error:
        form.refuse(error.detail)
        return {}
    score_row = answer.results[form.told.identifier].score_rows[0]
    return {
        "took_s": time.perf_counter() - began,
        "score_row": score_row,
        "why_not": spread.why_not(score_row),
        "feedback": score_row.get("judge_feedback"),
        "answer": answer.model_dump(mode="json"),
    }


def _detail(request: HttpRequest, form: TryForm, curl: str) -> Json:
    told, scorer, name = form.told, form.scorer, form.told.identifier
    params = told.params.model_dump(mode="json", exclude_none=True) if told.params is not None else None
    users, count = used_by.benchmarks(name)
    return {
        "told": told,
        "scorer": scorer,
        "form": form,
        "curl": curl,
        "columns": columns_of(scorer, told.params),
        "compares": vectors.words_of([told]).get(name, ""),
        "params": params,
        "json": told.model_dump(mode="json", exclude_none=True),
        "made": ScoringFunction.objects.select_related("created_by").filter(scoring_fn_id=name).first(),
        "users": users,
        "more_users": count - len(users),
        "can_operate": may(request, "operator"),
        "delete_text": used_by.what_goes(name, users, count),
        "health": health.of([told])[name],
    }
