"""Trying an agent that is not saved yet: one conversation in memory, neither stored nor counted.

It lives in the process that holds it and is forgotten when others need the room.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_jsonable_python

from apps.agents import history, models, runtime, schemas, turns
from apps.agents.steps import Call, StepView, asked_call, step_view
from apps.agents.turn_state import Event, TurnState
from apps.core import live
from apps.core.content import text_of
from apps.core.errors import INTERNAL, ConsoleError
from apps.inference.schemas import UserMessage

KEPT = 100
JOIN_S = 0.033
Json = dict[str, Any]


@dataclass
class TrialTurn:
    """One message of a trial and what came of it."""

    turn_id: str
    text: str
    steps: list[StepView] = field(default_factory=list)
    answer: str = ""
    error: str = ""
    calls: tuple[Call, ...] = ()
    is_over: bool = False


@dataclass
class Trial:
    """A conversation with a configuration."""

    turns: list[TrialTurn] = field(default_factory=list)
    past: list[tuple[list[Json], list[Json], list[Json]]] = field(default_factory=list)
    state: TurnState | None = None
    task: asyncio.Task[None] | None = None


_trials: OrderedDict[str, Trial] = OrderedDict()


def topic_of(key: str) -> str:
    """Return the live topic of a trial."""
    return f"trial:{key}"


def trial_of(key: str) -> Trial:
    """Return the conversation of this key, a new one when it is not known here."""
    trial = _trials.setdefault(key, Trial())
    _trials.move_to_end(key)
    while len(_trials) > KEPT:
        _trials.popitem(last=False)
    return trial


async def say(key: str, config: schemas.AgentConfig, text: str) -> None:
    """Take a turn with this configuration; one still answering is ended. Raises what keeps it from starting."""
    trial = trial_of(key)
    await stop(trial)
    session = models.Session(session_id=key, agent=models.Agent(agent_config=config))
    message = UserMessage(content=text)
    state = await turns.prepared(session, [message], None, None)
    inputs = [message.model_dump(mode="json", exclude_none=True)]
    state.messages = [*history.replay(trial.past), *history.turn_messages(inputs, [], [])]
    turn = TrialTurn(state.turn_id, text)
    trial.turns.append(turn)
    trial.state = state
    trial.task = asyncio.create_task(_run(key, trial, turn, inputs), name=f"turn {state.turn_id} of a trial")


async def stop(trial: Trial) -> None:
    """End what is still being answered and wait for its end."""
    if trial.task is None or trial.task.done() or trial.state is None:
        return
    trial.state.stop_asked = True
    trial.task.cancel()
    await asyncio.wait([trial.task])


async def _run(key: str, trial: Trial, turn: TrialTurn, inputs: list[Json]) -> None:
    assert trial.state is not None
    outbox = _Outbox(topic_of(key), turn.turn_id)
    try:
        async for event in runtime.take_turn(trial.state):
            _remember(turn, event)
            await outbox.put(event)
    except ConsoleError as error:
        turn.error = error.detail
    except asyncio.CancelledError:
        turn.error = "Stopped."
    except Exception:
        turn.error = INTERNAL
        raise
    finally:
        turn.is_over = True
        done = [to_jsonable_python(step, exclude_none=True) for step in trial.state.steps]
        trial.past.append((inputs, [], done))
        await outbox.publish({"event_type": "trial_end"})


def _remember(turn: TrialTurn, event: Event) -> None:
    payload = event.payload
    if payload.event_type == "step_complete":
        details = payload.step_details.model_dump(mode="json", exclude_none=True)
        turn.steps.append(step_view(details, event.facts))
    elif payload.event_type in ("turn_complete", "turn_awaiting_input"):
        output = payload.turn.output_message  # type: ignore[union-attr]
        turn.answer = text_of(output.content)
        if payload.event_type == "turn_awaiting_input":
            asked = [call.model_dump(mode="json") for call in output.tool_calls or []]
            turn.calls = tuple(asked_call(call) for call in asked)


class _Outbox:
    """Announces what happens; text that comes within a blink is joined."""

    def __init__(self, topic: str, turn_id: str) -> None:
        self._topic, self._turn_id = topic, turn_id
        self._step, self._text, self._offset, self._sent_at = "", "", 0, 0.0

    async def put(self, event: Event) -> None:
        payload = event.payload
        if payload.event_type == "step_progress" and payload.delta.type == "text":
            self._step, self._text = payload.step_id, self._text + payload.delta.text
            if time.monotonic() - self._sent_at >= JOIN_S:
                await self._flush()
            return
        await self._flush()
        if payload.event_type == "step_start":
            self._offset = 0
        told = payload.model_dump(mode="json", exclude_none=True)
        if payload.event_type == "turn_start":
            told["event_type"] = "trial_start"
        if payload.event_type not in ("turn_complete", "turn_awaiting_input"):
            await self.publish(told | ({"facts": event.facts} if event.facts else {}))

    async def _flush(self) -> None:
        if not self._text:
            return
        delta = {"type": "text", "text": self._text}
        event = {"event_type": "step_progress", "step_type": "inference", "step_id": self._step, "delta": delta}
        offset, self._text, self._offset = self._offset, "", self._offset + len(self._text)
        self._sent_at = time.monotonic()
        await self.publish(event | {"offset": offset})

    async def publish(self, event: Json) -> None:
        await live.publish(self._topic, event | {"turn_id": self._turn_id})
