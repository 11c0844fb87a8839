"""Setting and unsetting the baseline of a benchmark, from the page of the run."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core.errors import ConsoleError
from apps.evals import baseline, lookup


@require_POST
@requires("operator")
def evaluation_baseline(request: HttpRequest, job_id: str) -> HttpResponse:
    """Make a run the baseline of its benchmark, or no longer so, as the form says."""
    evaluation = lookup.evaluation_or_404(job_id)
    change = baseline.choose if request.POST.get("baseline") == "yes" else baseline.clear
    try:
        with transaction.atomic():
            change(evaluation, principal_of(request))
    except ConsoleError as error:
        messages.error(request, error.detail)
    return redirect("evals:evaluation-detail", job_id)
