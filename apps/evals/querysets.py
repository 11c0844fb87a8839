"""Reads of benchmarks and of evaluations."""

from typing import TYPE_CHECKING

from django.db import models

from apps.core.errors import NotFound
from apps.jobs.models import Status

if TYPE_CHECKING:
    from apps.evals.models import Benchmark, Evaluation  # noqa: F401 (named in quotation marks)


class BenchmarkQuerySet(models.QuerySet["Benchmark"]):
    """Reads of benchmarks."""

    def named(self, benchmark_id: str) -> "Benchmark":
        """Return the benchmark; raises NotFound."""
        found = self.filter(benchmark_id=benchmark_id).first() if "\0" not in benchmark_id else None
        if found is None:
            raise NotFound(f"Benchmark '{benchmark_id}' not found")
        return found

    def locked(self, benchmark_id: str) -> "Benchmark":
        """Return the benchmark, which nobody else runs or deletes until the transaction ends; raises NotFound."""
        return self.select_for_update(no_key=True).named(benchmark_id)

    def with_baseline(self, benchmark_id: str) -> "Benchmark | None":
        """Return the benchmark together with its baseline; None when it was deleted."""
        rows = self.select_related("created_by", "baseline__job").defer("baseline__config")
        return rows.filter(benchmark_id=benchmark_id).first() if "\0" not in benchmark_id else None


class EvaluationQuerySet(models.QuerySet["Evaluation"]):
    """Reads of evaluations."""

    def listed(self) -> "EvaluationQuerySet":
        """Evaluations with their jobs, without what each was asked for: that may be long."""
        return self.select_related("job").defer("config")

    def completed(self) -> "EvaluationQuerySet":
        """Evaluations that ran to their end."""
        return self.filter(job__status=Status.COMPLETED)

    def newest_of_each(self, *fields: str) -> "EvaluationQuerySet":
        """Of those that agree in these fields, the newest ones."""
        newest = self.order_by().values(*fields).annotate(newest=models.Max("pk"))
        return self.model.objects.filter(pk__in=newest.values("newest"))
