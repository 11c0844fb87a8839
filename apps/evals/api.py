"""The four operations on benchmarks and the five on evaluations."""

import asyncio
import re
import time

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import Router

from apps.accounts.auth import caller
from apps.accounts.principals import Principal
from apps.core import db
from apps.core.answers import answer, nothing
from apps.core.errors import Conflict
from apps.evals import direct, evaluation, functions, registry, results, schemas
from apps.evals.models import Benchmark
from apps.evals.running import candidates
from apps.jobs import runner
from apps.jobs import schemas as jobs
from apps.jobs.models import Job, Status

router = Router(tags=["Eval"])
ONE = "/benchmarks/{path:benchmark_id}"
WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,4})", re.IGNORECASE)
LONGEST_WAIT_S = 60.0


@router.get("/benchmarks", response=schemas.ListBenchmarksResponse)
async def list_benchmarks(request: HttpRequest) -> HttpResponse:
    """List the benchmarks, oldest first."""
    found = await db.read(lambda: [one.as_schema() for one in Benchmark.objects.all()])
    return answer(schemas.ListBenchmarksResponse(data=found))


@router.post("/benchmarks")
async def register_benchmark(request: HttpRequest, body: schemas.RegisterBenchmarkRequest) -> HttpResponse:
    """Register a benchmark; its dataset and scoring functions are looked up when it is run."""
    await db.write(registry.register, body, caller(request))
    return nothing()


@router.post(ONE + "/jobs", response=jobs.Job)
async def run_eval(request: HttpRequest, benchmark_id: str, body: schemas.RunEvalRequest) -> HttpResponse:
    """Start an evaluation and return its job at once, or when it ended within ``Prefer: wait=N`` seconds."""
    config = body.benchmark_config
    await db.read(Benchmark.objects.named, benchmark_id)
    await candidates.ready(config.eval_candidate)
    await functions.check_expressions(config.scoring_params)
    started = await db.write(evaluation.start, benchmark_id, config, caller(request))
    job = await _ended(started.job, _patience(request))
    return answer(jobs.Job(job_id=job.job_id, status=job.status))


@router.get(ONE + "/jobs/{job_id}/result", response=schemas.EvaluateResponse)
async def job_result(request: HttpRequest, benchmark_id: str, job_id: str) -> StreamingHttpResponse:
    """Return what was answered and how it was scored, once the job completed."""
    found = await db.read(evaluation.named, benchmark_id, job_id)
    results.check_completed(found)
    return StreamingHttpResponse(results.told(found), content_type="application/json")


@router.get(ONE + "/jobs/{job_id}", response=jobs.Job)
async def job_status(request: HttpRequest, benchmark_id: str, job_id: str) -> HttpResponse:
    """Return an evaluation's job."""
    job = (await db.read(evaluation.named, benchmark_id, job_id)).job
    return answer(jobs.Job(job_id=job.job_id, status=job.status))


@router.delete(ONE + "/jobs/{job_id}")
async def job_cancel(request: HttpRequest, benchmark_id: str, job_id: str) -> HttpResponse:
    """Stop an evaluation; what is scored is kept. Asking again is no fault; a job that ended cannot be stopped."""
    await db.write(_cancel, benchmark_id, job_id, caller(request))
    return nothing()


@router.post(ONE + "/evaluations", response=schemas.EvaluateResponse)
async def evaluate_rows(request: HttpRequest, benchmark_id: str, body: schemas.EvaluateRowsRequest) -> HttpResponse:
    """Evaluate rows that come with the request and answer when all are scored; nothing of it is stored."""
    await db.read(Benchmark.objects.named, benchmark_id)
    return answer(await direct.evaluate(body))


@router.get(ONE, response=schemas.Benchmark)
async def get_benchmark(request: HttpRequest, benchmark_id: str) -> HttpResponse:
    """Return a benchmark."""
    return answer((await db.read(Benchmark.objects.named, benchmark_id)).as_schema())


@router.delete(ONE)
async def unregister_benchmark(request: HttpRequest, benchmark_id: str) -> HttpResponse:
    """Delete a benchmark; evaluations that run are stopped, ended ones stay readable by their own path."""
    await db.write(registry.unregister, benchmark_id, caller(request))
    return nothing()


def _cancel(benchmark_id: str, job_id: str, by: Principal) -> None:
    job = evaluation.named(benchmark_id, job_id).job
    if job.status in (Status.COMPLETED, Status.FAILED):
        raise Conflict(f"Job '{job_id}' has ended ({job.get_status_display().lower()}) and cannot be cancelled.")
    runner.cancel(Job.objects.filter(pk=job.pk), by)


def _patience(request: HttpRequest) -> float:
    """Return for how many seconds the caller wants to wait for the end."""
    asked = WAIT.search(request.headers.get("Prefer", ""))
    return min(float(asked[1]) if asked else settings.EVAL_SYNC_GRACE_SECONDS, LONGEST_WAIT_S)


async def _ended(job: Job, seconds: float) -> Job:
    """Return the job when it has ended, or as it stands when the time is up; raises NotFound for one deleted since."""
    end, pause = time.monotonic() + seconds, 0.05
    while job.is_active and time.monotonic() < end:
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.5)
        job = await db.read(runner.named, job.job_id)
    return job
