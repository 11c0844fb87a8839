"""Datasets and their rows.

A row is kept as the JSON text it came as: no database's idea of JSON decides which numbers, key orders or characters
survive. ``row_count`` and ``next_position`` stand on the dataset, so that nothing ever counts rows or skips over them.
"""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.timezone import now

from apps.core.errors import BadRequest, NotFound
from apps.core.fields import JSONTextField
from apps.datasets.positions import Places
from apps.jobs.models import Job


class Purpose(models.TextChoices):
    """What a dataset is for."""

    TRAINING = "post-training/messages", "training messages"
    QUESTIONS = "eval/question-answer", "questions and answers"
    MESSAGES = "eval/messages-answer", "messages and answers"


class State(models.TextChoices):
    """Whether the rows are all there."""

    READY = "ready"
    LOADING = "loading"
    FAILED = "failed"
    HIDDEN = "hidden"  # deleted, or rows on their way into another dataset


class DatasetQuerySet(models.QuerySet["Dataset"]):
    """Reads of datasets."""

    def shown(self) -> "DatasetQuerySet":
        """Return those that exist for whoever asks."""
        return self.exclude(state=State.HIDDEN)

    def named(self, dataset_id: str) -> "Dataset":
        """Return the dataset; raises NotFound."""
        found = self.shown().filter(dataset_id=dataset_id).first() if "\0" not in dataset_id else None
        if found is None:
            raise NotFound(f"Dataset '{dataset_id}' not found")
        return found


class Dataset(models.Model):
    """A named list of rows."""

    id = models.BigAutoField(primary_key=True)
    dataset_id = models.CharField(max_length=255, unique=True)
    purpose = models.CharField(max_length=30, choices=Purpose.choices)
    source = JSONTextField(default=dict, help_text="Where the rows came from; rows themselves are kept one by one.")
    metadata = JSONTextField(default=dict, blank=True)
    warning = models.TextField(blank=True, help_text="Why the first rows do not fit the purpose.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.READY, db_index=True)
    load_error = models.TextField(blank=True)
    job_id = models.CharField(max_length=36, blank=True, help_text="The job that loads the rows.")
    read_from = JSONTextField(default=dict, blank=True, help_text="Size, hash and time of what was read.")
    row_count = models.BigIntegerField(default=0, editable=False)
    next_position = models.BigIntegerField(default=0, editable=False)
    size_bytes = models.BigIntegerField(default=0, editable=False)
    gaps = JSONTextField(default=list, editable=False)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.dataset_id

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("datasets:dataset-detail", args=[self.dataset_id])

    @property
    def topic(self) -> str:
        """The live topic on which changes of the rows are announced."""
        return f"dataset:{self.pk}"

    @property
    def places(self) -> Places:
        """Where its rows stand, by the gaps it has now; keep it while many are looked up."""
        return Places(self.gaps)

    @property
    def has_rows_source(self) -> bool:
        """Whether the rows were sent with the registration."""
        return bool(self.source.get("type") == "rows")

    @property
    def provider_id(self) -> str:
        """The provider as clients expect to read it."""
        given = self.metadata.get("provider_id")
        if isinstance(given, str) and given:
            return given
        return "huggingface" if str(self.source.get("uri", "")).startswith("huggingface://") else "localfs"

    @property
    def told_metadata(self) -> dict[str, Any]:
        """The metadata as given, with the warning of the check when there is one."""
        told = dict(self.metadata)
        if self.warning:
            told["validation"] = {"warning": self.warning}
        return told

    def check_readable(self) -> None:
        """Raise BadRequest while the rows are not all here, or never came."""
        if self.state == State.READY:
            return
        job = Job.objects.filter(job_id=self.job_id).first() if self.state == State.LOADING else None
        if self.state == State.LOADING and (job is None or job.is_active):
            raise BadRequest(f"Dataset '{self.dataset_id}' is still being loaded by job {self.job_id}.")
        why = self.load_error or (job.error if job else "") or "the job that loads it was stopped."
        raise BadRequest(f"Dataset '{self.dataset_id}' could not be loaded: {why}")

    def facts(self) -> dict[str, Any]:
        """Return the fields of the API's Dataset, without the rows of its source."""
        source = {"type": "rows", "rows": []} if self.has_rows_source else self.source
        return {
            "identifier": self.dataset_id,
            "provider_resource_id": self.dataset_id,
            "provider_id": self.provider_id,
            "type": "dataset",
            "purpose": self.purpose,
            "metadata": self.told_metadata,
            "source": source,
        }


class Row(models.Model):
    """One row: a JSON object as text, at a position that never changes."""

    id = models.BigAutoField(primary_key=True)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="rows", db_index=False)
    position = models.BigIntegerField()
    content = models.TextField()
    origin = JSONTextField(null=True, blank=True, help_text="The turn or span the row was made of.")

    class Meta:
        ordering: ClassVar = ["dataset_id", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["dataset", "position"], name="one_row_at_a_position"),
        ]

    def __str__(self) -> str:
        return f"Row at {self.position}"

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("datasets:row-detail", args=[self.dataset.dataset_id, self.position + 1])


class Addition(models.Model):
    """Rows that came together: from when, from whom, and how."""

    id = models.BigAutoField(primary_key=True)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="additions", db_index=False)
    start = models.BigIntegerField()
    count = models.BigIntegerField()
    how = models.CharField(max_length=12, default="api")
    about = models.TextField(blank=True, help_text="The file's name, or the address.")
    by = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField(default=now)

    class Meta:
        ordering: ClassVar = ["dataset_id", "start"]
        indexes: ClassVar = [models.Index(fields=["dataset", "start"], name="addition_start")]

    def __str__(self) -> str:
        return f"{self.count} rows by {self.how}"


class Upload(models.Model):
    """A file on its way in, sent in parts; what arrived is kept in the data folder until it is loaded or given up."""

    id = models.BigAutoField(primary_key=True)
    upload_id = models.CharField(max_length=36, unique=True)
    name = models.CharField(max_length=255)
    size = models.BigIntegerField()
    received = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=now)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return self.name
