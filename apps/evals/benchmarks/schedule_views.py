"""What may be done with a schedule on its benchmark's page: run it now, change it, pause it, delete it."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core import once
from apps.core.errors import ConsoleError
from apps.evals import lookup, schedules
from apps.evals.benchmarks import schedule_form, schedule_list
from apps.evals.models import Schedule
from apps.evals.runs.start_views import lead_to


@require_POST
@requires("operator")
@once.only
def schedule_run(request: HttpRequest, number: int) -> HttpResponse:
    """Start the runs of a schedule at once, and go there."""
    one = lookup.schedule_or_404(number)
    try:
        runs = schedules.run_now(one, principal_of(request))
    except ConsoleError as error:
        messages.error(request, error.detail)
        return redirect(_page(one))
    return lead_to(request, runs)


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def schedule_edit(request: HttpRequest, number: int) -> HttpResponse:
    """Change how often a schedule runs, and when next."""
    one = lookup.schedule_or_404(number)
    form = schedule_form.changing(one, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        with transaction.atomic():
            schedules.change(one, form.cleaned_data["every"], form.cleaned_data["first_at"], principal_of(request))
        messages.success(request, "The schedule was changed.")
        return redirect(_page(one))
    context = {"schedule": one, "form": form, "who": schedule_list.names_of(one), "back": _page(one)}
    return render(request, "evals/schedule_edit.html", context, status=422 if form.is_bound else 200)


@require_POST
@requires("operator")
def schedule_pause(request: HttpRequest, number: int) -> HttpResponse:
    """Pause a schedule, or let it go on, as the form says."""
    one = lookup.schedule_or_404(number)
    with transaction.atomic():
        schedules.set_paused(one, request.POST.get("paused") == "yes", principal_of(request))
    return redirect(_page(one))


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def schedule_delete(request: HttpRequest, number: int) -> HttpResponse:
    """Take a schedule away; asked once."""
    one = lookup.schedule_or_404(number)
    if request.method == "POST":
        with transaction.atomic():
            schedules.delete(one, principal_of(request))
        messages.success(request, "The schedule was deleted; what it started stays.")
        return redirect(_page(one))
    context = {"schedule": one, "text": schedule_list.what_goes(one), "back": _page(one)}
    return render(request, "evals/schedule_delete.html", context)


def _page(one: Schedule) -> str:
    return reverse("evals:benchmark-detail", args=[one.benchmark.benchmark_id]) + "#schedules"
