"""Pages that start evaluations: the form of a new one, what it would cost, a trial, runs at once or by schedule."""

from typing import Any, cast

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core import once
from apps.core.code import Call, origin_of
from apps.core.errors import ConsoleError
from apps.core.htmx import is_partial
from apps.datasets.models import Dataset
from apps.evals import code, evaluation, lookup, registry, schedules
from apps.evals.benchmarks import schedule_form
from apps.evals.benchmarks.schedule_form import ScheduleForm
from apps.evals.models import Benchmark, Evaluation
from apps.evals.running import candidates
from apps.evals.runs import estimate, like, trials
from apps.evals.runs.form import RunForm

OFFERED = 200
SHOWN_AGAIN = ("choose", "add")  # what the form is sent for that only asks to be shown again


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def evaluation_new(request: HttpRequest) -> HttpResponse:
    """Ask who is evaluated and how; try it on the first rows, start a run for each candidate, or do so by schedule."""
    benchmark = _benchmark(request)
    if benchmark is None:
        return render(request, "evals/evaluation_none.html", {"offered": registry.fit_datasets()})
    wanted = request.POST.get("benchmark") or benchmark.benchmark_id
    if wanted != benchmark.benchmark_id or request.POST.get("act") in SHOWN_AGAIN:
        return _shown_again(request, benchmark, wanted)
    if request.method == "GET":
        return _begun(request, benchmark)
    return _asked(request, RunForm(request.POST, **_about(benchmark)), schedule_form.asked(request))


def _begun(request: HttpRequest, benchmark: Benchmark) -> HttpResponse:
    """Show the form as it begins: with who the address names, or filled in from a run it says to be like."""
    run = _like(request)
    initial, gone = like.filled_in(run, benchmark) if run else (_initial(request), [])
    form = RunForm(**_about(benchmark), initial=initial)
    return _form(request, form, schedule_form.asked(request), like=run, gone=gone)


def _asked(request: HttpRequest, form: RunForm, when: ScheduleForm) -> HttpResponse:
    """Do what the form was sent for; show it again with the reasons when it is refused."""
    act = request.POST.get("act")
    if not form.is_valid():
        return _form(request, form, when, status=422)
    if act == "try":
        tried = async_to_sync(trials.tried)(form.benchmark, cast(Dataset, form.dataset), form.candidates)
        return _form(request, form, when, trials=tried)
    if act == "schedule":
        if when.is_valid() and _ready(form):
            return _scheduled(request, form, when)
    elif runs := _started(request, form):
        return lead_to(request, runs)
    return _form(request, form, when, status=422)


def _shown_again(request: HttpRequest, filled_for: Benchmark, wanted: str) -> HttpResponse:
    """Show the form for another benchmark, or with room for another message; what was entered stays."""
    benchmark = lookup.benchmark_or_404(wanted)
    initial, is_added = RunForm.initial_of(request.POST, filled_for, benchmark), request.POST.get("act") == "add"
    if is_added:
        initial["system_message"] = [*(initial["system_message"] or [""]), ""]
    form, when = RunForm(**_about(benchmark), initial=initial), schedule_form.asked(request)
    answer = _form(request, form, when, is_page=True, is_carried=True, is_added=is_added)
    answer["HX-Replace-Url"] = _here(request, benchmark)
    return answer


def _about(benchmark: Benchmark) -> dict[str, Any]:
    dataset = Dataset.objects.shown().filter(dataset_id=benchmark.dataset_id).first()
    return {"benchmark": benchmark, "dataset": dataset}


def _form(
    request: HttpRequest, form: RunForm, when: ScheduleForm, *, status: int = 200, is_page: bool = False, **more: Any
) -> HttpResponse:
    """Answer with the page, or with its part that holds what a trial gave or was refused for."""
    context = {"form": form, "when": when, "benchmark": form.benchmark, "dataset": form.dataset, **more}
    context |= {"here": _here(request, form.benchmark), "is_schedule": "schedule" in request.GET}
    context["is_tried"] = form.is_bound and request.POST.get("act") == "try"
    if is_partial(request) and not is_page:
        return render(request, "evals/_tried.html", context)
    context["benchmarks"] = _others(form.benchmark)
    context |= {"estimate": estimate.of(form), "call": _call(request, form)}
    return render(request, "evals/evaluation_form.html", context, status=status)


def _here(request: HttpRequest, benchmark: Benchmark) -> str:
    """Return the address of the form for a benchmark; ``?schedule=`` says that a schedule is what one came for."""
    query = {"benchmark": benchmark.benchmark_id} | ({"schedule": "1"} if "schedule" in request.GET else {})
    return f"{reverse('evals:evaluation-new')}?{urlencode(query)}"


def _benchmark(request: HttpRequest) -> Benchmark | None:
    """Return the benchmark the address names, or its run was of; else the newest one, None when there is none."""
    if name := request.GET.get("benchmark", ""):
        return lookup.benchmark_or_404(name)
    run = _like(request)
    of_run = Benchmark.objects.filter(benchmark_id=run.benchmark_id).first() if run else None
    return of_run or Benchmark.objects.order_by("-id").first()


def _like(request: HttpRequest) -> Evaluation | None:
    """Return the run ``?like=`` names by its job; None where the address names none."""
    job_id = request.GET.get("like", "")
    return lookup.evaluation_or_404(job_id) if job_id else None


def _others(benchmark: Benchmark) -> list[str]:
    names = list(Benchmark.objects.order_by("-id").values_list("benchmark_id", flat=True)[:OFFERED])
    return names if benchmark.benchmark_id in names else [benchmark.benchmark_id, *names]


def _initial(request: HttpRequest) -> dict[str, Any]:
    return {"models": request.GET.getlist("model"), "agents": request.GET.getlist("agent")}


def _started(request: HttpRequest, form: RunForm) -> list[Evaluation]:
    """Start a run for each candidate, all of them or none; none when something stands in the way, which is told."""
    actor = principal_of(request)
    if not _ready(form):
        return []
    try:
        with transaction.atomic():
            return [evaluation.start(form.benchmark.benchmark_id, config, actor) for config in form.configs]
    except ConsoleError as error:
        form.add_error(None, error.detail)
        return []


def _ready(form: RunForm) -> bool:
    """Return whether every candidate can be asked; one that cannot is told beside its field."""
    for one in form.candidates:
        try:
            async_to_sync(candidates.ready)(one.config.eval_candidate)
        except ConsoleError as error:
            form.add_error(one.field, error.detail)
            return False
    return True


def _scheduled(request: HttpRequest, form: RunForm, when: ScheduleForm) -> HttpResponse:
    asked = when.cleaned_data
    with transaction.atomic():
        one = schedules.make(form.benchmark, form.configs, asked["every"], asked["first_at"], principal_of(request))
    messages.success(request, f"Scheduled: {one}.")
    return redirect(reverse("evals:benchmark-detail", args=[form.benchmark.benchmark_id]) + "#schedules")


def lead_to(request: HttpRequest, runs: list[Evaluation]) -> HttpResponse:
    """Lead to what was started: the one run, or the benchmark's runs when they are several, which is told."""
    if len(runs) > 1:
        messages.success(request, f"{len(runs)} evaluations are started.")
    if len(runs) == 1:
        return redirect("evals:evaluation-detail", runs[0].job.job_id)
    return redirect(f"{reverse('evals:evaluation-list')}?{urlencode({'benchmark': runs[0].benchmark_id})}")


@require_POST
@requires("operator")
def evaluation_estimate(request: HttpRequest) -> HttpResponse:
    """Tell what the form as it stands would cost."""
    benchmark = _benchmark(request)
    if benchmark is None:
        return HttpResponse(status=204)
    form = RunForm(request.POST, **_about(benchmark))
    form.is_valid()
    context = {"form": form, "estimate": estimate.of(form), "call": _call(request, form), "is_changed": True}
    return render(request, "evals/_form_follows.html", context)


def _call(request: HttpRequest, form: RunForm) -> Call | None:
    """Return the first call the form would make, as code; None while it makes none."""
    if not form.is_bound or not form.is_valid():
        return None
    config = form.candidates[0].config
    return code.run(origin_of(request), form.benchmark.benchmark_id, config)
