"""The dialog that adds failing rows of an evaluation to a dataset; without script it is a page."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods
from pydantic_core import from_json

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core.errors import ConsoleError
from apps.core.once import only
from apps.datasets import live
from apps.evals import failing, found
from apps.evals.forms import KeepForm

SHOWN = 3


@require_http_methods(["GET", "POST"])
@requires("operator")
@only
def rows_keep(request: HttpRequest, job_id: str) -> HttpResponse:
    """Ask which rows go to which dataset, show the first of them, and add them."""
    evaluation = found.evaluation_or_404(job_id)
    sent = request.method == "POST"
    form = KeepForm(request.POST if sent else request.GET, evaluation=evaluation)
    if form.is_valid() and sent:
        given = form.cleaned_data
        purpose = form.target.purpose if form.target else given["purpose"] or next(iter(form.fit), "")
        try:
            with transaction.atomic():
                added = failing.keep(
                    evaluation, form.failing, form.target, given["name"], purpose, principal_of(request)
                )
        except ConsoleError as error:
            form.add_error(None, error.detail)
        else:
            live.changed_from_sync(added.dataset)
            return _kept(request, added)
    context: dict[str, Any] = {
        "evaluation": evaluation,
        "job": evaluation.job,
        "form": form,
        "shown": [from_json(row.row) for row in form.shown[:SHOWN]],
        "is_low": form.failing.which == failing.LOW,
    }
    template = "evals/_keep.html" if request.htmx else "evals/rows_keep.html"  # type: ignore[attr-defined]
    return render(request, template, context, status=422 if sent else 200)


def _kept(request: HttpRequest, added: failing.Added) -> HttpResponse:
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "evals/_kept.html", {"added": added})
    return redirect("datasets:dataset-detail", added.dataset.dataset_id)
