"""What stands around a run: its dataset, its benchmark as it is now, the run before it and the one that goes on."""

from typing import NamedTuple

from django.db.models import Exists, OuterRef, Subquery

from apps.datasets.models import Dataset
from apps.evals.current import CURRENT
from apps.evals.models import Evaluation
from apps.jobs.models import Job


class Around(NamedTuple):
    """Whether its dataset is there and whether it has a place in its benchmark, and the jobs of other runs."""

    has_dataset: bool
    is_current: bool
    before: str | None  # the newest completed run of its benchmark and dataset before it
    retried_as: str | None


def of(run: Evaluation) -> Around:
    """Return what stands around a run; one query."""
    asked = {"benchmark_id": run.benchmark_id, "dataset_id": run.dataset_id}
    earlier = Evaluation.objects.filter(**asked, pk__lt=run.pk).completed().order_by("-pk")
    retries = Job.objects.filter(retry_of=OuterRef("job")).order_by("-pk")
    told = Evaluation.objects.filter(pk=run.pk).values_list(
        Exists(Dataset.objects.shown().filter(dataset_id=run.dataset_id)),
        Exists(Evaluation.objects.filter(CURRENT, pk=run.pk)),
        Subquery(earlier.values("job__job_id")[:1]),
        Subquery(retries.values("job_id")[:1]),
    )
    return Around(*told.get())
