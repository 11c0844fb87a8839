"""The way to an object by its id or name, for people who have one from a log, a message or the API."""

from dataclasses import dataclass
from urllib.parse import quote

from django.db.models import Q

from apps.agents.models import Agent, Session, Step, Turn
from apps.datasets.models import Dataset
from apps.evals.models import Benchmark, Evaluation
from apps.inference.models import Model
from apps.providers.models import Provider
from apps.telemetry.models import Span, Trace
from apps.telemetry.traces.naming import names_of

SHOWN = 10


@dataclass(frozen=True)
class Found:
    """An object somebody may have meant."""

    kind: str
    name: str
    about: str
    path: str


def place_of(kind: str, name: str) -> str | None:
    """Return the address of an object's page; None when there is no such object or kind."""
    finders = {
        "agent": _agent, "session": _session, "turn": _turn, "step": _step, "model": _model, "provider": _provider,
        "trace": _trace, "span": _span, "dataset": _dataset, "benchmark": _benchmark, "evaluation": _evaluation,
    }  # fmt: skip
    finder = finders.get(kind)
    return finder(name) if finder else None


def find(words: str) -> list[Found]:
    """Return the objects named or numbered so, the best known kinds first."""
    kinds = (_agents, _sessions, _turns, _traces, _benchmarks, _evaluations, _models)
    return [one for kind in kinds for one in kind(words)]


def _agent(name: str) -> str | None:
    return f"/agents/{name}/" if Agent.objects.filter(agent_id=name).exists() else None


def _session(name: str) -> str | None:
    session = Session.objects.select_related("agent").filter(session_id=name).first()
    return _chat(session) if session else None


def _turn(name: str) -> str | None:
    turn = Turn.objects.select_related("session__agent").filter(turn_id=name).first()
    return f"{_chat(turn.session)}#turn-{turn.turn_id}" if turn else None


def _step(name: str) -> str | None:
    step = Step.objects.select_related("turn__session__agent").filter(step_id=name).first()
    return f"{_chat(step.turn.session)}#turn-{step.turn.turn_id}" if step else None


def _model(name: str) -> str | None:
    return f"/models/{quote(name)}/" if Model.objects.filter(identifier=name).exists() else None


def _provider(name: str) -> str | None:
    return f"/providers/{quote(name)}/" if Provider.objects.filter(provider_id=name).exists() else None


def _trace(name: str) -> str | None:
    return f"/traces/{name}/" if Trace.objects.filter(trace_id=name).exists() else None


def _span(name: str) -> str | None:
    span = Span.objects.select_related("trace").filter(span_id=name).order_by("-pk").first()
    return f"/traces/{span.trace.trace_id}/?span={span.span_id}" if span else None


def _dataset(name: str) -> str | None:
    return f"/datasets/{quote(name)}/" if Dataset.objects.filter(dataset_id=name).exists() else None


def _benchmark(name: str) -> str | None:
    return f"/benchmarks/{quote(name)}/" if Benchmark.objects.filter(benchmark_id=name).exists() else None


def _evaluation(name: str) -> str | None:
    return f"/evaluations/{name}/" if Evaluation.objects.filter(job__job_id=name).exists() else None


def _chat(session: Session) -> str:
    return f"/chat/{session.agent.agent_id}/{session.session_id}/"


def _agents(words: str) -> list[Found]:
    rows = Agent.objects.filter(Q(agent_id__startswith=words) | Q(name__icontains=words)).order_by("-id")[:SHOWN]
    return [Found("Agent", str(row), row.model, f"/agents/{row.agent_id}/") for row in rows]


def _sessions(words: str) -> list[Found]:
    rows = Session.objects.select_related("agent").filter(
        Q(session_id__startswith=words) | Q(session_name__icontains=words)
    )
    return [Found("Session", str(row), str(row.agent), _chat(row)) for row in rows.order_by("-id")[:SHOWN]]


def _turns(words: str) -> list[Found]:
    rows = Turn.objects.select_related("session__agent").filter(Q(turn_id__startswith=words) | Q(trace_id=words))
    return [
        Found("Turn", str(row), str(row.session), f"{_chat(row.session)}#turn-{row.turn_id}")
        for row in rows.order_by("-id")[:SHOWN]
    ]


def _traces(words: str) -> list[Found]:
    rows = list(Trace.objects.filter(trace_id=words.lower()))
    names = names_of(rows)
    return [Found("Trace", names[row.trace_id].title, row.service, f"/traces/{row.trace_id}/") for row in rows]


def _benchmarks(words: str) -> list[Found]:
    rows = Benchmark.objects.filter(benchmark_id__icontains=words).order_by("-id")[:SHOWN]
    return [Found("Benchmark", str(row), row.dataset_id, f"/benchmarks/{quote(str(row))}/") for row in rows]


def _evaluations(words: str) -> list[Found]:
    rows = Evaluation.objects.select_related("job").filter(job__job_id__startswith=words).order_by("-id")[:SHOWN]
    return [
        Found("Evaluation", str(row), row.job.get_status_display(), f"/evaluations/{row.job.job_id}/") for row in rows
    ]


def _models(words: str) -> list[Found]:
    rows = Model.objects.filter(identifier__icontains=words).order_by("identifier")[:SHOWN]
    return [
        Found("Model", row.identifier, row.get_model_type_display(), f"/models/{quote(row.identifier)}/")
        for row in rows
    ]
