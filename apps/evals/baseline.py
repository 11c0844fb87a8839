"""The run that the others of its benchmark are held against, once a person has chosen one."""

from collections.abc import Sequence

from django.db.models import Exists, OuterRef

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core.errors import Conflict
from apps.evals.current import is_current
from apps.evals.models import Benchmark, Evaluation

IS_BASELINE = Exists(Benchmark.objects.filter(baseline=OuterRef("pk")))


def of(benchmark_id: str) -> Evaluation | None:
    """Return the run that the others of a benchmark are held against; None when nobody has chosen one."""
    rows = Evaluation.objects.listed().annotate(is_baseline=IS_BASELINE)
    return rows.filter(is_baseline=True, benchmark_id=benchmark_id).first()


def can_be(run: Evaluation) -> bool:
    """Return whether a run can be held against: it has ended, and rows of it are scored."""
    return not run.job.is_active and run.row_count > 0


def choose(run: Evaluation, actor: Principal) -> None:
    """Make a run the baseline of its benchmark; called inside a write. Raises NotFound and Conflict."""
    if not can_be(run):
        raise Conflict("A baseline is a run that has ended with scored rows. Wait until it is done, or choose another.")
    benchmark = Benchmark.objects.named(run.benchmark_id)
    if not is_current(run):
        raise Conflict(f"The run asked an earlier benchmark or dataset of this name: {benchmark} has other rows now.")
    if benchmark.baseline_id == run.pk:
        return
    Benchmark.objects.filter(pk=benchmark.pk).update(baseline=run)
    audit.note(actor, "set_baseline", "benchmark", benchmark.benchmark_id, job=run.job.job_id)


def clear(run: Evaluation, actor: Principal) -> None:
    """Let its benchmark have no baseline any more, if this run is it; called inside a write."""
    if Benchmark.objects.filter(baseline=run).update(baseline=None):
        audit.note(actor, "unset_baseline", "benchmark", run.benchmark_id, job=run.job.job_id)


def among(runs: Sequence[Evaluation]) -> set[int]:
    """Return the keys of those runs that are baselines; one query."""
    chosen = Benchmark.objects.filter(baseline__in=[run.pk for run in runs]).values_list("baseline_id", flat=True)
    return {pk for pk in chosen if pk is not None}
