"""The pane beside the conversation: one turn as steps on a time line, as its trace, as JSON, or its agent."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.http import QueryDict
from django.utils.timezone import now

from apps.agents import models
from apps.agents.steps import StepView, open_step
from apps.agents.transcript import TurnView

PANES = {"steps": "Steps", "trace": "Trace", "json": "Turn JSON", "agent": "Agent"}
THINNEST = 0.6  # percent of the width: what is shorter would not be seen


@dataclass(frozen=True)
class Bar:
    """A step on the time line, in percent of the turn."""

    step: StepView
    x: str
    width: str
    is_chosen: bool
    after_s: float
    open_s: float = 0


def context(session: models.Session, query: QueryDict, turns: list[TurnView]) -> dict[str, Any]:
    """Return what the pane prints for ``?pane=&turn=&step=``; without a turn, for the last one."""
    pane = query.get("pane", "steps")
    pane = pane if pane in PANES else "steps"
    turn = _chosen(session, query.get("turn", ""), turns)
    base: dict[str, Any] = {"pane": pane, "panes": PANES, "side_turn": turn, "side_step": query.get("step", "")}
    if turn is None or pane in ("agent", "trace"):
        return base
    if pane == "json":
        return base | {"turn_json": turn.row.as_json()}
    return base | _time_line(turn, query.get("step", ""))


def _chosen(session: models.Session, turn_id: str, turns: list[TurnView]) -> TurnView | None:
    shown = {turn.row.turn_id: turn for turn in turns}
    if turn_id in shown:
        return shown[turn_id]
    if not turn_id and turns:
        return turns[-1]
    rows = session.turns.prefetch_related("steps", "pending").defer("documents_content")
    row = rows.filter(turn_id=turn_id).first() if turn_id else rows.last()
    if row is None:
        return None
    row.session = session
    number = session.turns.filter(pk__lte=row.pk).count()
    return TurnView(row=row, number=number, agent_id=session.agent.agent_id)


def _time_line(turn: TurnView, step_id: str) -> dict[str, Any]:
    begin, end = turn.row.started_at, turn.row.completed_at or now()
    whole = max((end - begin).total_seconds(), 0.001)
    steps = turn.steps + _begun(turn)
    chosen = next((step for step in steps if step.step_id == step_id), None)
    chosen = chosen or next((step for step in reversed(steps) if step.has_body or step.is_open), None)
    bars = [_bar(step, begin, end, whole, is_chosen=step is chosen) for step in steps]
    picked = next((bar for bar in bars if bar.is_chosen), None)
    return {"bars": bars, "picked": picked, "whole_s": whole}


def _begun(turn: TurnView) -> list[StepView]:
    """Return the step that runs and of which nothing is stored but that the ones before it are over."""
    if not turn.is_running or any(step.is_open for step in turn.steps):
        return []
    last = turn.steps[-1] if turn.steps else None
    calls = last.calls if last and last.kind == "inf" else ()
    step_id = (turn.row.partial or {}).get("step_id") or "open"
    step = open_step(turn.row.turn_id, step_id, "tool_execution" if calls else "inference", started_at=turn.idle_since)
    return [replace(step, name=", ".join(dict.fromkeys(call.name for call in calls))) if calls else step]


def _bar(step: StepView, begin: datetime, end: datetime, whole: float, *, is_chosen: bool) -> Bar:
    start = max((step.started_at - begin).total_seconds(), 0)
    length = max(((step.completed_at or end) - step.started_at).total_seconds(), 0)
    width = min(max(length / whole * 100, THINNEST), 100)
    x = min(start / whole * 100, 100 - width)
    return Bar(step, f"{max(x, 0):.2f}%", f"{width:.2f}%", is_chosen, start, length)
