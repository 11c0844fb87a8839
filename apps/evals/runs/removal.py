"""Ended evaluations deleted. They are gone for everybody at once; the many rows of a large one are removed by a job."""

from typing import Any

from django.db import transaction
from django.db.models import Max

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core import db
from apps.core.errors import Conflict
from apps.evals.models import Benchmark, EvaluatedRow, Evaluation, HumanScore
from apps.jobs import live, runner
from apps.jobs.handle import Handle
from apps.jobs.models import ACTIVE, Job

DELETED_AT_ONCE = 5_000
PART = 2_000  # rows deleted in a transaction of the job


def remove(one: Evaluation, actor: Principal) -> None:
    """Delete an ended evaluation with its job, its rows and what people gave them; called inside a write.

    Datasets keep the rows that were added to them, and the traces stay. Raises Conflict while it, or a run that goes
    on from it, is not done.
    """
    job = Job.objects.select_for_update().get(pk=one.job.pk)  # whoever goes on from it now waits, and finds it gone
    if job.is_active:
        raise Conflict("It still runs: cancel it first.")
    if job.retries.filter(status__in=ACTIVE).exists():
        raise Conflict("A run that goes on from it still runs: wait for it, or cancel it first.")
    told = {"benchmark": one.benchmark_id, "candidate": one.candidate, "run": one.pk, "rows": one.row_count}
    audit.note(actor, "delete", "evaluation", job.job_id, **told)
    Benchmark.objects.filter(baseline=one).update(baseline=None)
    HumanScore.objects.filter(evaluation=one.pk)._raw_delete(using="default")
    if one.row_count > DELETED_AT_ONCE:
        title = f"Remove the rows of run {one.pk}"
        runner.enqueue(f"{__name__}.run", {"pk": one.pk}, kind="evaluation removal", title=title, actor=actor)
    else:
        EvaluatedRow.objects.filter(evaluation=one.pk)._raw_delete(using="default")
    Evaluation.objects.filter(pk=one.pk)._raw_delete(using="default")
    job.delete()
    transaction.on_commit(lambda: live.changed(job.job_id))


def run(job: Handle) -> dict[str, Any]:
    """Remove the rows of a deleted evaluation in pieces, so that no other write waits long; the work of a job."""
    rows, gone = EvaluatedRow.objects.filter(evaluation=job.arguments["pk"]).order_by(), 0
    while (top := rows.aggregate(top=Max("position"))["top"]) is not None:
        job.check()
        job.progress(gone, unit="rows")
        last = rows.filter(position__gt=top - PART)
        gone += db.write_soon(last._raw_delete, "default").result()
    return {"rows": gone}


def what_goes(one: Evaluation) -> str:
    """Return what a person should know before an evaluation is deleted: what goes with it, and what stays."""
    told = [f"Run {one.pk} and its {one.row_count:,} row{'s go' if one.row_count != 1 else ' goes'} for good."]
    if given := one.human_scores.count():
        told.append(f"So {'do' if given > 1 else 'does'} {given:,} human score{'s' if given > 1 else ''}.")
    if Benchmark.objects.filter(baseline=one).exists():
        told.append(f"It is the baseline of {one.benchmark_id}, which has none afterwards.")
    later = Evaluation.objects.filter(job__retry_of=one.job.pk).first()
    if later is not None:
        told.append(f"Run {later.pk} went on from it and keeps its rows.")
    told.append("Its benchmark, its dataset and its traces are not touched.")
    return " ".join(told)
