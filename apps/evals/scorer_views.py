"""Pages of scoring functions: list, one with a row to try it on, a new one of one's own, deleting."""

import time
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from pydantic import ValidationError

from apps.accounts.auth import principal_of
from apps.accounts.pages import may, requires
from apps.core import once
from apps.core.errors import ConsoleError, NotFound
from apps.core.keyset import page_of
from apps.evals import functions, schemas, scored, scorer_uses
from apps.evals.models import ScoringFunction
from apps.evals.scorer_forms import ScorerForm, TryForm, as_json, columns_of
from apps.evals.scoring.base import Scorer
from apps.evals.scoring.catalog import BUILT_IN

Json = dict[str, Any]
KIND_WORDS = {"basic": "compares", "regex_parser": "finds by expressions", "llm_as_judge": "asks a judge"}
FIRST = "basic::equality"


@dataclass(frozen=True)
class Line:
    """A function of the list: what it is, what runs, and how many benchmarks use it."""

    name: str
    description: str
    scorer: Scorer
    uses: int
    made: ScoringFunction | None = None

    @property
    def how(self) -> str:
        """How it comes to a score, in words."""
        return how(self.scorer)


def how(scorer: Scorer) -> str:
    """Return how a function comes to a score, in words."""
    return KIND_WORDS["llm_as_judge" if scorer.asks_a_model else scorer.takes[0]]


@require_GET
@requires("viewer")
def scorer_list(request: HttpRequest) -> HttpResponse:
    """Show the functions somebody registered, newest first, and the built-in ones."""
    words = request.GET.get("q", "").replace("\0", "").strip()[:200]
    rows = ScoringFunction.objects.filter(provider_scoring_fn_id__in=list(BUILT_IN))
    for word in words.split():
        rows = rows.filter(
            Q(scoring_fn_id__icontains=word)
            | Q(description__icontains=word)
            | Q(provider_scoring_fn_id__icontains=word)
        )
    page, counts = page_of(rows, request.GET), scorer_uses.counts()
    built_in = [] if page.newer else [one for one in BUILT_IN.values() if _has(one, words)]
    context = {
        "page": page,
        "words": words,
        "own": [_own(row, counts) for row in page],
        "built_in": [Line(one.identifier, one.description, one, counts[one.identifier]) for one in built_in],
        "can_operate": may(request, "operator"),
    }
    is_part = request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
    return render(request, "evals/_scorers.html" if is_part else "evals/scorer_list.html", context)


def _own(row: ScoringFunction, counts: Any) -> Line:
    scorer = BUILT_IN[row.provider_scoring_fn_id]
    return Line(row.scoring_fn_id, row.description, scorer, counts[row.scoring_fn_id], row)


def _has(one: Scorer, words: str) -> bool:
    text = f"{one.identifier} {one.description} {how(one)}".lower()
    return all(word in text for word in words.lower().split())


@require_GET
@requires("viewer")
def scorer_detail(request: HttpRequest, scoring_fn_id: str) -> HttpResponse:
    """Show a function, what it needs, who uses it, and a row to try it on."""
    told, scorer = _function_or_404(scoring_fn_id)
    return render(
        request, "evals/scorer_detail.html", _detail(request, told, scorer, TryForm(told=told, scorer=scorer))
    )


@require_POST
@requires("operator")
def scorer_try(request: HttpRequest, scoring_fn_id: str) -> HttpResponse:
    """Score one row and show what came of it; nothing is stored."""
    told, scorer = _function_or_404(scoring_fn_id)
    form = TryForm(request.POST, told=told, scorer=scorer)
    context = _detail(request, told, scorer, form)
    if form.is_valid():
        began = time.perf_counter()
        try:
            asked = schemas.ScoreRequest.model_validate(form.request())
            answer = async_to_sync(scored.rows)(asked)
        except ConsoleError as error:
            context["refusal"] = error.detail
        else:
            context |= _result(answer.results[told.identifier].score_rows[0])
        context["took_s"] = time.perf_counter() - began
    is_part = request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
    name = "evals/_scorer_try.html" if is_part else "evals/scorer_detail.html"
    return render(request, name, context, status=200 if form.is_valid() or is_part else 422)


def _result(score_row: Json) -> Json:
    rest = {name: value for name, value in score_row.items() if name not in ("score", "error", "judge_feedback")}
    return {
        "is_scored": True,
        "score": score_row.get("score"),
        "row_error": score_row.get("error"),
        "feedback": score_row.get("judge_feedback"),
        "rest": rest or None,
    }


def _detail(request: HttpRequest, told: schemas.ScoringFn, scorer: Scorer, form: TryForm) -> Json:
    name = told.identifier
    params = told.params.model_dump(mode="json", exclude_none=True) if told.params is not None else None
    users, count = scorer_uses.benchmarks(name)
    return {
        "told": told,
        "scorer": scorer,
        "how": how(scorer),
        "form": form,
        "code": as_json(form.request()),
        "origin": request.build_absolute_uri("/")[:-1],
        "columns": columns_of(scorer),
        "params": params,
        "json": told.model_dump(mode="json", exclude_none=True),
        "made": ScoringFunction.objects.select_related("created_by").filter(scoring_fn_id=name).first(),
        "users": users,
        "more_users": count - len(users),
        "can_operate": may(request, "operator"),
        "delete_text": _what_goes(name, users, count),
    }


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def scorer_new(request: HttpRequest) -> HttpResponse:
    """Register a function of one's own; ``?from=`` names the one it begins with, ``?runs=`` what runs alone."""
    sent = request.method == "POST"
    copied = _copied(request.GET.get("from", ""))
    usual = str(copied.provider_resource_id) if copied else FIRST
    wanted = str(
        request.POST.get("provider_scoring_fn_id") if sent else request.GET.get("provider_scoring_fn_id", usual)
    )
    scorer = BUILT_IN.get(wanted, BUILT_IN[FIRST])
    is_own = copied is not None and copied.provider_resource_id == scorer.identifier
    initial = {name: request.GET.get(name, "") for name in ("scoring_fn_id", "description") if request.GET.get(name)}
    if copied is not None and copied.identifier not in BUILT_IN and "description" not in initial:
        initial["description"] = copied.description or ""
    params = copied.params if copied is not None and is_own else None
    form = ScorerForm(request.POST if sent else None, scorer=scorer, initial=initial, params=params)
    if sent and form.is_valid() and (made := _registered(request, form)):
        return redirect("evals:scorer-detail", made.scoring_fn_id)
    context = {"form": form, "scorer": scorer, "how": how(scorer), "copied": copied, "columns": columns_of(scorer)}
    is_part = request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
    name = "evals/_scorer_form.html" if is_part and not sent else "evals/scorer_form.html"
    return render(request, name, context, status=422 if sent else 200)


def _copied(name: str) -> schemas.ScoringFn | None:
    return _function_or_404(name)[0] if name else None


def _registered(request: HttpRequest, form: ScorerForm) -> ScoringFunction | None:
    try:
        with transaction.atomic():
            return functions.register(form.request(), principal_of(request))
    except ConsoleError as error:
        form.refuse(error.detail)
    except ValidationError as error:
        form.refuse_values(error)
    return None


@require_http_methods(["GET", "POST"])
@requires("operator")
def scorer_delete(request: HttpRequest, scoring_fn_id: str) -> HttpResponse:
    """Take a registered function away; asked once, with the benchmarks that use it named."""
    told, _ = _function_or_404(scoring_fn_id)
    back = reverse("evals:scorer-detail", args=[told.identifier])
    if request.method == "POST":
        try:
            with transaction.atomic():
                functions.unregister(told.identifier, principal_of(request))
        except ConsoleError as error:
            messages.error(request, error.detail)
            return redirect(back)
        messages.success(request, f"Scoring function {told.identifier} was deleted.")
        return redirect("evals:scorer-list")
    if told.identifier in BUILT_IN:
        raise Http404(f"'{told.identifier}' is built in and cannot be deleted")
    text = _what_goes(told.identifier, *scorer_uses.benchmarks(told.identifier))
    return render(request, "evals/scorer_delete.html", {"told": told, "text": text, "back": back})


def _what_goes(name: str, users: list[str], count: int) -> str:
    """Return what a person should know before a function is deleted."""
    if not users:
        return f"No benchmark uses {name}. Runs that were scored by it keep their scores."
    more = f" and {count - len(users):,} more" if count > len(users) else ""
    which = "Benchmark" if count == 1 else "Benchmarks"
    return f"{which} {', '.join(users)}{more} cannot be run without {name}. Scores of earlier runs stay."


def _function_or_404(name: str) -> tuple[schemas.ScoringFn, Scorer]:
    try:
        told = functions.named(name)
    except NotFound as error:
        raise Http404(error.detail) from error
    return told, BUILT_IN[str(told.provider_resource_id)]
