"""The page that asks before an evaluation is deleted, and the one that stands in its place afterwards."""

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from apps.accounts.auth import principal_of
from apps.accounts.models import AuditLine
from apps.accounts.pages import requires
from apps.core import once
from apps.core.errors import ConsoleError
from apps.core.htmx import is_partial
from apps.evals import lookup
from apps.evals.models import Benchmark
from apps.evals.runs import removal


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def evaluation_delete(request: HttpRequest, job_id: str) -> HttpResponse:
    """Take an ended evaluation away; asked once, on a page or in the dialog of the evaluation's own."""
    one = lookup.evaluation_or_404(job_id)
    if request.method == "GET":
        back = reverse("evals:evaluation-detail", args=[job_id])
        context = {"evaluation": one, "text": removal.what_goes(one), "back": back}
        template = "evals/_evaluation_delete.html" if is_partial(request) else "evals/evaluation_delete.html"
        return render(request, template, context)
    try:
        with transaction.atomic():
            removal.remove(one, principal_of(request))
    except ConsoleError as error:
        messages.error(request, error.detail)
        return redirect("evals:evaluation-detail", job_id)
    messages.success(request, f"Run {one.pk} was deleted.")
    if Benchmark.objects.filter(benchmark_id=one.benchmark_id).exists():
        return redirect("evals:benchmark-detail", one.benchmark_id)
    return redirect("evals:evaluation-list")


def gone(request: HttpRequest, job_id: str) -> HttpResponse:
    """Answer with what is left of a deleted evaluation: what it was, who deleted it and when."""
    lines = AuditLine.objects.filter(kind="evaluation", action="delete", object_id=job_id)
    line = lines.order_by("-pk").first()
    if line is None:
        raise Http404(f"Evaluation '{job_id}' not found")
    return render(request, "evals/evaluation_gone.html", {"line": line}, status=404)
