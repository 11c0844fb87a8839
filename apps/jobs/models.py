"""Jobs, what they wrote down, and the workers: tables, and every transition as one conditional UPDATE.

Whoever runs a job holds its lease: a name no other run of any job ever had. Each write of a run names its lease, so a
worker that was believed dead, and the job given to another, can change nothing any more.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils.timezone import now

from apps.core.fields import FastJSONField
from apps.core.ids import new_id
from apps.core.process import is_dead

UPKEEP = "upkeep"  # the kind of jobs nobody asked for: they are due every so often
QUEUES = {"default": "Default", "eval": "Evaluation", "gpu": "Training"}
LEASE_S = 20
BEAT_S = 4
DEAD_S = 10  # silence after which a process that this host does not know is taken for dead, before its lease ends
SILENT_S = 15  # a worker that did not beat for so long is shown as lost
FAILED_SHOWN = timedelta(hours=24)  # for how long a failure counts in the menu
LOST = "The worker that ran this job was stopped in the middle, and it was the last attempt."


class Status(models.TextChoices):
    """Where a job is; the last three never change."""

    SCHEDULED = "scheduled", "Scheduled"
    IN_PROGRESS = "in_progress", "In progress"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


ACTIVE = (Status.SCHEDULED, Status.IN_PROGRESS)
_FREE: dict[str, Any] = {"lease_owner": "", "lease_until": None}


class JobQuerySet(models.QuerySet["Job"]):
    """Reads of jobs, and their transitions."""

    def active(self) -> "JobQuerySet":
        """Jobs that have not ended."""
        return self.filter(status__in=ACTIVE)

    def held(self, lease: str) -> "JobQuerySet":
        """The job that is run under this lease; none when the lease was lost."""
        return self.filter(lease_owner=lease, status=Status.IN_PROGRESS)

    def due(self, queues: Iterable[str]) -> "JobQuerySet":
        """Jobs that could be begun now, in the order in which they should be."""
        rows = self.filter(status=Status.SCHEDULED, queue__in=list(queues), run_after__lte=now())
        return rows.order_by("-priority", "id")

    def unanswered_failures(self) -> "JobQuerySet":
        """Jobs that failed lately and were not tried again by anybody."""
        again = Job.objects.filter(retry_of=OuterRef("pk"))
        return self.filter(~Exists(again), status=Status.FAILED, completed_at__gt=now() - FAILED_SHOWN)

    def claim_next(self, queues: Iterable[str], worker: str) -> "Job | None":
        """Take the lease of the next job; None when none waits. Of several who try, one wins."""
        while waiting := list(self.due(queues).values_list("pk", flat=True)[:8]):
            for pk in waiting:
                lease, at = f"{worker}#{new_id()[:8]}", now()
                taken = self.filter(pk=pk, status=Status.SCHEDULED).update(
                    status=Status.IN_PROGRESS,
                    worker=worker,
                    lease_owner=lease,
                    lease_until=at + timedelta(seconds=LEASE_S),
                    heartbeat_at=at,
                    attempt=F("attempt") + 1,
                    idle_attempts=F("idle_attempts") + 1,
                    started_at=Coalesce("started_at", at),
                )
                if taken:
                    return self.get(pk=pk)
        return None

    def beat(self, leases: list[str]) -> int:
        """Prolong these leases; fewer rows than leases were changed when some were lost."""
        beaten = {"heartbeat_at": now(), "lease_until": now() + timedelta(seconds=LEASE_S)}
        return self.filter(lease_owner__in=leases, status=Status.IN_PROGRESS).update(**beaten)

    def end(self, lease: str, status: Status, *, result: Any = None, error: str = "") -> bool:
        """End a job; False when somebody else holds it by now."""
        ended = {"status": status, "result": result, "error": error, "completed_at": now()}
        return self.held(lease).update(**ended, **_FREE) == 1

    def give_back(self, lease: str, *, wait_s: float = 0, error: str = "", counts: bool = True) -> bool:
        """Let any worker take the job up again after ``wait_s``; an attempt that does not count is given back too.

        A job that somebody cancelled meanwhile ends here.
        """
        asked = Q(cancel_requested=True)
        changes: dict[str, Any] = {
            "status": Case(When(asked, then=Value(Status.CANCELLED)), default=Value(Status.SCHEDULED)),
            "completed_at": Case(When(asked, then=Value(now())), default=None),
            "run_after": now() + timedelta(seconds=wait_s),
            "error": error,
        }
        if not counts:
            changes |= {"attempt": F("attempt") - 1, "idle_attempts": F("idle_attempts") - 1}
        return self.held(lease).update(**changes, **_FREE) == 1

    def reap(self) -> "list[Job]":
        """Free the jobs whose worker is gone, or end those that had their last attempt; return them as they were."""
        workers = self.filter(status=Status.IN_PROGRESS).order_by().values_list("worker", flat=True).distinct()
        dead = [worker for worker in workers if is_dead(worker)]
        # A process of another container with our host's name looks dead from here, but it beats.
        at = now()
        silent = Q(worker__in=dead, heartbeat_at__lt=at - timedelta(seconds=DEAD_S))
        lost = list(self.filter(Q(lease_until__lt=at) | silent, status=Status.IN_PROGRESS))
        if not lost:
            return []
        asked, last = Q(cancel_requested=True), Q(idle_attempts__gte=F("max_attempts"))
        held = Q(lease_owner__in=[job.lease_owner for job in lost], status=Status.IN_PROGRESS)
        self.filter(held, Q(lease_until__lt=at) | silent).update(
            status=Case(
                When(asked, then=Value(Status.CANCELLED)),
                When(last, then=Value(Status.FAILED)),
                default=Value(Status.SCHEDULED),
            ),
            error=Case(When(last & ~asked, then=Value(LOST)), default=Value("")),
            completed_at=Case(When(asked | last, then=Value(at)), default=None),
            run_after=at,
            **_FREE,
        )
        return lost


class Job(models.Model):
    """Work that outlives a request."""

    id = models.BigAutoField(primary_key=True)
    job_id = models.CharField(max_length=36, unique=True, default=new_id, editable=False)
    work = models.CharField(max_length=200, help_text="Dotted path of the function that does it; always from code.")
    kind = models.CharField(max_length=60)
    title = models.CharField(max_length=200)
    about_kind = models.CharField(max_length=40, blank=True)
    about_id = models.CharField(max_length=255, blank=True)
    queue = models.CharField(max_length=16, choices=QUEUES, default="default")
    priority = models.SmallIntegerField(default=0)
    is_isolated = models.BooleanField(default=False, help_text="Runs in a child process that can be killed.")
    status = models.CharField(max_length=16, choices=Status, default=Status.SCHEDULED)
    attempt = models.PositiveSmallIntegerField(default=0)
    idle_attempts = models.PositiveSmallIntegerField(default=0, help_text="Attempts from the last that got on.")
    max_attempts = models.PositiveSmallIntegerField(default=3)
    run_after = models.DateTimeField(default=now)
    worker = models.CharField(max_length=200, blank=True, help_text="Who runs it, or did last.")
    lease_owner = models.CharField(max_length=220, blank=True, db_index=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    cancel_requested = models.BooleanField(default=False)
    progress = FastJSONField(default=dict, blank=True)
    checkpoint = FastJSONField(null=True, blank=True)
    arguments = FastJSONField(default=dict, blank=True)
    result = FastJSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    retry_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="retries")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    scheduled_at = models.DateTimeField(default=now)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["status", "queue", "-priority", "id"], name="jobs_due"),
            models.Index(fields=["status", "id"], name="jobs_of_status"),
            models.Index(fields=["kind", "id"], name="jobs_of_kind"),
            models.Index(fields=["about_kind", "about_id"], name="jobs_about"),
            models.Index(fields=["status", "completed_at"], name="jobs_ended"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(status__in=Status.values), name="jobs_known_status"),
            models.CheckConstraint(condition=Q(priority__range=(-100, 100)), name="jobs_priority_range"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_active(self) -> bool:
        """Whether it may still change."""
        return self.status in ACTIVE

    @property
    def last_attempt(self) -> int:
        """Which attempt is the last one, unless it stores progress: then it has as many again."""
        return self.attempt + max(0, self.max_attempts - self.idle_attempts)

    @property
    def topic(self) -> str:
        """The live topic of this job."""
        return f"job:{self.job_id}"

    @property
    def state(self) -> str:
        """The name of its state in the pages' table of states."""
        if self.status == Status.SCHEDULED:
            return "queued"
        if self.status == Status.IN_PROGRESS:
            return "stopping" if self.cancel_requested else "running"
        return self.status

    @property
    def word(self) -> str:
        """The word of its state where the usual one would mislead: a turn is stopped, a job is cancelled."""
        return "Cancelled" if self.status == Status.CANCELLED else ""

    @property
    def share(self) -> float | None:
        """How much is done, between 0 and 1; None when nobody knows."""
        done, total = self.progress.get("done"), self.progress.get("total")
        return min(1.0, max(0.0, done / total)) if done is not None and total else None

    @property
    def waited_s(self) -> float:
        """Seconds from being asked for to being begun."""
        return ((self.started_at or self.completed_at or now()) - self.scheduled_at).total_seconds()

    @property
    def ran_s(self) -> float | None:
        """Seconds since it was begun, until its end; None when it never was."""
        return ((self.completed_at or now()) - self.started_at).total_seconds() if self.started_at else None


class JobLine(models.Model):
    """A line of a job's log; old ones go when there are many."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="lines")
    at = models.DateTimeField(default=now)
    level = models.CharField(max_length=8, default="info")
    text = models.TextField()

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["job", "id"], name="jobs_lines")]

    def __str__(self) -> str:
        return self.text


class Periodic(models.Model):
    """Work that is due every so often, and when it was last asked for."""

    work = models.CharField(max_length=200, unique=True)
    last_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.work


class WorkerQuerySet(models.QuerySet["Worker"]):
    """Reads of workers."""

    def shown(self) -> "WorkerQuerySet":
        """Workers that live, and those that ended within a day."""
        return self.filter(heartbeat_at__gt=now() - timedelta(days=1)).order_by("-started_at")


class Worker(models.Model):
    """A process that runs jobs, as it last told of itself."""

    id = models.BigAutoField(primary_key=True)
    worker_id = models.CharField(max_length=200, unique=True)
    queues = models.CharField(max_length=100)
    is_embedded = models.BooleanField(default=False, help_text="Runs inside a web process.")
    is_draining = models.BooleanField(default=False, help_text="Finishes what it runs and takes nothing new.")
    memory = models.BigIntegerField(default=0)
    started_at = models.DateTimeField(default=now)
    heartbeat_at = models.DateTimeField(default=now)
    stopped_at = models.DateTimeField(null=True, blank=True)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-started_at"]

    def __str__(self) -> str:
        host, _, pid = self.worker_id.partition(":")
        return f"{host} · {pid.partition(':')[0]}"

    @property
    def state(self) -> str:
        """The name of its state in the pages' table of states."""
        if self.stopped_at:
            return "stopped"
        if now() - self.heartbeat_at > timedelta(seconds=SILENT_S) or is_dead(self.worker_id):
            return "lost"
        return "draining" if self.is_draining else "healthy"
