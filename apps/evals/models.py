"""Benchmarks, scoring functions of one's own, evaluations and their rows.

An evaluation is a job with a result: the job says whether it runs, its rows say what came of each. Rows are stored as
they are scored, so that a killed worker's evaluation goes on from what is there.
"""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.timezone import now

from apps.core.errors import NotFound
from apps.core.fields import JSONTextField, SchemaField
from apps.evals import schemas, spread
from apps.jobs.models import Job


class BenchmarkQuerySet(models.QuerySet["Benchmark"]):
    """Reads of benchmarks."""

    def named(self, benchmark_id: str) -> "Benchmark":
        """Return the benchmark; raises NotFound."""
        found = self.filter(benchmark_id=benchmark_id).first() if "\0" not in benchmark_id else None
        if found is None:
            raise NotFound(f"Benchmark '{benchmark_id}' not found")
        return found


class Benchmark(models.Model):
    """A dataset and the functions its answers are scored by."""

    benchmark_id = models.CharField(max_length=255, unique=True)
    dataset_id = models.CharField(max_length=255, db_index=True)
    scoring_functions = JSONTextField(default=list)
    provider_id = models.CharField(max_length=255)
    provider_benchmark_id = models.CharField(max_length=255)
    metadata = JSONTextField(default=dict, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    objects = BenchmarkQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.benchmark_id

    def as_schema(self) -> schemas.Benchmark:
        """Return the benchmark as the API tells it."""
        return schemas.Benchmark(
            identifier=self.benchmark_id,
            provider_resource_id=self.provider_benchmark_id,
            provider_id=self.provider_id,
            dataset_id=self.dataset_id,
            scoring_functions=self.scoring_functions,
            metadata=self.metadata,
        )


class ScoringFunction(models.Model):
    """A scoring function somebody registered: a built-in one with parameters of its own."""

    scoring_fn_id = models.CharField(max_length=255, unique=True)
    description = models.TextField(blank=True)
    return_type = JSONTextField(default=dict)
    provider_id = models.CharField(max_length=255)
    provider_scoring_fn_id = models.CharField(max_length=255, help_text="The built-in function that runs.")
    params = SchemaField(schemas.ScoringFnParams, null=True, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.scoring_fn_id


class Evaluation(models.Model):
    """One run of a benchmark. What it was asked for stands here, whatever becomes of the benchmark afterwards."""

    id = models.BigAutoField(primary_key=True)
    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="evaluation")
    benchmark_id = models.CharField(max_length=255, db_index=True)
    dataset_id = models.CharField(max_length=255)
    config = SchemaField(schemas.BenchmarkConfig)
    scoring = JSONTextField(default=dict, help_text="Function id → the parameters of this run.")
    candidate = models.CharField(max_length=255, help_text="Model or agent, in words.")
    row_total = models.IntegerField(default=0)
    row_count = models.IntegerField(default=0, help_text="Rows that are done.")
    failed_count = models.IntegerField(default=0, help_text="Rows without an answer.")
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    aggregated = JSONTextField(default=dict, help_text="Function id → what its scores come to together.")
    spread = JSONTextField(
        default=dict, help_text="How many rows the sums speak of, and how each function's scores lie."
    )
    created_at = models.DateTimeField(default=now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["benchmark_id", "id"], name="evaluation_benchmark")]

    def __str__(self) -> str:
        return f"{self.benchmark_id} with {self.candidate}"


class EvaluatedRow(models.Model):
    """One row of an evaluation: what was asked, what was answered, how it was scored."""

    id = models.BigAutoField(primary_key=True)
    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="rows", db_index=False)
    position = models.IntegerField(help_text="Place in the evaluation, from 0.")
    row = models.TextField(help_text="The row as it was, as JSON.")
    generation = models.TextField(help_text="The API's generation of this row, as JSON.")
    scores = models.TextField(help_text="Function id → the API's score row, as JSON.")
    error = models.TextField(blank=True)
    duration_ms = models.IntegerField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    trace_id = models.CharField(max_length=32, blank=True)
    worst = models.FloatField(default=spread.NO_NUMBER, help_text="Its lowest score, for the list with failures first.")

    class Meta:
        ordering: ClassVar = ["evaluation_id", "position"]
        indexes: ClassVar = [models.Index(fields=["evaluation", "worst", "position"], name="evaluated_rows_worst")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["evaluation", "position"], name="one_result_for_a_row"),
        ]

    def __str__(self) -> str:
        return f"Row {self.position + 1}"
