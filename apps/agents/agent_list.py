"""The list of agents: filter words, and the numbers beside each agent in a fixed number of queries."""

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Max, Q, QuerySet

from apps.agents import known, models
from apps.core.spec import did_you_mean

WORDS = ("model", "tool", "shield")
LONGEST = 200  # characters of a filter


@dataclass(frozen=True)
class Chip:
    """One word of the filter and the address without it."""

    text: str
    without: str


@dataclass(frozen=True)
class Filter:
    """What a filter text asks for."""

    text: str
    rows: QuerySet[models.Agent]
    chips: list[Chip]
    objections: list[str]


def matching(text: str) -> Filter:
    """Return the agents a filter text describes; a name nobody knows is told and left out."""
    words = _split(text[:LONGEST])
    rows, objections = models.Agent.objects.all(), []
    for word in words:
        name, colon, value = word.partition(":")
        if colon and name not in WORDS:
            objections.append(f"There is no filter '{name}:'{did_you_mean(name, WORDS)}.")
        elif colon:
            rows = rows.filter(_condition(name, value))
        else:
            rows = rows.filter(Q(name__icontains=word) | Q(agent_id__istartswith=word))
    chips = [Chip(word, _without(words, place)) for place, word in enumerate(words)]
    return Filter(text, rows, chips, objections)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quotation mark that is not closed
        return text.replace('"', " ").split()


def _without(words: list[str], place: int) -> str:
    rest = words[:place] + words[place + 1 :]
    return "?" + urlencode({"q": shlex.join(rest)}) if rest else "?"


def _condition(name: str, value: str) -> Q:
    if name == "model":
        return Q(model__icontains=value)
    if name == "tool":
        return Q(agent_config__toolgroups__icontains=value) | Q(agent_config__client_tools__icontains=value)
    return Q(agent_config__input_shields__icontains=value) | Q(agent_config__output_shields__icontains=value)


@dataclass(frozen=True)
class AgentRow:
    """An agent as its list shows it."""

    row: models.Agent
    model_state: str
    tools: int
    shields: int
    sessions: int
    last_at: datetime | None
    error_rate: float | None


def with_numbers(agents: list[models.Agent]) -> list[AgentRow]:
    """Return agents with what was done with them; three queries for the whole page."""
    sessions: dict[Any, Any] = {
        row["agent"]: row
        for row in models.Session.objects.filter(agent__in=agents)
        .values("agent")
        .annotate(n=Count("pk"), last=Max("last_used_at"))
    }
    turns: dict[Any, Any] = {row["session__agent"]: row for row in _turns(agents)}
    states = {model.identifier: "" if model.is_reachable else "unreachable" for model in known.models()}
    return [_row(agent, sessions.get(agent.pk, {}), turns.get(agent.pk, {}), states) for agent in agents]


def _turns(agents: list[models.Agent]) -> Any:
    rows = models.Turn.objects.filter(session__agent__in=agents).values("session__agent")
    return rows.annotate(n=Count("pk"), failed=Count("pk", filter=Q(status=models.Status.FAILED)))


def _row(agent: models.Agent, sessions: dict[str, Any], turns: dict[str, Any], states: dict[str, str]) -> AgentRow:
    config = agent.agent_config
    return AgentRow(
        row=agent,
        model_state=states.get(agent.model, "missing"),
        tools=len(config.toolgroups or []) + len(config.client_tools or []),
        shields=len({*(config.input_shields or []), *(config.output_shields or [])}),
        sessions=sessions.get("n", 0),
        last_at=sessions.get("last") if turns.get("n") else None,
        error_rate=turns["failed"] / turns["n"] if turns.get("n") else None,
    )
