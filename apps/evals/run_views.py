"""Pages that list evaluations and start them."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core import live as topics
from apps.core import once
from apps.core.errors import ConsoleError
from apps.core.keyset import page_of
from apps.datasets.models import Dataset
from apps.evals import candidates, evaluation, run_list, run_trial, standings
from apps.evals.benchmark_views import benchmark_or_404, fit_datasets
from apps.evals.models import Benchmark, Evaluation
from apps.evals.run_form import RunForm
from apps.jobs.live import LIST

OFFERED = 200


@require_GET
@requires("viewer")
def evaluation_list(request: HttpRequest) -> HttpResponse:
    """Show the evaluations a filter leaves, newest first."""
    number = async_to_sync(topics.head)(LIST)
    filter_ = run_list.asked(request.GET)
    page = page_of(filter_.rows(), request.GET)
    any_run = bool(page.rows) or Evaluation.objects.exists()
    context: dict[str, Any] = {
        "page": page,
        "rows": [(run, standings.scores_of(run)) for run in page],
        "filter": filter_,
        "any_run": any_run,
        "any_benchmark": bool(page.rows) or Benchmark.objects.exists(),
        "poll": any(run.job.is_active for run in page),  # how far a run is stands on no topic of the list
        "number": number,
        "topic": LIST,
    }
    if not context["any_benchmark"]:
        context["offered"] = fit_datasets()
    is_part = request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
    return render(request, "evals/_evaluations.html" if is_part else "evals/evaluation_list.html", context)


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def evaluation_new(request: HttpRequest) -> HttpResponse:
    """Ask who is evaluated and how; try it on the first rows, or start a run for each candidate."""
    benchmark = _benchmark(request)
    if benchmark is None:
        return render(request, "evals/evaluation_none.html", {"offered": fit_datasets()})
    dataset = Dataset.objects.shown().filter(dataset_id=benchmark.dataset_id).first()
    sent = request.method == "POST"
    form = RunForm(request.POST if sent else None, benchmark=benchmark, dataset=dataset, initial=_initial(request))
    context = {"form": form, "benchmark": benchmark, "dataset": dataset, "benchmarks": _others(benchmark)}
    if sent and form.is_valid():
        if request.POST.get("act") == "try":
            context |= {"trials": _tried(form), "tried": True}
            return _form(request, context, 200)
        if runs := _started(request, form):
            return _led(runs)
    return _form(request, context, 422 if sent else 200)


def _form(request: HttpRequest, context: dict[str, Any], status: int) -> HttpResponse:
    """Answer with the page, or with its part that holds what a trial gave or was refused for."""
    is_part = request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
    name = "evals/_trial.html" if is_part else "evals/evaluation_form.html"
    return render(request, name, context, status=200 if is_part else status)


def _benchmark(request: HttpRequest) -> Benchmark | None:
    """Return the benchmark the address names, else the newest one; None when there is none."""
    name = request.GET.get("benchmark", "")
    return benchmark_or_404(name) if name else Benchmark.objects.order_by("-id").first()


def _others(benchmark: Benchmark) -> list[str]:
    names = list(Benchmark.objects.order_by("-id").values_list("benchmark_id", flat=True)[:OFFERED])
    return names if benchmark.benchmark_id in names else [benchmark.benchmark_id, *names]


def _initial(request: HttpRequest) -> dict[str, Any]:
    return {"models": request.GET.getlist("model"), "agents": request.GET.getlist("agent")}


def _tried(form: RunForm) -> list[run_trial.Trial]:
    if form.dataset is None:
        return []
    return async_to_sync(run_trial.tried)(form.benchmark, form.dataset, form.candidates)


def _started(request: HttpRequest, form: RunForm) -> list[Evaluation]:
    """Start a run for each candidate, all of them or none; none when something stands in the way, which is told."""
    made: list[Evaluation] = []
    field: str | None = None
    actor = principal_of(request)
    try:
        for one in form.candidates:
            field = one.field
            async_to_sync(candidates.ready)(one.config.eval_candidate)
        field = None
        with transaction.atomic():
            for _ in range(form.cleaned_data["times"] or 1):
                made += [evaluation.start(form.benchmark.benchmark_id, one.config, actor) for one in form.candidates]
    except ConsoleError as error:
        form.add_error(field, error.detail)
        return []
    if len(made) > 1:
        messages.success(request, f"{len(made)} evaluations are started.")
    return made


def _led(runs: list[Evaluation]) -> HttpResponse:
    if len(runs) == 1:
        return redirect("evals:evaluation-detail", runs[0].job.job_id)
    where = QueryDict(mutable=True)
    where["benchmark"] = runs[0].benchmark_id
    return redirect(f"{reverse('evals:evaluation-list')}?{where.urlencode()}")


@require_POST
@requires("operator")
def evaluation_estimate(request: HttpRequest) -> HttpResponse:
    """Tell what the form as it stands would cost."""
    benchmark = _benchmark(request)
    if benchmark is None:
        return HttpResponse(status=204)
    dataset = Dataset.objects.shown().filter(dataset_id=benchmark.dataset_id).first()
    form = RunForm(request.POST, benchmark=benchmark, dataset=dataset)
    return render(request, "evals/_estimate.html", {"form": form})
