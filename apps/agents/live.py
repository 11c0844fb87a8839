"""What a session's watchers see: each event of a turn as the fragment it paints.

Deltas are text; a finished markdown block is rendered once; a finished step or turn replaces what was painted of it.
Frames are made once per event and process, however many people watch.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from django.template.loader import render_to_string

from apps.agents import conversation, growing, models, trial
from apps.agents.steps import StepView, open_step, step_view
from apps.agents.transcript import TURN_STATES
from apps.core import db, markdown
from apps.core.live import Event, Topic
from apps.core.live import register as register_topic

P = ParamSpec("P")
T = TypeVar("T")
Frame = dict[str, Any]
Frames = list[Frame]
KEPT_FRAMES = 4_000
KEPT_STEPS = 500
LONG = 4_000  # characters; reading more as markdown takes long enough to be kept off the loop


@dataclass
class OpenStep:
    """A step in the making as this process has seen it: its start, and its text since the last finished block."""

    metadata: dict[str, Any]
    started_at: datetime
    tail: str = ""
    done: int = 0

    def take(self, offset: int, text: str) -> str | None:
        """Add text and return the blocks it finished; None when text before it was not seen here."""
        if offset != self.done + len(self.tail):
            return None
        begins = self.tail.endswith("\n\n")  # the block before it is over: an empty line is wider than its gap
        self.tail += text
        if "\n" not in text and not begins:
            return ""
        finished, self.tail = growing.split(self.tail)
        self.done += len(finished)
        return finished


@dataclass
class Kept:
    """What this process remembers of the last events: open steps, and frames that were made."""

    steps: OrderedDict[str, OpenStep] = field(default_factory=OrderedDict)
    frames: OrderedDict[tuple[str, int], Frames] = field(default_factory=OrderedDict)
    making: dict[tuple[str, int], asyncio.Task[Frames]] = field(default_factory=dict)


_kept = Kept()


def register() -> None:
    """Make the topics of this app watchable."""
    register_topic("session", Topic(_may_watch_session, frames))
    register_topic("turns", Topic(_may_watch, _turn_states))
    register_topic("trial", Topic(_may_try, frames))
    register_topic("waiting", Topic(_may_watch, _waiting))


async def _may_watch(user: Any, topic: str) -> bool:
    return bool(user.is_authenticated and user.can("viewer"))


async def _may_try(user: Any, topic: str) -> bool:
    """A trial is watched by the operator whose it is."""
    return bool(user.is_authenticated and user.can("operator")) and topic.startswith(
        trial.topic_of(trial.name_of(user.pk, ""))
    )


async def _may_watch_session(user: Any, topic: str) -> bool:
    if not await _may_watch(user, topic):
        return False
    return await db.read(models.Session.objects.filter(session_id=topic.partition(":")[2]).exists)


async def _turn_states(topic: str, number: int, event: Event) -> Frames:
    return [{"k": "state", "v": event}]


async def _waiting(topic: str, number: int, event: Event) -> Frames:
    return [{"k": "state", "v": {name: value for name, value in event.items() if name != "event_type"}}]


async def frames(topic: str, number: int, event: Event) -> Frames:
    """Return the frames of a session's event, made once for all who watch."""
    key = (topic, number)
    if key in _kept.frames:
        return _kept.frames[key]
    if key not in _kept.making or _kept.making[key].get_loop() is not asyncio.get_running_loop():
        _kept.making[key] = asyncio.create_task(_make(key, event), name=f"frames of {topic}")
    return await asyncio.shield(_kept.making[key])


async def _make(key: tuple[str, int], event: Event) -> Frames:
    try:
        made = await _PAINTERS.get(event["event_type"], _nothing)(event, key[0].partition(":")[2])
    finally:
        _kept.making.pop(key, None)
    _kept.frames[key] = made
    while len(_kept.frames) > KEPT_FRAMES:
        _kept.frames.popitem(last=False)
    return made


async def _nothing(event: Event, session_id: str) -> Frames:
    return []


async def _resync(event: Event, session_id: str) -> Frames:
    return [{"k": "resync"}]


async def _turn_start(event: Event, session_id: str) -> Frames:
    article = await db.read(_article, event["turn_id"])
    added = {
        "k": "html",
        "e": "turn",
        "id": f"turn-{event['turn_id']}",
        "target": "#turns",
        "swap": "append",
        "h": article,
    }
    return [added, *await _head(event, session_id)]


async def _turn_end(event: Event, session_id: str) -> Frames:
    article = await db.read(_article, event["turn_id"])
    whole = {"k": "html", "e": "end", "target": f"#turn-{event['turn_id']}", "h": article}
    return [whole, *await _head(event, session_id)]


def _article(turn_id: str) -> str:
    turn = conversation.turn_view(turn_id)
    return render_to_string("agents/_turn.html", {"turn": turn, "can_operate": True}) if turn else ""


async def _head(event: Event, session_id: str) -> Frames:
    return await db.read(_head_of, session_id)


def _head_of(session_id: str) -> Frames:
    session = models.Session.objects.select_related("agent").filter(session_id=session_id).first()
    if session is None:
        return []
    totals = conversation.totals(session)
    context = {"session": session, "totals": totals, "state": TURN_STATES.get(totals.status)}
    return [
        {"k": "html", "target": "#chat-title", "h": render_to_string("agents/_chat_title.html", context)},
        {"k": "html", "target": "#chat-state", "h": render_to_string("agents/_chat_state.html", context)},
    ]


async def _step_start(event: Event, session_id: str) -> Frames:
    step_id = event["step_id"]
    step = OpenStep(event.get("metadata") or {}, datetime.now(UTC))
    _kept.steps[step_id] = step
    while len(_kept.steps) > KEPT_STEPS:
        _kept.steps.popitem(last=False)
    view = open_step(event["turn_id"], step_id, event["step_type"], step.metadata, started_at=step.started_at)
    row = _row(view, e="step", id=f"step-{step_id}")
    if event["step_type"] != "inference":
        return [row]
    return [
        row,
        {"k": "html", "e": "step", "id": f"step-{step_id}", **_answer(event["turn_id"], {"live_step": step_id})},
    ]


def _row(view: StepView, **marks: str) -> Frame:
    html = render_to_string("agents/_step.html", {"step": view, "is_open": view.kind == "tool"})
    return {"k": "html", "target": f"#steps-{view.turn_id}", "swap": "append", "h": html, **marks}


def _answer(turn_id: str, context: dict[str, Any]) -> Frame:
    html = render_to_string("agents/_answer.html", {"turn_id": turn_id, **context})
    return {"target": f"#answer-{turn_id}", "h": html}


async def _step_progress(event: Event, session_id: str) -> Frames:
    delta = event["delta"]
    if delta["type"] == "text":
        return await _text(event["step_id"], event.get("offset", 0), delta["text"])
    call = delta.get("tool_call")
    if event["step_type"] != "tool_execution" or not isinstance(call, dict):
        return []
    known = _kept.steps.get(event["step_id"])
    started_at = known.started_at if known else None
    view = open_step(event["turn_id"], event["step_id"], "tool_execution", call=call, started_at=started_at)
    return [_row(view, e="call", id=f"step-{event['step_id']}")]


async def _text(step_id: str, offset: int, text: str) -> Frames:
    delta = {"k": "delta", "s": step_id, "o": offset, "d": text}
    step = _kept.steps.get(step_id)
    finished = await _away(len(step.tail) + len(text), step.take, offset, text) if step else None
    if not step or not finished:
        return [delta]
    # The delta goes first: a reader who has this block already still needs the text after it.
    begin, html = step.done - len(finished), await _away(len(finished), markdown.render, finished)
    return [delta, {"k": "block", "s": step_id, "h": html, "f": begin, "o": step.done, "d": step.tail}]


async def _away(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``work`` makes of a text of this size; done in a thread when it is long."""
    return work(*args, **kwargs) if size <= LONG else await asyncio.to_thread(work, *args, **kwargs)


async def _step_complete(event: Event, session_id: str) -> Frames:
    details, turn_id = event["step_details"], event["turn_id"]
    known = _kept.steps.get(event["step_id"])
    facts = (known.metadata if known else {}) | event.get("facts", {})
    view = step_view(details, facts)
    painted = [_row(view, e="done")]
    if view.kind == "inf":
        painted.append({"k": "html", **await _away(len(view.text), _answer, turn_id, {"answer": view.text})})
    if details["step_type"] == "tool_execution" and known is None:
        # The answers of a resumed turn: the card that asked for them goes first.
        return [*await _turn_resumed(event, session_id), *painted]
    return painted


async def _turn_resumed(event: Event, session_id: str) -> Frames:
    article = await db.read(_article, event["turn_id"])
    whole = {"k": "html", "e": "resumed", "target": f"#turn-{event['turn_id']}", "h": article}
    return [whole, *await _head(event, session_id)]


async def _trial_start(event: Event, key: str) -> Frames:
    html = await _trial_turn(key, event["turn_id"])
    return [
        {
            "k": "html",
            "e": "turn",
            "id": f"turn-{event['turn_id']}",
            "target": "#trial-turns",
            "swap": "append",
            "h": html,
        }
    ]


async def _trial_end(event: Event, key: str) -> Frames:
    html = await _trial_turn(key, event["turn_id"])
    return [{"k": "html", "e": "end", "target": f"#turn-{event['turn_id']}", "h": html}]


async def _trial_turn(key: str, turn_id: str) -> str:
    turn = await trial.turn_of(key, turn_id)
    if turn is None:
        return ""
    return await _away(len(turn.answer), render_to_string, "agents/_trial_turn.html", {"turn": turn})


_PAINTERS: dict[str, Callable[[Event, str], Awaitable[Frames]]] = {
    "turn_start": _turn_start,
    "step_start": _step_start,
    "step_progress": _step_progress,
    "step_complete": _step_complete,
    "turn_complete": _turn_end,
    "turn_awaiting_input": _turn_end,
    "turn_failed": _turn_end,
    "turn_closed": _turn_end,
    "trial_start": _trial_start,
    "trial_end": _trial_end,
    "session_renamed": _head,
    "session_changed": _resync,
}
