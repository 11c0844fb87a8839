"""The page of one evaluation: how far it is, what its scores come to, its rows, and what may be done with it."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core import live as topics
from apps.core import once
from apps.core.code import Call, origin_of
from apps.core.errors import ConsoleError
from apps.core.htmx import is_partial
from apps.evals import baseline, code, costs, lookup, results
from apps.evals.compare import address, since_baseline
from apps.evals.evaluation import KIND
from apps.evals.models import Benchmark, Evaluation
from apps.evals.runs import around, export_views, failing, grid, low_scores, removal_views, rerun, slices, tiles
from apps.evals.runs.around import Around
from apps.evals.runs.row_filter import Filter
from apps.jobs import runner
from apps.jobs.live import must_poll
from apps.jobs.models import Job

Json = dict[str, Any]
SUMS = ["row_count", "failed_count", "input_tokens", "output_tokens", "judged", "aggregated", "spread"]


@require_GET
@requires("viewer")
def evaluation_detail(request: HttpRequest, job_id: str) -> HttpResponse:
    """Show an evaluation and a page of its rows."""
    evaluation = lookup.evaluation(job_id)
    if evaluation is None:
        return _not_yet(request, job_id)
    template = "evals/_evaluation.html" if is_partial(request) else "evals/evaluation_detail.html"
    return render(request, template, detail(request, evaluation))


def _code(request: HttpRequest, evaluation: Evaluation) -> list[tuple[str, str, Call]]:
    """Return the calls that read the result and that run the same again."""
    origin, name = origin_of(request), evaluation.benchmark_id
    read = code.result(origin, name, evaluation.job.job_id)
    again = code.run(origin, name, evaluation.config, code.path_of(evaluation))
    return [("result", "Its result", read), ("run", "The same run again", again)]


def detail(request: HttpRequest, evaluation: Evaluation, query: QueryDict | None = None) -> Json:
    """Return what the page of an evaluation shows; the numbers of its topics are read before the rows."""
    job, query = evaluation.job, request.GET if query is None else query
    names = (job.topic, f"evaluation:{job.job_id}")
    numbers = [str(async_to_sync(topics.head)(name)) for name in names]
    if job.is_active:  # what has ended does not change
        evaluation.refresh_from_db(fields=SUMS)
    results.bring_up(evaluation)
    if job.is_active and evaluation.row_total:  # the job tells of its rows at another time than they are stored
        job.progress = job.progress | {"done": evaluation.row_count, "total": evaluation.row_total}
    candidate, beside = evaluation.config.eval_candidate, around.of(evaluation)
    page = grid.page_of(evaluation, query)
    return {
        "evaluation": evaluation,
        "job": job,
        "config": evaluation.config,
        "sampling": None if candidate.type == "agent" else candidate.sampling_params,
        "topics": " ".join(names),
        "numbers": " ".join(numbers),
        "poll": must_poll(job),
        "spent": costs.of(evaluation),
        "who_scored": costs.who_scored(evaluation, evaluation.judged),
        "page": page,
        "filtered": grid.meant_count(evaluation, page),
        "here": query.urlencode(),
        "retried_as": beside.retried_as,
        "can_run_again": rerun.can_run_again(evaluation),
        "has_dataset": beside.has_dataset,
        "calls": _code(request, evaluation),
        "export_kinds": [(kind, name) for kind, (_, name) in export_views.KINDS.items()],
        **_against_baseline(evaluation, query, beside),
        **_failing(evaluation, query),
        **_sliced(evaluation, query),
    }


def _against_baseline(evaluation: Evaluation, query: QueryDict, beside: Around) -> Json:
    """Return the tiles with how far each is from the benchmark's baseline, and what the run may be held against."""
    benchmark = Benchmark.objects.with_baseline(evaluation.benchmark_id)
    base = benchmark.baseline if benchmark and beside.is_current else None
    held = base if base != evaluation else None
    changes = since_baseline.changes(evaluation, held, is_patient="changes" in query) if held else {}
    return {
        "has_benchmark": benchmark is not None,
        "baseline": base,
        "can_be_baseline": beside.is_current and baseline.can_be(evaluation),
        "tiles": tiles.of(evaluation, changes or {}),
        "is_changes_late": changes is None,
        "compare_query": address.usual(evaluation, base.job.job_id if base else beside.before),
    }


def _sliced(evaluation: Evaluation, query: QueryDict) -> Json:
    """Return the columns rows can be sliced by and the slices of the chosen one, and the filters as chips."""
    meant = Filter.of(query)
    return {
        "columns": slices.columns(evaluation, meant.column),
        "slices": slices.table(evaluation, meant, query) if meant.column else [],
        "unsliced": grid.changed(query, slice="", **{"is": ""}),
        "chips": slices.chips(evaluation, meant, query),
        "cut_off": "" if meant.cut else grid.changed(query, cut="1"),
        "unscored": "" if meant.unscored else grid.changed(query, unscored="1"),
    }


def _failing(evaluation: Evaluation, query: QueryDict) -> Json:
    """Return the functions failing may speak of, the number below which, what the dialog for such rows is asked for."""
    numeric, meant = low_scores.numeric(evaluation), Filter.of(query)
    kept = {"which": failing.LOW_BY + meant.scorer} if len(numeric) > 1 and meant.scorer in numeric else {}
    if meant.below is not None and (kept or len(numeric) == 1):
        kept["below"] = f"{meant.below:g}"
    limit = low_scores.below(evaluation, one) if (one := low_scores.deciding(evaluation, meant.scorer)) else None
    limit = limit if meant.below is None else meant.below
    return {
        "numeric": numeric,
        "keep_query": f"?{urlencode(kept)}" if kept else "",
        "limit": f"{limit:g}" if one and meant.failing else "",
    }


@require_POST
@requires("operator")
def evaluation_cancel(request: HttpRequest, job_id: str) -> HttpResponse:
    """Stop an evaluation; what is scored is kept."""
    evaluation = lookup.evaluation_or_404(job_id)
    if not runner.cancel(Job.objects.filter(pk=evaluation.job_id), principal_of(request)):
        messages.info(request, "It had ended already.")
    return redirect("evals:evaluation-detail", job_id)


@require_POST
@requires("operator")
@once.only
def evaluation_again(request: HttpRequest, job_id: str) -> HttpResponse:
    """Run what an ended evaluation is missing as a new one, and go there."""
    evaluation = lookup.evaluation_or_404(job_id)
    try:
        with transaction.atomic():
            made = rerun.run_again(evaluation, principal_of(request))
    except ConsoleError as error:
        messages.error(request, error.detail)
        return redirect("evals:evaluation-detail", job_id)
    return redirect("evals:evaluation-detail", made.job.job_id)


def _not_yet(request: HttpRequest, job_id: str) -> HttpResponse:
    """Lead to the job of an evaluation that has not begun: its rows come when a worker takes it."""
    if Job.objects.filter(job_id=job_id, kind=KIND).exists():
        return redirect("jobs:job-detail", job_id)
    return removal_views.gone(request, job_id)
