"""Trying an agent that is not saved yet: one conversation, neither stored nor counted.

It is kept in the cache for an hour, so that every process can go on with it; what happens in the running turn goes over
the live topic. One message is answered at a time: a new one ends the answer before it, wherever that is made.
"""

import asyncio
import re
import time
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from django.core.cache import cache
from pydantic_core import to_jsonable_python

from apps.agents import history, models, preparation, runtime, schemas
from apps.agents.steps import Call, StepView, asked_call, step_view
from apps.agents.turn_state import Event, TurnState
from apps.core import live
from apps.core.content import text_of
from apps.core.errors import INTERNAL, Conflict, ConsoleError
from apps.inference.schemas import UserMessage

KEY = re.compile(r"[A-Za-z0-9-]{1,40}")
KEEP_S = 3_600
MOST_TURNS = 50
JOIN_S = 0.033
BUSY_S = 30  # how long a process that died keeps others from going on
LOOK_S = 0.5
WAIT_S = 5.0
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


@dataclass
class Run:
    """A turn this process is taking."""

    trial: Trial
    state: TurnState
    task: "asyncio.Task[None]"


_running: dict[str, Run] = {}


def is_key(text: str) -> bool:
    """Return whether a trial may be called so: the live layer takes no other letters."""
    return KEY.fullmatch(text) is not None


def name_of(user_id: Any, key: str) -> str:
    """Return what a person's trial is called: nobody else's key leads to it."""
    return f"{user_id}.{key}"


def topic_of(name: str) -> str:
    """Return the live topic of a trial."""
    return f"trial:{name}"


def trial_of(name: str) -> Trial:
    """Return the conversation of this name, a new one when it is not known; for pages, it waits for the cache."""
    run = _running.get(name)
    return run.trial if run else cache.get(_kept(name)) or Trial()


async def turn_of(name: str, turn_id: str) -> TrialTurn | None:
    """Return one turn of a trial, from this process or from the cache."""
    run = _running.get(name)
    trial = run.trial if run else await cache.aget(_kept(name)) or Trial()
    return next((turn for turn in trial.turns if turn.turn_id == turn_id), None)


async def say(name: str, config: schemas.AgentConfig, text: str) -> None:
    """Take a turn with this configuration; one still answering is ended. Raises what keeps it from starting."""
    await stop(name)
    await _claim(name)
    try:
        trial: Trial = await cache.aget(_kept(name)) or Trial()
        message = UserMessage(content=text)
        session = models.Session(session_id=name, agent=models.Agent(agent_config=config))
        state = await preparation.prepared(session, [message], None, None)
        inputs = [message.model_dump(mode="json", exclude_none=True)]
        state.messages = [*history.replay(trial.past), *history.turn_messages(inputs, [], [])]
        turn = TrialTurn(state.turn_id, text)
        trial.turns = [*trial.turns, turn][-MOST_TURNS:]
        await cache.aset(_kept(name), trial, KEEP_S)
    except BaseException:
        await cache.adelete(_busy(name))
        raise
    # A context of its own: the request's ends with the request, and with it the thread the cache would be asked on.
    task = asyncio.create_task(
        _run(name, trial, state, inputs), name=f"turn {state.turn_id} of a trial", context=Context()
    )
    _running[name] = Run(trial, state, task)


async def stop(name: str) -> None:
    """End what this process still answers and wait for its end."""
    run = _running.get(name)
    if run is not None:
        _end(run)
        await asyncio.wait([run.task])


def _end(run: Run) -> None:
    if not run.state.stop_asked:
        run.state.stop_asked = True
        run.task.cancel()


async def _claim(name: str) -> None:
    """Wait until no process answers in this trial, and have it; raises Conflict when another does not let go."""
    until = time.monotonic() + WAIT_S
    while not await cache.aadd(_busy(name), 1, BUSY_S):
        if time.monotonic() > until:
            raise Conflict("The message before this one is still being answered. Wait for its end and send again.")
        await cache.aset(_asked_to_stop(name), 1, BUSY_S)
        await asyncio.sleep(0.1)
    await cache.adelete(_asked_to_stop(name))


async def _hold(name: str) -> None:
    """Keep the trial while its turn runs, and end the turn when another process asks for that."""
    while True:
        await asyncio.sleep(LOOK_S)
        await cache.atouch(_busy(name), BUSY_S)
        if await cache.aget(_asked_to_stop(name)):
            _end(_running[name])


def _kept(name: str) -> str:
    return f"trial:{name}"


def _busy(name: str) -> str:
    return f"trial-busy:{name}"


def _asked_to_stop(name: str) -> str:
    return f"trial-stop:{name}"


async def _run(name: str, trial: Trial, state: TurnState, inputs: list[Json]) -> None:
    turn = trial.turns[-1]
    outbox = _Outbox(topic_of(name), turn.turn_id)
    holding = asyncio.create_task(_hold(name), name=f"trial {name} is held")
    try:
        async for event in runtime.take_turn(state):
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
        holding.cancel()
        state.stop_asked = True  # from here on there is nothing to stop
        await _finish(name, trial, turn, (inputs, [], [to_jsonable_python(s, exclude_none=True) for s in state.steps]))
        await outbox.publish({"event_type": "trial_end"})


async def _finish(name: str, trial: Trial, turn: TrialTurn, taken: tuple[list[Json], list[Json], list[Json]]) -> None:
    """Let every process know how the turn ended, then let the next message in."""
    turn.is_over = True
    trial.past.append(taken)
    try:
        await cache.aset(_kept(name), trial, KEEP_S)
    finally:
        _running.pop(name, None)
        with suppress(Exception):
            await cache.adelete(_busy(name))


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
