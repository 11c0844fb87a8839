"""Pages of benchmarks: list, new, one with its leaderboard and runs, deleting."""

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.auth import principal_of
from apps.accounts.models import AuditLine
from apps.accounts.pages import requires
from apps.core import once
from apps.core.code import Call, origin_of
from apps.core.errors import ConsoleError
from apps.core.htmx import is_partial
from apps.core.keyset import page_of
from apps.datasets import uses
from apps.datasets.models import Dataset
from apps.evals import baseline, code, costs, functions, lookup, registry, schemas, standings
from apps.evals.benchmarks import history, schedule_list
from apps.evals.benchmarks.form import BenchmarkForm
from apps.evals.models import Benchmark, Evaluation
from apps.inference import chat
from apps.inference.models import Model
from apps.jobs.live import LIST

SHOWN_RUNS = 20


@require_GET
@requires("viewer")
def benchmark_list(request: HttpRequest) -> HttpResponse:
    """Show the benchmarks, newest first, with the newest score of each candidate."""
    words = request.GET.get("q", "").strip()[:200]
    found = Benchmark.objects.all()
    for word in words.split():
        found = found.filter(Q(benchmark_id__icontains=word) | Q(dataset_id__icontains=word))
    page = page_of(found, request.GET)
    names = [one.benchmark_id for one in page]
    newest, counts = standings.newest_of(page), standings.counts_of(names)
    missing = registry.missing(page.rows)
    rows = [
        (one, newest[one.benchmark_id], counts.get(one.benchmark_id, 0), missing.get(one.benchmark_id)) for one in page
    ]
    any_benchmark = bool(page.rows) or Benchmark.objects.exists()
    context = {"page": page, "rows": rows, "words": words, "any_benchmark": any_benchmark}
    if not any_benchmark:
        context["offered"] = registry.fit_datasets()
    return render(request, "evals/_benchmarks.html" if is_partial(request) else "evals/benchmark_list.html", context)


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def benchmark_new(request: HttpRequest) -> HttpResponse:
    """Register a benchmark; ``?dataset=`` makes one of a dataset in one step, ``?copy=`` begins with another one."""
    if request.POST.get("act") == "choose":  # a dataset: which scorers fit it is told beside them
        form = BenchmarkForm(initial=BenchmarkForm.typed(request.POST))
        template = "evals/_benchmark_scorers.html" if is_partial(request) else "evals/benchmark_form.html"
        return render(request, template, {"form": form})
    copied = Benchmark.objects.filter(benchmark_id=request.GET.get("copy", "")).first()
    initial = BenchmarkForm.initial_of(request.GET.get("dataset", "")[:255], copied)
    form = BenchmarkForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                benchmark = registry.register(form.request(), principal_of(request))
        except ConsoleError as error:
            form.add_error("benchmark_id", error.detail)
        else:
            return redirect("evals:benchmark-detail", benchmark.benchmark_id)
    status = 422 if form.is_bound else 200
    return render(request, "evals/benchmark_form.html", {"form": form, "copied": copied}, status=status)


@require_GET
@requires("viewer")
def benchmark_detail(request: HttpRequest, benchmark_id: str) -> HttpResponse:
    """Show a benchmark: what it is made of, who does best, and its runs."""
    benchmark = Benchmark.objects.with_baseline(benchmark_id)
    if benchmark is None:
        return _gone(request, benchmark_id)
    chosen = list(benchmark.scoring_functions)
    done = standings.completed(benchmark_id)
    by = request.GET.get("by", "")
    by = by if by in chosen else standings.telling(done, chosen)
    all_runs = Evaluation.objects.filter(benchmark_id=benchmark_id).listed()
    runs = list(all_runs.annotate(is_baseline=baseline.IS_BASELINE)[: SHOWN_RUNS + 1])
    known = functions.known(chosen)
    dataset = Dataset.objects.shown().defer("gaps").filter(dataset_id=benchmark.dataset_id).first()
    leaders = standings.leaderboard(done, chosen, by, benchmark.baseline) if by else []
    context = {
        "benchmark": benchmark,
        "dataset": dataset,
        "why_not": uses.of(dataset, uses.EVALUATION).why if dataset else "it does not exist",
        "functions": [(name, known.get(name)) for name in chosen],
        "unknown": [name for name in chosen if name not in known],
        "by": by,
        "standings": leaders,
        "left_out": standings.left_out(benchmark_id),
        "any_cost": any(costs.of(one.newest).cost for one in leaders),
        "chart": history.chart(done, by, benchmark.baseline) if by else None,
        "runs": [(run, standings.scores_of(run)) for run in runs[:SHOWN_RUNS]],
        "schedules": schedule_list.of(benchmark),
        "has_more": len(runs) > SHOWN_RUNS,
        "poll": any(run.job.is_active for run in runs),
        "delete_text": registry.what_goes(benchmark),
        "topic": LIST,
        "calls": [("run", "", _code(request, benchmark_id, runs[0] if runs else None))],
    }
    return render(request, "evals/benchmark_detail.html", context)


def _code(request: HttpRequest, benchmark_id: str, run: Evaluation | None) -> Call:
    """Return the call that runs a benchmark: as its newest run, or with the model to take when nobody has chosen."""
    if run is not None:
        return code.run(origin_of(request), benchmark_id, run.config, code.path_of(run))
    model = chat.best_of(Model.objects.offered())
    candidate = {"type": "model", "model": str(model or "MODEL"), "sampling_params": {"strategy": {"type": "greedy"}}}
    config = schemas.BenchmarkConfig.model_validate({"eval_candidate": candidate})
    return code.run(origin_of(request), benchmark_id, config)


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def benchmark_delete(request: HttpRequest, benchmark_id: str) -> HttpResponse:
    """Take a benchmark away; asked once."""
    benchmark = lookup.benchmark_or_404(benchmark_id)
    if request.method == "POST":
        with transaction.atomic():
            registry.unregister(benchmark_id, principal_of(request))
        messages.success(request, f"Benchmark {benchmark_id} was deleted.")
        return redirect("evals:benchmark-list")
    back = reverse("evals:benchmark-detail", args=[benchmark_id])
    context = {"benchmark": benchmark, "text": registry.what_goes(benchmark), "back": back}
    return render(request, "evals/benchmark_delete.html", context)


def _gone(request: HttpRequest, benchmark_id: str) -> HttpResponse:
    """Answer with what is left of a deleted benchmark: who deleted it and when, and the way to its runs."""
    lines = AuditLine.objects.filter(kind="benchmark", action="delete", object_id=benchmark_id)
    line = lines.order_by("-pk").first()
    if line is None:
        raise Http404(f"Benchmark '{benchmark_id}' not found")
    return render(request, "evals/benchmark_gone.html", {"benchmark_id": benchmark_id, "line": line}, status=404)
