"""Pages of jobs and workers."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.audit import note
from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core import live, once
from apps.core.errors import ConsoleError
from apps.core.htmx import is_partial
from apps.core.keyset import page_of
from apps.jobs import listing, runner
from apps.jobs.live import LIST, must_poll
from apps.jobs.models import QUEUES, Job, JobQuerySet, Status, Worker

LINES_SHOWN = 200
ENDED_BADLY = (Status.FAILED, Status.CANCELLED)


@require_GET
@requires("viewer")
def job_list(request: HttpRequest) -> HttpResponse:
    """Show the jobs a filter leaves, newest first."""
    number = async_to_sync(live.head)(LIST)
    filter_ = listing.asked(request.GET)
    rows = filter_.rows()
    total = listing.count(rows)
    page = page_of(rows.select_related("created_by").defer("arguments", "checkpoint", "result"), request.GET)
    context = {
        "page": page,
        "filter": filter_,
        "queues": QUEUES,
        "kinds": listing.kinds(),
        "total": total,
        "most_counted": listing.COUNTED,
        "many": f"all {total:,}" if total <= runner.AT_ONCE else f"{runner.AT_ONCE:,}",  # what a button for all does
        "can_operate": _may(request),
        "can_retry": any(job.status in ENDED_BADLY for job in page),
        "can_cancel": any(job.is_active for job in page),
        "poll": any(must_poll(job) for job in page),
        "number": number,
        "topic": LIST,
        "here": request.GET.urlencode(),
    }
    return render(request, "jobs/_jobs.html" if is_partial(request) else "jobs/job_list.html", context)


@require_GET
@requires("viewer")
def job_detail(request: HttpRequest, job_id: str) -> HttpResponse:
    """Show a job: how far it is, its log, and what it was asked to do."""
    number = async_to_sync(live.head)(f"job:{job_id}")
    job = _job_or_404(job_id)
    lines = list(job.lines.order_by("-pk")[: LINES_SHOWN + 1])
    context = {
        "job": job,
        "lines": lines[:LINES_SHOWN][::-1],
        "has_more_lines": len(lines) > LINES_SHOWN,
        "retried_as": job.retries.order_by("-pk").first(),
        "poll": must_poll(job),
        "can_operate": _may(request),
        "number": number,
    }
    return render(request, "jobs/_job.html" if is_partial(request) else "jobs/job_detail.html", context)


@require_GET
@requires("viewer")
def badge(request: HttpRequest) -> HttpResponse:
    """The number of failed jobs in the menu alone."""
    return render(request, "jobs/_failed_badge.html")


@require_POST
@requires("operator")
def job_cancel(request: HttpRequest, job_id: str) -> HttpResponse:
    """Stop a job, or take it out of the queue."""
    job = _job_or_404(job_id)
    if not runner.cancel(Job.objects.filter(pk=job.pk), principal_of(request)):
        messages.info(request, f"“{job}” had ended already.")
    return _back(request, job)


@require_POST
@requires("operator")
@once.only
def job_retry(request: HttpRequest, job_id: str) -> HttpResponse:
    """Try a failed job again as a new one, and go back to the same list or on to the new job."""
    job = _job_or_404(job_id)
    try:
        made = runner.retry(Job.objects.filter(pk=job.pk), principal_of(request))
    except ConsoleError as error:
        messages.error(request, error.detail)
        return _back(request, job)
    if not made:
        messages.info(request, f"“{job}” cannot be tried again, or was already.")
        return _back(request, job)
    if "back" in request.POST:
        messages.success(request, f"“{job}” is tried again.")
    return _back(request, made[0])


@require_POST
@requires("operator")
@once.only
def job_many(request: HttpRequest) -> HttpResponse:
    """Retry or cancel the chosen jobs, or all a filter leaves; stay on the same list."""
    act, actor = request.POST.get("act", "").removesuffix("-all"), principal_of(request)
    jobs = _chosen(request)
    try:
        if act == "retry":
            _tell_count(request, len(runner.retry(jobs, actor)), "tried again")
        elif act == "cancel":
            _tell_count(request, runner.cancel(jobs, actor), "cancelled")
    except ConsoleError as error:
        messages.error(request, error.detail)
    return redirect(_list_url(request))


@require_GET
@requires("viewer")
def worker_list(request: HttpRequest) -> HttpResponse:
    """Show the workers, when each was last heard of, and what it runs."""
    workers = list(Worker.objects.shown()[:50])
    running: dict[str, list[Job]] = {worker.worker_id: [] for worker in workers}
    for job in Job.objects.filter(status=Status.IN_PROGRESS, worker__in=running).order_by("pk"):
        running[job.worker].append(job)
    waiting = dict.fromkeys(QUEUES, 0) | runner.waiting()
    context = {
        "workers": [(worker, running[worker.worker_id]) for worker in workers],
        "alive": sum(worker.state in ("healthy", "draining") for worker in workers),
        "waiting": [(QUEUES[name], name, number) for name, number in waiting.items()],
        "can_operate": _may(request),
    }
    return render(request, "jobs/_workers.html" if is_partial(request) else "jobs/worker_list.html", context)


@require_POST
@requires("operator")
def worker_drain(request: HttpRequest, number: int) -> HttpResponse:
    """Let a worker take nothing new, or take jobs again."""
    worker = get_object_or_404(Worker, pk=number)
    drain = request.POST.get("drain") == "yes"
    with transaction.atomic():
        Worker.objects.filter(pk=number).update(is_draining=drain)
        note(principal_of(request), "drain" if drain else "resume", "worker", worker.worker_id)
    return redirect("jobs:worker-list")


def _chosen(request: HttpRequest) -> JobQuerySet:
    if request.POST.get("act", "").endswith("-all"):
        return listing.asked(request.GET).rows()
    return Job.objects.filter(job_id__in=request.POST.getlist("job")[: runner.AT_ONCE])


def _tell_count(request: HttpRequest, number: int, done: str) -> None:
    jobs = "1 job is" if number == 1 else f"{number:,} jobs are"
    if number:
        messages.success(request, f"{jobs} {done}.")
    else:
        messages.info(request, f"None of these jobs could be {done}.")


def _list_url(request: HttpRequest) -> str:
    """Return the list with the filter and the place in the address of this request."""
    query = request.GET.urlencode()
    return reverse("jobs:job-list") + (f"?{query}" if query else "")


def _back(request: HttpRequest, job: Job) -> HttpResponse:
    if "back" in request.POST:
        return redirect(_list_url(request))
    return redirect("jobs:job-detail", job.job_id)


def _job_or_404(job_id: str) -> Job:
    job = Job.objects.select_related("created_by", "retry_of").filter(job_id=job_id).first()
    if job is None:
        raise Http404(f"Job '{job_id}' not found")
    return job


def _may(request: HttpRequest) -> Any:
    return request.user.can("operator")  # type: ignore[union-attr]
