"""The page of one evaluation: how far it is, what its scores come to, its rows, and what may be done with it."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST
from pydantic_core import from_json

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core import live as topics
from apps.core import once
from apps.core.errors import ConsoleError
from apps.datasets.models import Dataset
from apps.evals import asked, diffs, found, rerun, results, run_export, run_grid, standings
from apps.evals.evaluation import KIND
from apps.evals.models import Benchmark, EvaluatedRow, Evaluation
from apps.evals.spread import Headline
from apps.jobs import runner
from apps.jobs.live import must_poll
from apps.jobs.models import Job, Status

Json = dict[str, Any]
BAR_HEIGHT = 40


@require_GET
@requires("viewer")
def evaluation_detail(request: HttpRequest, job_id: str) -> HttpResponse:
    """Show an evaluation and a page of its rows."""
    evaluation = found.evaluation(job_id)
    if evaluation is None:
        return _not_yet(job_id)
    is_part = request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
    template = "evals/_evaluation.html" if is_part else "evals/evaluation_detail.html"
    return render(request, template, detail(request, evaluation))


@require_GET
@requires("viewer")
def evaluation_row(request: HttpRequest, job_id: str, number: int) -> HttpResponse:
    """Show one row in full beside the others."""
    evaluation = found.evaluation_or_404(job_id)
    row = EvaluatedRow.objects.filter(evaluation=evaluation.pk, position=number - 1).first()
    if row is None:
        raise Http404(f"Row {number} of this evaluation is not there (yet).")
    context = _row_context(request, evaluation, row)
    if request.htmx and not request.htmx.boosted:  # type: ignore[attr-defined]
        return render(request, "evals/_row.html", context)
    query = request.GET.copy()
    if number > run_grid.SIZE and not {"after", "before", "q", "by"} & query.keys():
        query["after"] = f"0,{number - 2}"  # the page of the table on which this row stands first
    return render(request, "evals/evaluation_detail.html", detail(request, evaluation, query) | context)


def detail(request: HttpRequest, evaluation: Evaluation, query: QueryDict | None = None) -> Json:
    """Return what the page of an evaluation shows; the numbers of its topics are read before the rows."""
    job, query = evaluation.job, request.GET if query is None else query
    names = (job.topic, f"evaluation:{job.job_id}")
    numbers = [str(async_to_sync(topics.head)(name)) for name in names]
    evaluation.refresh_from_db(fields=["row_count", "failed_count", "aggregated", "spread"])
    _bring_up(evaluation)
    config = evaluation.config
    return {
        "evaluation": evaluation,
        "job": job,
        "config": config,
        "sampling": None if config.eval_candidate.type == "agent" else config.eval_candidate.sampling_params,
        "topics": " ".join(names),
        "numbers": " ".join(numbers),
        "poll": must_poll(job),
        "tiles": tiles(evaluation),
        "page": run_grid.page_of(evaluation, query),
        "orders": run_grid.ORDERS.items(),
        "here": query.urlencode(),
        "retried_as": job.retries.order_by("-pk").first(),
        "can_run_again": rerun.can_run_again(evaluation),
        "has_benchmark": Benchmark.objects.filter(benchmark_id=evaluation.benchmark_id).exists(),
        "has_dataset": Dataset.objects.shown().filter(dataset_id=evaluation.dataset_id).exists(),
        "before": _run_before(evaluation),
        "export_kinds": [(kind, name) for kind, (_, name) in run_export.KINDS.items()],
    }


def _bring_up(evaluation: Evaluation) -> None:
    """Add the scores up once for a run that was stopped: its last rows came after the last sums."""
    if not evaluation.job.is_active and evaluation.spread.get("rows", 0) != evaluation.row_count:
        sums = results.sums(evaluation.pk)
        Evaluation.objects.filter(pk=evaluation.pk).update(**sums)
        for name, value in sums.items():
            setattr(evaluation, name, value)


def tiles(evaluation: Evaluation) -> list[Json]:
    """Return for each function its headline and how its scores lie, with bars ready to be drawn."""
    lies = evaluation.spread.get("functions", {})
    return [_tile(name, told, lies.get(name) or {}) for name, told in standings.scores_of(evaluation)]


def _tile(name: str, told: Headline, lies: Json) -> Json:
    bars = lies.get("bars") or []
    most = max((count for _, count in bars), default=0)
    width = 100 / max(1, len(bars))
    drawn = [
        {
            "label": label,
            "count": count,
            "x": f"{at * width + width * 0.1:.2f}%",
            "width": f"{width * 0.8:.2f}%",
            "y": BAR_HEIGHT - _height(count, most),
            "height": _height(count, most),
        }
        for at, (label, count) in enumerate(bars)
    ]
    return {"name": name, "told": told, "lies": lies, "bars": drawn, "labels": _labels(drawn)}


def _height(count: int, most: int) -> int:
    return max(2, round(count / most * BAR_HEIGHT)) if count and most else 0


def _labels(bars: list[Json]) -> list[str]:
    """Return the words under the bars: all of a few, the ends of many."""
    labels = [str(bar["label"]) for bar in bars]
    return labels if len(labels) <= 6 else [labels[0].partition("–")[0], labels[-1].rpartition("–")[2]]


def _run_before(evaluation: Evaluation) -> Evaluation | None:
    """Return the newest completed run of the benchmark before this one."""
    rows = Evaluation.objects.filter(benchmark_id=evaluation.benchmark_id, pk__lt=evaluation.pk)
    return rows.filter(job__status=Status.COMPLETED).select_related("job").defer("config").order_by("-id").first()


def _row_context(request: HttpRequest, evaluation: Evaluation, row: EvaluatedRow) -> Json:
    value, generation, scores = from_json(row.row), from_json(row.generation), from_json(row.scores)
    expected = run_grid.words_of(asked.expected_of(value))
    generated = run_grid.words_of(generation.get("generated_answer"))
    earlier, later = run_grid.neighbours(evaluation, row, request.GET)
    return {
        "evaluation": evaluation,
        "job": evaluation.job,
        "row": row,
        "number": row.position + 1,
        "row_tab": "json" if request.GET.get("tab") == "json" else "row",
        "talk": run_grid.talk(value),
        "expected": expected,
        "generated": generated,
        "context_text": run_grid.words_of(generation.get("context")),
        "parts": diffs.parts(expected, generated) if expected and generated and expected != generated else None,
        "scores": [_score(name, scores.get(name) or {}) for name in evaluation.scoring],
        "value": value,
        "earlier": earlier,
        "later": later,
        "query": run_grid.kept(request.GET),
    }


def _score(name: str, told: Json) -> Json:
    """Return a score row for reading: the score, the judge's words, and what else there is."""
    words = told.get("judge_feedback")
    rest = {key: value for key, value in told.items() if key not in ("score", "judge_feedback", "error")}
    return {"name": name, "score": told.get("score"), "error": told.get("error"), "words": words, "rest": rest or None}


@require_POST
@requires("operator")
def evaluation_cancel(request: HttpRequest, job_id: str) -> HttpResponse:
    """Stop an evaluation; what is scored is kept."""
    evaluation = found.evaluation_or_404(job_id)
    if not runner.cancel(Job.objects.filter(pk=evaluation.job_id), principal_of(request)):
        messages.info(request, "It had ended already.")
    return redirect("evals:evaluation-detail", job_id)


@require_POST
@requires("operator")
@once.only
def evaluation_again(request: HttpRequest, job_id: str) -> HttpResponse:
    """Run the missing and failed rows of an ended evaluation as a new one, and go there."""
    evaluation = found.evaluation_or_404(job_id)
    try:
        with transaction.atomic():
            made = rerun.run_again(evaluation, principal_of(request))
    except ConsoleError as error:
        messages.error(request, error.detail)
        return redirect("evals:evaluation-detail", job_id)
    return redirect("evals:evaluation-detail", made.job.job_id)


def _not_yet(job_id: str) -> HttpResponse:
    """Lead to the job of an evaluation that has not begun: its rows come when a worker takes it."""
    if "\0" not in job_id and Job.objects.filter(job_id=job_id, kind=KIND).exists():
        return redirect("jobs:job-detail", job_id)
    raise Http404(f"Evaluation '{job_id}' not found")
