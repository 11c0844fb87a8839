"""The page of one row of an evaluation, and the score a person gives it there: without script a form like any other."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from pydantic_core import from_json

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.agents.values import MEDIUM
from apps.core import live
from apps.core.errors import BadRequest
from apps.core.fields import json_value
from apps.core.htmx import is_partial
from apps.core.numbers import whole
from apps.core.widgets import lines_ended
from apps.evals import costs, functions, human, lookup
from apps.evals.compare import word_diff
from apps.evals.models import EvaluatedRow, Evaluation, HumanScore
from apps.evals.running import asked, variants
from apps.evals.runs import grid
from apps.evals.runs.row_filter import Filter
from apps.evals.runs.views import detail

Json = dict[str, Any]


@require_GET
@requires("viewer")
def evaluation_row(request: HttpRequest, job_id: str, number: int) -> HttpResponse:
    """Show one row in full beside the others."""
    evaluation = lookup.evaluation_or_404(job_id)
    row = lookup.row_or_404(evaluation, number)
    context = _row_context(request, evaluation, row)
    if is_partial(request):
        return render(request, "evals/_row.html", context)
    query = request.GET.copy()
    if number > grid.SIZE and not {"after", "before", "by"} & query.keys() and not Filter.of(query).is_set:
        query["after"] = str(number - 2)  # the page of the table on which this row stands first
    return render(request, "evals/evaluation_detail.html", detail(request, evaluation, query) | context)


def _row_context(request: HttpRequest, evaluation: Evaluation, row: EvaluatedRow) -> Json:
    value, generation, scores = json_value(row.row), from_json(row.generation), from_json(row.scores)
    scored, limits = asked.shown(value, generation), Filter.of(request.GET).limits(evaluation)
    expected = grid.words_of(asked.expected_of(value))
    generated = grid.words_of(generation.get("generated_answer"))
    earlier, later = grid.neighbours(evaluation, row, request.GET)
    return {
        "evaluation": evaluation,
        "job": evaluation.job,
        "row": row,
        "row_spent": costs.of_row(evaluation, row),
        "who_scored_row": costs.who_scored(evaluation, from_json(row.judged or "{}")),
        "number": row.position + 1,
        "row_tab": "json" if request.GET.get("tab") == "json" else "row",
        "talk": grid.talk(value, variants.system_of(evaluation.config.eval_candidate)),
        "expected": expected,
        "generated": generated,
        "context_text": grid.words_of(generation.get("context")),
        "parts": _parts(expected, generated),
        "scores": [_score(evaluation, name, scores.get(name) or {}, scored, limit) for name, limit in limits.items()],
        "value": value,
        "earlier": earlier,
        "later": later,
        **_given(request, evaluation, row),
    }


def _parts(expected: str, generated: str) -> list[word_diff.Part] | None:
    """Return how what is shown of the texts differs; None where one is empty, or both are the same."""
    if not expected or not generated or expected == generated:
        return None
    return word_diff.parts(expected[:MEDIUM], generated[:MEDIUM])


def _score(evaluation: Evaluation, name: str, told: Json, scored: Json, limit: float) -> Json:
    """Return a score row for reading: the score, what a judge was asked and said, and what else there is."""
    rest = {key: value for key, value in told.items() if key not in ("score", "judge_feedback", "error")}
    words = told.get("judge_feedback")
    return {
        "cell": grid.cell(name, told, limit),
        "words": words,
        "prompt": functions.judge_prompt(evaluation.scoring[name], scored) if words else "",
        "rest": rest or None,
    }


@require_POST
@requires("operator")
def row_score(request: HttpRequest, job_id: str, number: int) -> HttpResponse:
    """Keep the score and the note of the form, or take both back; sending it twice keeps the same."""
    evaluation = lookup.evaluation_or_404(job_id)
    row = lookup.row_or_404(evaluation, number)
    problem = _keep(request, evaluation, row)
    if is_partial(request):
        row.refresh_from_db(fields=["human"])
        context = _given(request, evaluation, row) | {"problem": problem, "job": evaluation.job, "number": number}
        return render(request, "evals/_human.html", context, status=422 if problem else 200)
    if problem:
        messages.error(request, problem)
    return redirect(reverse("evals:evaluation-row", args=[job_id, number]) + grid.kept(request.GET))


def _keep(request: HttpRequest, evaluation: Evaluation, row: EvaluatedRow) -> str:
    """Do what the form says and return why not, empty when it is done."""
    actor, given = principal_of(request), request.POST
    if "clear" in given:
        human.take_back(evaluation, row.position, actor)
        return ""
    try:
        score = whole(given.get("score"))
        if score is None:
            raise BadRequest("Choose a score from 1 to 5; the note is kept with it.")
        human.give(evaluation, row.position, score, lines_ended(given.get("note", "")).strip(), actor)
    except BadRequest as error:
        return error.detail
    return ""


def _given(request: HttpRequest, evaluation: Evaluation, row: EvaluatedRow) -> Json:
    """Return what people gave a row: the reader's own, and the others'; its topic's number is read before."""
    topic = f"evaluation:{evaluation.job.job_id}"
    number = async_to_sync(live.head)(topic)
    given = HumanScore.objects.filter(evaluation=evaluation.pk, position=row.position).select_related("given_by")
    mine = [one for one in given if one.given_by_id == request.user.pk]
    return {
        "topic": topic,
        "topic_number": number,
        "mine": mine[0] if mine else None,
        "others": [one for one in given if one.given_by_id != request.user.pk],
        "human": row.human,
        "human_scores": human.SCORES,
        "longest_note": human.LONGEST_NOTE,
        "query": grid.kept(request.GET),
    }
