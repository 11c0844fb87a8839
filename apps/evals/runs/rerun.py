"""An ended evaluation run again: missing and failed rows are asked anew, answers without a score are scored anew."""

from django.db import transaction

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core.errors import Conflict
from apps.evals import evaluation, spread
from apps.evals.models import Evaluation
from apps.evals.running import retried
from apps.jobs import runner
from apps.jobs.models import Job, Status


def can_run_again(one: Evaluation) -> bool:
    """Return whether it has ended with rows that are missing, or that lack their answer or a score."""
    if one.job.status != Status.COMPLETED:
        return not one.job.is_active
    return one.failed_count > 0 or spread.lacks_scores(one.spread, one.failed_count)


def run_again(one: Evaluation, actor: Principal) -> Evaluation:
    """Return a new evaluation that keeps the answers of this one; called inside a write.

    A job that ended never changes, so the old one stays as it is. Raises Conflict when there is nothing to run, or it
    was tried again already.
    """
    if not can_run_again(one):
        raise Conflict("There is nothing to run again: it still runs, or every row has its answer and its scores.")
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=one.job.pk)  # whoever wants the same now waits, and sees the retry
        if one.job.retries.exists():
            raise Conflict("It was run again already.")
        job = _job(one, actor)
        made = retried.begin(job)
        audit.note(
            actor, "create", "evaluation", job.job_id, again=one.job.job_id, kept=one.row_count - one.failed_count
        )
    return made


def _job(one: Evaluation, actor: Principal) -> Job:
    if one.job.status != Status.COMPLETED:
        return runner.retry(Job.objects.filter(pk=one.job.pk), actor)[0]
    job = runner.enqueue(
        evaluation.WORK,
        one.job.arguments,
        kind=evaluation.KIND,
        title=one.job.title,
        about=("benchmark", one.benchmark_id),
        queue=one.job.queue,
        actor=actor,
    )
    job.retry_of = one.job
    job.save(update_fields=["retry_of"])
    return job
