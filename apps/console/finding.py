"""The way to an object by its id or name, for people who have one from a log, a message or the API."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.urls import reverse

from apps.agents.models import Agent, Session, Step, Turn
from apps.datasets.models import Dataset
from apps.evals.models import Benchmark, Evaluation, ScoringFunction
from apps.evals.scoring.catalog import BUILT_IN
from apps.inference.models import Model
from apps.providers.models import Provider
from apps.telemetry.models import Span, Trace
from apps.telemetry.traces.naming import names_of

SHOWN = 10
# What an object of a kind is known by.
KEYS: dict[str, tuple[Any, str]] = {
    "agent": (Agent.objects, "agent_id"),
    "session": (Session.objects, "session_id"),
    "turn": (Turn.objects, "turn_id"),
    "step": (Step.objects, "step_id"),
    "model": (Model.objects, "identifier"),
    "provider": (Provider.objects, "provider_id"),
    "trace": (Trace.objects, "trace_id"),
    "span": (Span.objects, "span_id"),
    "dataset": (Dataset.objects, "dataset_id"),
    "benchmark": (Benchmark.objects, "benchmark_id"),
    "evaluation": (Evaluation.objects, "job__job_id"),
    "scorer": (ScoringFunction.objects, "scoring_fn_id"),
}


@dataclass(frozen=True)
class Found:
    """An object somebody may have meant."""

    kind: str
    name: str
    about: str
    path: str


def place_of(kind: str, name: str) -> str | None:
    """Return the address of an object's page; None when there is no such object or kind."""
    if kind == "scorer" and name in BUILT_IN:
        return reverse("evals:scorer-detail", args=[name])
    if kind not in KEYS:
        return None
    rows, key = KEYS[kind]
    row = rows.filter(**{key: name}).order_by("-pk").first()
    return str(row.get_absolute_url()) if row else None


def find(words: str) -> list[Found]:
    """Return the objects named or numbered so, the best known kinds first."""
    kinds = (_agents, _sessions, _turns, _traces, _benchmarks, _evaluations, _models)
    return [one for kind in kinds for one in kind(words)]


def _agents(words: str) -> list[Found]:
    rows = Agent.objects.filter(Q(agent_id__startswith=words) | Q(name__icontains=words)).order_by("-id")[:SHOWN]
    return [Found("Agent", str(row), row.model, row.get_absolute_url()) for row in rows]


def _sessions(words: str) -> list[Found]:
    rows = Session.objects.select_related("agent").filter(
        Q(session_id__startswith=words) | Q(session_name__icontains=words)
    )
    return [Found("Session", str(row), str(row.agent), row.get_absolute_url()) for row in rows.order_by("-id")[:SHOWN]]


def _turns(words: str) -> list[Found]:
    rows = Turn.objects.select_related("session__agent").filter(Q(turn_id__startswith=words) | Q(trace_id=words))
    return [Found("Turn", str(row), str(row.session), row.get_absolute_url()) for row in rows.order_by("-id")[:SHOWN]]


def _traces(words: str) -> list[Found]:
    rows = list(Trace.objects.filter(trace_id=words.lower()))
    names = names_of(rows)
    return [Found("Trace", names[row.trace_id].title, row.service, row.get_absolute_url()) for row in rows]


def _benchmarks(words: str) -> list[Found]:
    rows = Benchmark.objects.filter(benchmark_id__icontains=words).order_by("-id")[:SHOWN]
    return [Found("Benchmark", str(row), row.dataset_id, row.get_absolute_url()) for row in rows]


def _evaluations(words: str) -> list[Found]:
    rows = Evaluation.objects.select_related("job").filter(job__job_id__startswith=words).order_by("-id")[:SHOWN]
    return [Found("Evaluation", str(row), row.job.get_status_display(), row.get_absolute_url()) for row in rows]


def _models(words: str) -> list[Found]:
    rows = Model.objects.filter(identifier__icontains=words).order_by("identifier")[:SHOWN]
    return [Found("Model", row.identifier, row.get_model_type_display(), row.get_absolute_url()) for row in rows]
