"""What an address names: a benchmark, a schedule, an evaluation, a row of it, a scorer; else the 404 page."""

from django.http import Http404

from apps.core.errors import NotFound
from apps.evals import functions, schemas
from apps.evals.models import Benchmark, EvaluatedRow, Evaluation, Schedule
from apps.evals.scoring.base import Scorer
from apps.evals.scoring.catalog import BUILT_IN


def benchmark_or_404(benchmark_id: str) -> Benchmark:
    """Return the benchmark, or answer that there is none."""
    try:
        return Benchmark.objects.named(benchmark_id)
    except NotFound as error:
        raise Http404(error.detail) from error


def schedule_or_404(number: int) -> Schedule:
    """Return the schedule together with its benchmark, or answer that there is none."""
    one = Schedule.objects.select_related("benchmark").filter(pk=number).first()
    if one is None:
        raise Http404("There is no such schedule. It was deleted, or its benchmark was.")
    return one


def evaluation(job_id: str) -> Evaluation | None:
    """Return the evaluation of this job together with it; None when there is none (yet)."""
    return Evaluation.objects.select_related("job__created_by", "job__retry_of").filter(job__job_id=job_id).first()


def evaluation_or_404(job_id: str) -> Evaluation:
    """Return the evaluation of this job together with it, or answer that there is none."""
    one = evaluation(job_id)
    if one is None:
        raise Http404(f"Evaluation '{job_id}' not found")
    return one


def row_or_404(run: Evaluation, number: int) -> EvaluatedRow:
    """Return a row by its number as people count, from 1, or answer that it is not there."""
    row = EvaluatedRow.objects.filter(evaluation=run.pk, position=number - 1).first()
    if row is None:
        raise Http404(f"Row {number} of this evaluation is not there (yet).")
    return row


def scorer_or_404(name: str) -> tuple[schemas.ScoringFn, Scorer]:
    """Return a scoring function as the API tells it and the built-in one that runs, or answer that there is none."""
    try:
        told = functions.named(name)
    except NotFound as error:
        raise Http404(error.detail) from error
    return told, BUILT_IN[str(told.provider_resource_id)]
