"""The numbers and rows of the first page, in a fixed number of queries however much there is."""

from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import async_to_sync
from django.db.models import Count, Exists, F, OuterRef, Subquery, Sum
from django.utils.timezone import now

from apps.accounts.models import User
from apps.agents.models import Agent, Pending, Session, Status, Turn
from apps.console.numbers import DAY, Numbers, numbers
from apps.core import live
from apps.evals.models import Evaluation
from apps.inference.models import Model, ModelType
from apps.jobs.models import Job
from apps.jobs.models import Status as JobStatus
from apps.providers.models import Provider

SHOWN = 5
BEGINNING = 100  # turns after which nobody needs the card with the first steps
TOPICS = ("turns", "waiting", "providers", "jobs")


@dataclass(frozen=True)
class Overview:
    """What the first page shows, and the numbers of the live topics it was true at."""

    live_numbers: str
    numbers: Numbers
    waiting: list[Pending]
    running: list[Turn]
    failed: list[Turn]
    running_jobs: list[Job]
    failed_jobs: list[Job]
    sessions: list[Session]
    providers: list[Provider]
    steps: list["Step"] = field(default_factory=list)

    topics = " ".join(TOPICS)

    @property
    def is_started(self) -> bool:
        """Whether the card with the first steps has done its work."""
        return all(step.is_done for step in self.steps)


@dataclass(frozen=True)
class Step:
    """One of the first steps; it is done when the rows say so."""

    name: str
    text: str
    path: str
    is_done: bool


def overview() -> Overview:
    """Return the first page's content, read from the rows."""
    live_numbers = " ".join(str(async_to_sync(live.head)(topic)) for topic in TOPICS)  # before the rows are read
    since = now() - DAY
    turns = Turn.objects.select_related("session__agent")
    sessions = list(_sessions())
    jobs = Job.objects.order_by("-id").defer("arguments", "checkpoint", "result")
    waiting = Pending.objects.filter(turn__status=Status.WAITING).select_related("turn__session__agent")
    return Overview(
        live_numbers=live_numbers,
        numbers=numbers(since),
        waiting=list(waiting.order_by("asked_at")[:SHOWN]),
        running=list(turns.filter(status=Status.RUNNING).order_by("-id")[:SHOWN]),
        failed=list(turns.filter(status=Status.FAILED, started_at__gte=since).order_by("-id")[:SHOWN]),
        running_jobs=list(jobs.filter(status=JobStatus.IN_PROGRESS)[:SHOWN]),
        failed_jobs=list(jobs.unanswered_failures()[:SHOWN]),
        sessions=sessions,
        providers=list(Provider.objects.order_by("provider_id")),
        steps=_steps(sessions[0] if sessions else None),
    )


def _sessions() -> Any:
    last = Turn.objects.filter(session=OuterRef("pk")).order_by("-id")
    rows = Session.objects.select_related("agent").order_by("-last_used_at")[:SHOWN]
    # Counted only for the few sessions shown: a join over all turns would grow with the history.
    turns = Turn.objects.filter(session=OuterRef("pk")).order_by().values("session")
    return rows.annotate(
        last_status=Subquery(last.values("status")[:1]),
        turn_count=Subquery(turns.annotate(n=Count("pk")).values("n")),
        tokens=Subquery(turns.annotate(n=Sum(F("input_tokens") + F("output_tokens"))).values("n")),
    )


def _steps(last: Session | None) -> list[Step]:
    if Turn.objects.order_by("id")[BEGINNING : BEGINNING + 1].exists():
        return []
    chat = f"/chat/{last.agent.agent_id}/{last.session_id}/" if last else "/chat/"
    steps = (
        ("Model", "a language model answers", "/models/", Model.objects.offered().filter(model_type=ModelType.LLM)),
        ("Agent", "who answers, and how", "/agents/new/", Agent.objects.all()),
        ("Chat", "ask, and watch each step", chat, Turn.objects.filter(status=Status.COMPLETED)),
        ("Answer a tool call", "the agent asks, you answer", "/waiting/", Turn.objects.exclude(answered_by="")),
        (
            "Evaluate",
            "know how good it is",
            "/evaluations/new/",
            Evaluation.objects.filter(job__status=JobStatus.COMPLETED),
        ),
    )
    # All of it in one query, beside a row that is always there: whoever looks has an account.
    asked = User.objects.order_by().values_list(*(Exists(rows.order_by()) for *_, rows in steps))
    done = next(iter(asked[:1]), [False] * len(steps))
    return [Step(name, text, path, is_done) for (name, text, path, _), is_done in zip(steps, done, strict=True)]
