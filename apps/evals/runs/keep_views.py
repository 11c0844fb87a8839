"""The dialog that adds failing rows of an evaluation to a dataset; without script it is a page."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core import once
from apps.core.errors import Conflict, ConsoleError
from apps.core.fields import json_value
from apps.core.htmx import is_partial
from apps.datasets import live
from apps.evals import lookup
from apps.evals.runs import keeping
from apps.evals.runs.keep_form import FailingForm, KeepForm

SHOWN = 3


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def rows_keep(request: HttpRequest, job_id: str) -> HttpResponse:
    """Ask which rows go to which dataset, show the first of them, and add them."""
    evaluation = lookup.evaluation_or_404(job_id)
    form = FailingForm(request.POST if request.method == "POST" else request.GET, evaluation=evaluation)
    if answer := kept(request, form):
        return answer
    return asked(request, form, ("evals/_keep.html", "evals/rows_keep.html"), job=evaluation.job)


def kept(request: HttpRequest, form: KeepForm) -> HttpResponse | None:
    """Add the rows if the form was sent for it, and tell so; None when it was not, or was refused."""
    if request.method != "POST" or not form.is_valid():
        return None
    added = _added(request, form)
    if added is None:
        return None
    live.changed_from_sync(added.dataset)
    if is_partial(request):
        return render(request, "evals/_kept.html", {"added": added})
    return redirect("datasets:dataset-detail", added.dataset.dataset_id)


def _added(request: HttpRequest, form: KeepForm) -> keeping.Added | None:
    name, purpose, actor = form.cleaned_data["name"], form.for_purpose, principal_of(request)
    try:
        with transaction.atomic():
            return keeping.keep(form.evaluation, form.chosen, form.target, name, purpose, actor)
    except Conflict as error:
        taken = "There is a dataset of this name. Choose it above to add to it, or another name."
        form.add_error(*(("name", taken) if form.target is None else (None, error.detail)))
    except ConsoleError as error:
        form.add_error(None, error.detail)
    return None


def asked(request: HttpRequest, form: KeepForm, templates: tuple[str, str], **more: Any) -> HttpResponse:
    """Show the form with the first rows, as the part or the page of these templates."""
    part, page = templates
    shown = [json_value(row.row) for row in form.shown[:SHOWN]]
    context = {"form": form, "evaluation": form.evaluation, "shown": shown, **more}
    status = 422 if request.method == "POST" else 200
    return render(request, part if is_partial(request) else page, context, status=status)
