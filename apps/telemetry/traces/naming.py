"""What people call a trace: the turn it recorded, of which session and agent, and where those are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, OuterRef, Subquery
from django.urls import reverse

from apps.agents.models import Agent, Turn
from apps.telemetry.models import Trace

TURNS = ("create_agent_turn", "resume_agent_turn")
LABELLED = (*TURNS, "inference", "tool_execution")  # names of ours that say too little in a list
LABELLING = ("tool_name", "gen_ai.request.model")


@dataclass(frozen=True, slots=True)
class Naming:
    """The words and links of one trace; links are empty where what they lead to is gone or was never here."""

    title: str
    agent_name: str = ""
    agent_url: str = ""
    session_name: str = ""
    session_url: str = ""
    turn_number: int | None = None
    turn_url: str = ""
    turn_state: str = ""  # a status of apps.agents.models.Status
    is_newest: bool = False  # whether the turn ended, or stands, in this trace: a resumed one went on in another

    @property
    def turn_words(self) -> str:
        """The turn in a line of links."""
        return f"turn {self.turn_number}" if self.turn_number else ""


def label_of(name: str, told: Mapping[str, Any], naming: Naming) -> str:
    """Return what people call a span of ours: its turn, its tool, its model; any other has its own name.

    ``told`` are its attributes, or those of ``LABELLING`` alone.
    """
    if name in TURNS:
        return naming.title
    if name == "tool_execution" and isinstance(told.get("tool_name"), str):
        return str(told["tool_name"]) or name
    model = told.get("gen_ai.request.model")
    return f"inference {model}" if name == "inference" and isinstance(model, str) and model else name


def names_of(traces: Sequence[Trace]) -> dict[str, Naming]:
    """Return the naming of each trace by its trace id, in two queries whatever their number."""
    turns = _turns({trace.turn_id for trace in traces if trace.turn_id})
    agents = _agents({trace.agent_id for trace in traces if trace.agent_id and trace.turn_id not in turns})
    return {trace.trace_id: _naming(trace, turns.get(trace.turn_id), agents.get(trace.agent_id)) for trace in traces}


def _turns(turn_ids: set[str]) -> dict[str, Turn]:
    if not turn_ids:
        return {}
    earlier = Turn.objects.filter(session=OuterRef("session"), pk__lte=OuterRef("pk")).order_by()
    number = earlier.values("session").annotate(number=Count("pk")).values("number")
    rows = Turn.objects.filter(turn_id__in=turn_ids).annotate(number=Subquery(number)).select_related("session__agent")
    names = ("session__session_id", "session__session_name", "session__agent__agent_id", "session__agent__name")
    return {turn.turn_id: turn for turn in rows.only("turn_id", "trace_id", "status", *names)}


def _agents(agent_ids: set[str]) -> dict[str, Agent]:
    if not agent_ids:
        return {}
    return {agent.agent_id: agent for agent in Agent.objects.filter(agent_id__in=agent_ids).only("agent_id", "name")}


def _naming(trace: Trace, turn: Turn | None, agent: Agent | None) -> Naming:
    if turn is None:
        name = str(agent) if agent else trace.agent_name
        url = reverse("agents:agent-detail", args=(agent.agent_id,)) if agent else ""
        return Naming(_title_without_turn(trace, name), agent_name=name, agent_url=url)
    session, number = turn.session, getattr(turn, "number", None)
    chat = reverse("agents:session-detail", args=(session.agent.agent_id, session.session_id))
    resumed = ", resumed" if trace.name == "resume_agent_turn" else ""
    return Naming(
        title=f"Turn {number}{resumed} · {session}",
        agent_name=str(session.agent),
        agent_url=reverse("agents:agent-detail", args=(session.agent.agent_id,)),
        session_name=str(session),
        session_url=chat,
        turn_number=number,
        turn_url=f"{chat}?turn={turn.turn_id}#turn-{turn.turn_id}",
        turn_state=turn.status,
        is_newest=turn.trace_id == trace.trace_id,
    )


def _title_without_turn(trace: Trace, agent_name: str) -> str:
    """Return the trace's own name; a turn that is deleted is still called one."""
    if trace.turn_id and trace.kind == "turn":
        return f"Turn {trace.turn_id[:8]}" + (f" · {agent_name}" if agent_name else "")
    return trace.name or "Unnamed trace"
