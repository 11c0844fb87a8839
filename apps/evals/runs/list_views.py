"""The list of evaluations."""

from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.pages import requires
from apps.core import live as topics
from apps.core.code import Call, origin_of
from apps.core.htmx import is_partial
from apps.core.keyset import page_of
from apps.evals import code, costs, registry, standings
from apps.evals.models import Benchmark, Evaluation
from apps.evals.runs import listing
from apps.jobs.live import LIST


@require_GET
@requires("viewer")
def evaluation_list(request: HttpRequest) -> HttpResponse:
    """Show the evaluations a filter leaves, newest first."""
    number = async_to_sync(topics.head)(LIST)
    filter_ = listing.asked(request.GET)
    page = page_of(filter_.rows(), request.GET)
    any_run = bool(page.rows) or Evaluation.objects.exists()
    context: dict[str, Any] = {
        "page": page,
        "rows": [(run, standings.scores_of(run)) for run in page],
        "filter": filter_,
        "any_cost": any(costs.of(run).cost for run in page),
        "any_run": any_run,
        "any_benchmark": bool(page.rows) or Benchmark.objects.exists(),
        "poll": any(run.job.is_active for run in page),  # how far a run is stands on no topic of the list
        "number": number,
        "topic": LIST,
        "calls": _code(request, page.rows[0]) if page.rows else [],
    }
    if not context["any_benchmark"]:
        context["offered"] = registry.fit_datasets()
    return render(request, "evals/_evaluations.html" if is_partial(request) else "evals/evaluation_list.html", context)


def _code(request: HttpRequest, run: Evaluation) -> list[tuple[str, str, Call]]:
    """Return the call that reads the first run of the list: the API has none for all of them."""
    call = code.result(origin_of(request), run.benchmark_id, run.job.job_id)
    return [("result", f"The result of run {run.pk}; each is read by its benchmark and its job", call)]
