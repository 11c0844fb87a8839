"""A turn while it runs in this process: drive it, record it step by step, announce it.

The turn belongs to the server: its task ends with the turn, whoever stopped reading. Deltas are paint: they go to
readers and, joined, to the live topic; the database hears of whole steps and, once a second, of the text so far.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

from django.conf import settings
from django.utils.timezone import now
from opentelemetry import context, trace
from opentelemetry.trace import Span, Status, StatusCode

from apps.agents import records, runtime, schemas
from apps.agents.turn_state import SHUT_DOWN, Event, TurnState, as_json
from apps.core import db, live
from apps.core.errors import INTERNAL, Conflict, ConsoleError
from apps.core.middleware import STATUS_CODE

log = logging.getLogger(__name__)
JOIN_S = 0.033
SHUT_DOWN_S = 2.0  # what running turns get to store what they have
Events = asyncio.Queue["schemas.Payload | None"]
TURNS = "turns"  # the topic that hears of every turn that begins or ends

_running: dict[int, "Running"] = {}
_ticker: asyncio.Task[None] | None = None


class Running:
    """A turn of this process. ``events`` holds everything it does from its start, for whoever started it."""

    def __init__(self, row: int, topic: str, state: TurnState, span: Span, *, is_awaited: bool = False) -> None:
        self.row = row
        self.topic = topic
        self.state = state
        self.span = span
        self.is_awaited = is_awaited  # by an API request that is answered with how the turn ends
        self.failure: ConsoleError | None = None
        self.turn: schemas.Turn | None = None
        self.open_step: str | None = None
        self.text: list[str] = []
        self.written = 0
        self.events: Events = asyncio.Queue()
        self._outbox: list[live.Event] = []
        self._news: list[live.Event] = []
        self._flushing: asyncio.Task[None] | None = None
        self._one_flush = asyncio.Lock()
        self._began = self._finishing = False
        self._task: asyncio.Task[None] | None = None
        self.done = asyncio.Event()

    def launch(self) -> "Running":
        """Start the turn's own task and return the turn."""
        global _ticker
        _running[self.row] = self
        token = context.attach(trace.set_span_in_context(self.span))
        self._task = asyncio.create_task(self._run(), name=f"turn {self.state.turn_id}")
        context.detach(token)
        if _ticker is None or _ticker.done():
            _ticker = asyncio.create_task(_beat(), name="turns' heartbeat")
        return self

    def stop(self) -> None:
        """Ask the turn to end now; it stores what it has."""
        self.state.stop_asked = True
        if self._task is not None and self._began and not self._finishing:
            self._task.cancel()

    def shut_down(self) -> "asyncio.Task[None] | None":
        """End the turn because the process ends; return its task, which has to be waited for."""
        if self._task is not None and self._began and not self._finishing:
            self._task.cancel()
        return self._task

    def partial(self) -> dict[str, Any] | None:
        """Return the open step and its text so far."""
        return {"step_id": self.open_step, "text": "".join(self.text)} if self.open_step else None

    async def _run(self) -> None:
        self._began = True
        try:
            async for event in runtime.take_turn(self.state):
                await self._take(event)
        except ConsoleError as error:
            await self._fail(error)
        except asyncio.CancelledError:
            await self._fail(ConsoleError(SHUT_DOWN, status=503))
            raise
        except Exception:
            log.exception("turn %s failed", self.state.turn_id)
            await self._fail(ConsoleError(INTERNAL))
        finally:
            self._end()

    async def _take(self, event: Event) -> None:
        payload = event.payload
        match payload.event_type:
            case "step_progress":
                self._paint(payload)
            case "step_start":
                self.open_step, self.text, self.written = payload.step_id, [], 0
                self._announce(payload.model_dump(mode="json", exclude_none=True))
            case "step_complete":
                self.open_step, self.text = None, []
                details = payload.step_details.model_dump(mode="json", exclude_none=True)
                stored = db.write_soon(records.store_step, self.row, payload.step_details, details, event.facts)
                stored.add_done_callback(_log_failure)
                self._announce(
                    {
                        "event_type": "step_complete",
                        "step_type": payload.step_type,
                        "step_id": payload.step_id,
                        "step_details": details,
                        "facts": event.facts,
                    }
                )
            case "turn_complete" | "turn_awaiting_input":
                self._finishing = True
                if self.state.is_stopped:
                    self.span.set_attribute("stopped", True)
                    self._note_output(payload.turn.output_message.content)
                told = self.state.for_caller(payload)
                self.turn = told.turn  # type: ignore[union-attr]
                if not await db.write(records.finish, self.row, self.state, payload.turn):
                    raise Conflict("This turn was ended elsewhere while it ran, or was deleted.")
                self._answer(told)
                self._announce(payload.model_dump(mode="json", exclude_none=True))
                await self._tell_others()
                return
            case _:
                self._news.append(self._state_event("running"))
                self._announce(payload.model_dump(mode="json", exclude_none=True))
        self.events.put_nowait(payload)

    def _paint(self, payload: schemas.AgentTurnResponseStepProgressPayload) -> None:
        delta = payload.delta
        if delta.type != "text":
            self._announce(payload.model_dump(mode="json", exclude_none=True))
            return
        self.text.append(delta.text)
        last = self._outbox[-1] if self._outbox else None
        if last is not None and last["event_type"] == "step_progress" and last.get("offset") is not None:
            last["delta"]["text"] += delta.text
            self.written += len(delta.text)
            return
        self._announce(
            {
                "event_type": "step_progress",
                "step_type": payload.step_type,
                "step_id": payload.step_id,
                "delta": {"type": "text", "text": delta.text},
                "offset": self.written,
            }
        )
        self.written += len(delta.text)

    def _announce(self, event: live.Event) -> None:
        """Put an event on the live topic, together with what else comes within 33 ms."""
        self._outbox.append({**event, "turn_id": self.state.turn_id})
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_soon())

    async def _flush_soon(self) -> None:
        while self._outbox:
            await asyncio.sleep(JOIN_S)
            await self._flush()

    async def _flush(self) -> None:
        async with self._one_flush:  # events keep their order
            events, self._outbox = self._outbox, []
            news, self._news = self._news, []
            try:
                if events:
                    await live.publish(self.topic, *events)
                if news:
                    await live.publish(TURNS, *news)
            except Exception:  # watching is best effort: the caller and the rows do not depend on it
                log.warning("turn %s could not be announced", self.state.turn_id, exc_info=True)

    async def _fail(self, error: ConsoleError) -> None:
        self._finishing = True
        self.failure = error
        self.span.set_status(Status(StatusCode.ERROR, error.detail))
        if self.is_awaited:
            self.span.set_attribute(STATUS_CODE, error.status)
        self._note_output("".join(self.text))
        await db.write(records.fail, self.row, self.state, error.detail, self.partial())
        self._answer(None)
        self._announce({"event_type": "turn_failed", "message": error.detail})
        await self._tell_others()

    def _note_output(self, text: Any) -> None:
        """Tell on the root span what was written until a turn was cut short."""
        if text:
            self.state.note(self.span, "output", as_json({"content": text, "tool_calls": []}))

    async def _tell_others(self) -> None:
        self._news.append(
            self._state_event("failed" if self.failure else "waiting" if self.state.waiting_for else "over")
        )
        await self._flush()
        if self.state.waiting_for or self.state.is_resumed:
            try:
                await announce_waiting()
            except Exception:
                log.warning("the number of waiting turns could not be announced", exc_info=True)

    def _state_event(self, status: str) -> live.Event:
        session = self.state.session_id
        return {"event_type": "turn_changed", "turn_id": self.state.turn_id, "session_id": session, "status": status}

    def _answer(self, last: schemas.Payload | None) -> None:
        """Tell whoever waits for the turn how it ended, before the rest of the world hears of it."""
        if self.done.is_set():
            return
        if last is not None:
            self.events.put_nowait(last)
        self.events.put_nowait(None)
        self.done.set()

    def _end(self) -> None:
        _running.pop(self.row, None)
        self.span.end()
        self._answer(None)


def running_here() -> set[int]:
    """Return the rows of the turns this process runs."""
    return set(_running)


def running(row: int) -> Running | None:
    """Return the turn of this row if this process runs it."""
    return _running.get(row)


async def shut_down() -> None:
    """End what runs here, stored with what it has; waits for it a moment. For a process that is about to end."""
    tasks = [task for turn in list(_running.values()) if (task := turn.shut_down())]
    if tasks:
        log.warning("ending %d running turn%s: the server shuts down", len(tasks), "s" * (len(tasks) > 1))
        await asyncio.wait(tasks, timeout=SHUT_DOWN_S)


async def announce_waiting() -> None:
    """Tell the ``waiting`` topic how many calls wait for a person."""
    count = await db.read(records.count_waiting)
    await live.publish("waiting", {"event_type": "waiting", "count": count})


async def events_of(run: Running, ping_s: float = 15.0) -> AsyncGenerator[schemas.Payload | None]:
    """Yield a turn's payloads until it ends; None when nothing came for ``ping_s``: time to show that it lives."""
    while True:
        if run.events.empty():
            try:
                async with asyncio.timeout(ping_s):
                    payload = await run.events.get()
            except TimeoutError:
                yield None
                continue
        else:
            payload = run.events.get_nowait()
        if payload is None:
            return
        yield payload


async def _beat() -> None:
    """While turns run here: keep their text and their sign of life fresh, and hear of stops asked for elsewhere."""
    while _running:
        await asyncio.sleep(settings.TURN_HEARTBEAT_S)
        partials = {row: turn.partial() for row, turn in _running.items()}
        if not partials:
            return
        try:
            for row in await db.write(records.beat, partials, now()):
                if row in _running:
                    _running[row].stop()
        except Exception:
            log.warning("heartbeat of %d turns failed", len(partials), exc_info=True)


def _log_failure(future: Any) -> None:
    if future.exception() is not None:
        log.error("a step could not be stored", exc_info=future.exception())
