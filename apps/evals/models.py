"""Benchmarks and their schedules, scoring functions of one's own, evaluations and their rows.

An evaluation is a job with a result: the job says whether it runs, its rows say what came of each. Rows are stored as
they are scored, so that a killed worker's evaluation goes on from what is there.
"""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.timezone import now

from apps.core.fields import JSONTextField, SchemaField
from apps.evals import schemas, spread
from apps.evals.querysets import BenchmarkQuerySet, EvaluationQuerySet
from apps.evals.spread import Headline, Json
from apps.jobs.models import Job


class Benchmark(models.Model):
    """A dataset and the functions its answers are scored by."""

    benchmark_id = models.CharField(max_length=255, unique=True)
    dataset_id = models.CharField(max_length=255, db_index=True)
    scoring_functions = JSONTextField(default=list)
    provider_id = models.CharField(max_length=255)
    provider_benchmark_id = models.CharField(max_length=255)
    metadata = JSONTextField(default=dict, blank=True)
    baseline = models.ForeignKey(
        "Evaluation", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text="Held against."
    )
    created_at = models.DateTimeField(default=now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    objects = BenchmarkQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.benchmark_id

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("evals:benchmark-detail", args=[self.benchmark_id])

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


class Every(models.TextChoices):
    """How often a schedule runs."""

    HOUR = "hour", "Every hour"
    SIX_HOURS = "6 hours", "Every 6 hours"
    DAY = "day", "Every day"
    WEEK = "week", "Every week"


class Outcome(models.TextChoices):
    """What came of a schedule when it was due the last time."""

    STARTED = "started", "Started"
    SKIPPED = "skipped", "Skipped"
    FAILED = "failed", "Not started"


class Schedule(models.Model):
    """A benchmark that is run by itself every so often; its times are in UTC."""

    benchmark = models.ForeignKey(Benchmark, on_delete=models.CASCADE, related_name="schedules")
    configs = SchemaField(list[schemas.BenchmarkConfig], help_text="What each of its runs is asked for.")
    every = models.CharField(max_length=8, choices=Every)
    next_at = models.DateTimeField()
    is_paused = models.BooleanField(default=False)
    last_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=8, choices=Outcome, blank=True)
    problem = models.TextField(blank=True, help_text="Why nothing was started the last time.")
    created_at = models.DateTimeField(default=now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        at = f"{self.next_at:%H:%M} UTC"
        words = {
            Every.HOUR: f"Every hour at :{self.next_at:%M}",
            Every.SIX_HOURS: f"Every 6 hours, next at {at}",
            Every.DAY: f"Every day at {at}",
            Every.WEEK: f"Every {self.next_at:%A} at {at}",
        }
        return words[Every(self.every)]

    def get_absolute_url(self) -> str:
        """Return where it stands on its benchmark's page."""
        return f"{self.benchmark.get_absolute_url()}#schedules"


class ScoringFunction(models.Model):
    """A scoring function somebody registered: a built-in one with parameters of its own."""

    scoring_fn_id = models.CharField(max_length=255, unique=True)
    description = models.TextField(blank=True)
    return_type = JSONTextField(default=dict)
    provider_id = models.CharField(max_length=255)
    provider_scoring_fn_id = models.CharField(max_length=255, help_text="The built-in function that runs.")
    params = SchemaField(schemas.ScoringFnParams, null=True, blank=True)
    fails_below = models.FloatField(null=True, blank=True, help_text="The number a row's score fails below.")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.scoring_fn_id

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("evals:scorer-detail", args=[self.scoring_fn_id])


class ScorerCalls(models.Model):
    """Calls of a scoring function within an hour that took about as long as each other; written by ``calls`` alone."""

    hour = models.IntegerField(help_text="Hours since 1970.")
    scoring_fn_id = models.CharField(max_length=255)
    slot = models.SmallIntegerField(help_text="How long they took: see scoring.counting.")
    calls = models.BigIntegerField()
    failed = models.BigIntegerField(help_text="Those that gave no score.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["hour", "scoring_fn_id", "slot"], name="one_count_of_calls"),
        ]

    def __str__(self) -> str:
        return f"{self.calls} of {self.scoring_fn_id}"


class ScorerUse(models.Model):
    """When a scoring function was last called, and its last error; one that never was has none."""

    scoring_fn_id = models.CharField(max_length=255, unique=True)
    called_at = models.DateTimeField()
    error = models.TextField(blank=True)
    failed_at = models.DateTimeField(null=True)

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
    variant = models.CharField(max_length=255, blank=True, help_text="How it was asked, beyond the usual, in words.")
    fingerprint = models.CharField(max_length=16, blank=True, help_text="Equal for candidates asked the same way.")
    schedule_id = models.BigIntegerField(null=True, db_index=True, help_text="The schedule that asked for it.")
    row_total = models.IntegerField(default=0)
    is_partial = models.BooleanField(default=False, help_text="Whether only some of the dataset's rows were wanted.")
    row_count = models.IntegerField(default=0, help_text="Rows that are done.")
    failed_count = models.IntegerField(default=0, help_text="Rows without an answer.")
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    judged = JSONTextField(default=dict, help_text="Calls and tokens of the models that scored, by model.")
    prices = JSONTextField(default=dict, help_text="What tokens cost when it began, of the candidate and of judges.")
    aggregated = JSONTextField(default=dict, help_text="Function id → what its scores come to together.")
    spread = JSONTextField(
        default=dict, help_text="How many rows the sums speak of, and how each function's scores lie."
    )
    created_at = models.DateTimeField(default=now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    objects = EvaluationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["benchmark_id", "id"], name="evaluation_benchmark")]

    def __str__(self) -> str:
        return f"{self.benchmark_id} with {self.candidate}"

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("evals:evaluation-detail", args=[self.job.job_id])

    @property
    def asked(self) -> str:
        """The candidate and how it was asked, in words."""
        return f"{self.candidate} · {self.variant}" if self.variant else self.candidate

    def distribution(self, function: str) -> Json:
        """Return how a function's scores are distributed, as ``spread.of`` does; empty before they are added up."""
        return self.spread.get("functions", {}).get(function) or {}

    def headline(self, function: str) -> Headline:
        """Return the one number a function's scores come to."""
        return spread.headline(self.aggregated.get(function) or {}, self.distribution(function))


class EvaluatedRow(models.Model):
    """One row of an evaluation: what was asked, what was answered, how it was scored."""

    id = models.BigAutoField(primary_key=True)
    evaluation = models.ForeignKey(  # without a constraint: the rows of a deleted one may wait to be removed
        Evaluation, on_delete=models.CASCADE, related_name="rows", db_index=False, db_constraint=False
    )
    position = models.IntegerField(help_text="Place in the evaluation, from 0.")
    row = models.TextField(help_text="The row as it was, as JSON.")
    generation = models.TextField(help_text="The API's generation of this row, as JSON.")
    scores = models.TextField(help_text="Function id → the API's score row, as JSON.")
    error = models.TextField(blank=True)
    duration_ms = models.IntegerField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    is_cut = models.BooleanField(default=False, help_text="The model said that it stopped at its limit of tokens.")
    judged = models.TextField(blank=True, help_text="Calls and tokens of the models that scored it, as JSON.")
    trace_id = models.CharField(max_length=32, blank=True)
    worst = models.FloatField(default=spread.NO_NUMBER, help_text="Its lowest score, for the list with failures first.")
    human = models.FloatField(null=True, help_text="The mean of what people gave it; its HumanScores are the truth.")

    class Meta:
        ordering: ClassVar = ["evaluation_id", "position"]
        indexes: ClassVar = [
            models.Index(fields=["evaluation", "worst", "position"], name="evaluated_rows_worst"),
            models.Index(
                fields=["evaluation", "human"], name="evaluated_rows_human", condition=models.Q(human__isnull=False)
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["evaluation", "position"], name="one_result_for_a_row"),
        ]

    def __str__(self) -> str:
        return f"Row {self.position + 1}"

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("evals:evaluation-row", args=[self.evaluation.job.job_id, self.position + 1])


class HumanScore(models.Model):
    """What one person gave a row: people disagree, so each has a score of their own and the row shows the mean.

    It stands beside the evaluation, by the row's place: the API's result and its job never change with it.
    """

    id = models.BigAutoField(primary_key=True)
    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="human_scores", db_index=False)
    position = models.IntegerField(help_text="The row's place in the evaluation, from 0.")
    score = models.PositiveSmallIntegerField(help_text="1, bad, to 5, good.")
    note = models.TextField(blank=True)
    given_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    given_at = models.DateTimeField(default=now)

    class Meta:
        ordering: ClassVar = ["evaluation_id", "position", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["evaluation", "position", "given_by"], name="one_human_score_for_a_person"),
            models.CheckConstraint(condition=models.Q(score__gte=1, score__lte=5), name="human_score_1_to_5"),
        ]

    def __str__(self) -> str:
        return f"{self.score} for row {self.position + 1}"

    def get_absolute_url(self) -> str:
        """Return the address of the page of its row."""
        return reverse("evals:evaluation-row", args=[self.evaluation.job.job_id, self.position + 1])
