"""Which runs are of their benchmark as it is now: these alone are ranked and held against each other."""

from django.db.models import Exists, OuterRef

from apps.datasets.models import Dataset
from apps.evals.models import Benchmark, Evaluation

_BENCHMARK = Benchmark.objects.filter(
    benchmark_id=OuterRef("benchmark_id"), dataset_id=OuterRef("dataset_id"), created_at__lte=OuterRef("created_at")
)
_NEWER_DATASET = Dataset.objects.filter(dataset_id=OuterRef("dataset_id"), created_at__gt=OuterRef("created_at"))
# What an id names may be deleted and made anew: a run belongs to what it asked, which was there before it.
CURRENT = Exists(_BENCHMARK) & ~Exists(_NEWER_DATASET)


def is_current(run: Evaluation) -> bool:
    """Return whether neither its benchmark nor its dataset was made anew since a run began; one query."""
    return Evaluation.objects.filter(CURRENT, pk=run.pk).exists()
