"""Benchmarks registered and unregistered, and the datasets they are or can be made of."""

import re
from collections.abc import Sequence

from django.db.models import Count, Q

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core.errors import BadRequest, Conflict
from apps.core.ids import why_unfit
from apps.datasets import uses
from apps.datasets.models import Dataset
from apps.evals import functions, schemas
from apps.evals.models import Benchmark, Evaluation
from apps.jobs import runner
from apps.jobs.models import ACTIVE, Job

PROVIDER = "stack-console"  # the only provider of evaluations: this console
PATH_OF_ITS_OWN = re.compile(r"/(?:jobs|evaluations)(?:/|$)")  # what stands behind a benchmark's id
NAMED = 5
OFFERED = 5


def register(asked: schemas.RegisterBenchmarkRequest, actor: Principal) -> Benchmark:
    """Store a benchmark and return it; called inside a write.

    The same content again is no change. Raises Conflict for the id with other content, BadRequest for bad values.
    """
    _check(asked)
    fields = {
        "dataset_id": asked.dataset_id,
        "scoring_functions": list(dict.fromkeys(asked.scoring_functions)),
        "provider_id": asked.provider_id or PROVIDER,
        "provider_benchmark_id": asked.provider_benchmark_id or asked.benchmark_id,
        "metadata": asked.metadata or {},
    }
    benchmark, is_new = Benchmark.objects.get_or_create(
        benchmark_id=asked.benchmark_id, defaults={**fields, "created_by_id": actor.user_id}
    )
    if is_new:
        audit.note(actor, "create", "benchmark", benchmark.benchmark_id, dataset=benchmark.dataset_id)
    elif any(getattr(benchmark, name) != value for name, value in fields.items()):
        raise Conflict(
            f"Benchmark '{benchmark.benchmark_id}' exists with other content; delete it first, or choose another id."
        )
    return benchmark


def _check(asked: schemas.RegisterBenchmarkRequest) -> None:
    functions = {f"scoring_functions.{at}": name for at, name in enumerate(asked.scoring_functions)}
    ids = {"benchmark_id": asked.benchmark_id, "dataset_id": asked.dataset_id, **functions}
    if asked.provider_benchmark_id:
        ids["provider_benchmark_id"] = asked.provider_benchmark_id
    for where, name in ids.items():
        if wrong := why_unfit(name):
            raise BadRequest(f"{where}: {wrong}")
    if PATH_OF_ITS_OWN.search(asked.benchmark_id):
        raise BadRequest("benchmark_id: '/jobs' and '/evaluations' in it would be read as the API's own paths")
    if asked.provider_id not in (None, PROVIDER):
        raise BadRequest(f"provider_id: no eval provider is named '{asked.provider_id}'. Known: {PROVIDER}.")


def unregister(benchmark_id: str, actor: Principal) -> None:
    """Delete a benchmark and stop what runs of it; its evaluations stay readable. Called inside a write.

    Raises NotFound.
    """
    benchmark = Benchmark.objects.locked(benchmark_id)
    runner.cancel(Job.objects.filter(about_kind="benchmark", about_id=benchmark.benchmark_id), actor)
    benchmark.delete()
    audit.note(actor, "delete", "benchmark", benchmark_id)


def what_goes(benchmark: Benchmark) -> str:
    """Return what a person should know before a benchmark is deleted: what runs of it, and what stays."""
    runs = Evaluation.objects.filter(benchmark_id=benchmark.benchmark_id)
    runs_now = Q(job__status__in=ACTIVE)
    running, ended = runs.aggregate(now=Count("pk", filter=runs_now), ended=Count("pk", filter=~runs_now)).values()
    told = [f"{benchmark.benchmark_id} goes for good; its dataset is not touched."]
    if by_itself := benchmark.schedules.count():
        told.append(f"Its {by_itself} schedules go with it." if by_itself > 1 else "Its schedule goes with it.")
    if running:
        told.append(f"{running:,} running evaluation{'s are' if running > 1 else ' is'} cancelled.")
    if ended:
        told.append(f"{ended:,} ended evaluation{'s' if ended > 1 else ''} can still be read.")
    return " ".join(told)


def missing(benchmarks: Sequence[Benchmark]) -> dict[str, str]:
    """Return in words what of benchmarks is not there, by their ids; two queries.

    The API registers a benchmark before its dataset and its scoring functions; either may be deleted afterwards.
    """
    names = {name for one in benchmarks for name in one.scoring_functions}
    datasets = Dataset.objects.shown().filter(dataset_id__in=[one.dataset_id for one in benchmarks])
    known, there = functions.known(list(names)), set(datasets.values_list("dataset_id", flat=True))
    told = {}
    for one in benchmarks:
        lacks = [] if one.dataset_id in there else ["dataset"]
        lacks += ["scorer"] if set(one.scoring_functions) - known.keys() else []
        if lacks:
            told[one.benchmark_id] = f"{' and '.join(lacks).capitalize()} missing"
    return told


def fit_datasets() -> list[Dataset]:
    """Return a few datasets a benchmark can be made of in one step, those that changed last."""
    shown = Dataset.objects.shown().defer("gaps")
    return list(uses.fit_for(shown, uses.EVALUATION).order_by("-updated_at")[:OFFERED])


def of_dataset(dataset_id: str) -> tuple[list[str], int]:
    """Return the newest benchmarks on a dataset, and how many there are."""
    found = Benchmark.objects.filter(dataset_id=dataset_id)
    names = list(found.order_by("-id").values_list("benchmark_id", flat=True)[: NAMED + 1])
    return names[:NAMED], found.count() if len(names) > NAMED else len(names)
