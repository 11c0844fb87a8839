"""A turn as server-sent events: to whoever started it, and to whoever watches it again (SEMANTICS 0.5)."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field

from pydantic_core import to_json

from apps.agents import models
from apps.agents.running import Running, events_of
from apps.core import db, live
from apps.core.errors import ConsoleError
from apps.core.numbers import whole

PING = b": ping\n\n"
END = b": end\n\n"
OPENING, CLOSING = b'data: {"event":{"payload":', b"}}\n\n"
LAST = ("turn_complete", "turn_awaiting_input", "turn_failed", "turn_closed")


async def of_turn(run: Running) -> AsyncIterator[bytes]:
    """Yield a turn's frames from its start; a failure is the last one. Whoever leaves does not end the turn."""
    async with aclosing(events_of(run)) as payloads:
        async for payload in payloads:
            yield PING if payload is None else OPENING + to_json(payload, exclude_none=True) + CLOSING
    if run.failure is not None:
        yield failure(run.failure)


def failure(error: ConsoleError) -> bytes:
    """Return the frame that ends a stream badly, in the form Llama Stack clients understand."""
    told = {"message": error.detail, "status": error.status, "title": error.title, "detail": error.detail}
    return b"data: " + to_json({"error": told}) + b"\n\n"


@dataclass
class Told:
    """What a watcher knows of a turn: steps told whole, and how much text of the others."""

    steps: set[str] = field(default_factory=set)
    text: dict[str, int] = field(default_factory=dict)
    begun: bool = False


async def watched(turn: models.Turn, last_event_id: str) -> AsyncIterator[bytes]:
    """Yield a turn's events from the beginning, or after ``last_event_id``, until it ends or waits.

    What the live log does not have, or no longer has, is told from the stored turn.
    """
    told, number = Told(), whole(last_event_id)
    if number is None:
        number = turn.live_from
        for frame in await db.read(_before_resume, turn.pk, told):
            yield frame
    if turn.is_over and not await _is_kept(turn, number):
        for frame in (await db.read(_stored, turn.pk, told))[0]:
            yield frame
        return
    is_open = True
    while is_open:
        async for frame in _followed(turn, number, told):
            yield frame
            if frame is END:
                return
        # Events are missing: where the log stands now, then what is stored, then what comes after.
        number = await live.head(turn.session.topic)
        stored, is_open = await db.read(_stored, turn.pk, told)
        for frame in stored:
            yield frame


async def _followed(turn: models.Turn, number: int, told: Told) -> AsyncGenerator[bytes]:
    """Yield a turn's frames from the live log, END after its last one; stop where events are missing."""
    async with aclosing(live.follow(turn.session.topic, number)) as batches:  # type: ignore[type-var]
        async for batch in batches:
            if batch is None:
                return
            if not batch:
                yield PING
            for at, event in batch:
                fresh = _untold(event, told) if event.get("turn_id") == turn.turn_id else None
                if fresh is not None:
                    yield _numbered(at, fresh)
                    if fresh["event_type"] in LAST:
                        yield END
                        return


def _untold(event: live.Event, told: Told) -> live.Event | None:
    """Return what is new of an event, None when nothing is, and take it as told."""
    step_id = event.get("step_id", "")
    if step_id in told.steps:
        return None
    if event["event_type"] == "step_complete":
        told.steps.add(step_id)
    offset = event.get("offset")
    if offset is None:
        return event
    known, text = told.text.get(step_id, 0), event["delta"]["text"]
    told.text[step_id] = max(known, offset + len(text))
    fresh = text[max(0, known - offset) :]
    return {**event, "delta": {"type": "text", "text": fresh}} if fresh else None


async def _is_kept(turn: models.Turn, after: int) -> bool:
    kept = await live.since(turn.session.topic, after)
    return any(event.get("turn_id") == turn.turn_id and event["event_type"] in LAST for _, event in kept or [])


def _numbered(number: int, event: live.Event) -> bytes:
    frame = b"id: " + str(number).encode() + b"\n"
    if event["event_type"] == "turn_failed":
        return frame + failure(ConsoleError(event["message"], status=502))
    payload = {name: value for name, value in event.items() if name not in ("offset", "facts")}
    if payload["event_type"] != "turn_start":
        payload.pop("turn_id", None)
    return frame + _frame(payload)


def _frame(payload: live.Event) -> bytes:
    return OPENING + to_json(payload) + CLOSING


def _before_resume(row: int, told: Told) -> list[bytes]:
    """Return what a resumed turn did before it went on: the live log begins at its resume."""
    turn = models.Turn.objects.prefetch_related("steps").get(pk=row)
    if turn.answered_at is None:
        return []
    return _start(turn, told) + _steps(
        [step for step in turn.steps.all() if step.completed_at <= turn.answered_at], told
    )


def _stored(row: int, told: Told) -> tuple[list[bytes], bool]:
    """Return the frames the rows of a turn still have to tell, and whether it runs on."""
    turn = models.Turn.objects.select_related("session").prefetch_related("steps").get(pk=row)
    frames = _start(turn, told) + _steps(turn.steps.all(), told)
    if turn.status == models.Status.RUNNING:
        return frames + _open_step(turn, told), True
    if turn.status == models.Status.FAILED:
        return [*frames, failure(ConsoleError(turn.error, status=502))], False
    last = "turn_awaiting_input" if turn.status == models.Status.WAITING else "turn_complete"
    return [*frames, _frame({"event_type": last, "turn": turn.as_json()})], False


def _start(turn: models.Turn, told: Told) -> list[bytes]:
    if told.begun or told.steps or told.text:
        return []
    told.begun = True
    return [_frame({"event_type": "turn_start", "turn_id": turn.turn_id})]


def _steps(steps: Iterable[models.Step], told: Told) -> list[bytes]:
    frames = []
    for step in steps:
        if step.step_id in told.steps:
            continue
        common = {"step_type": step.step_type, "step_id": step.step_id}
        if step.step_id not in told.text:
            frames.append(_frame({"event_type": "step_start", **common, "metadata": {}}))
        frames.append(_frame({"event_type": "step_complete", **common, "step_details": step.details}))
        told.steps.add(step.step_id)
    return frames


def _open_step(turn: models.Turn, told: Told) -> list[bytes]:
    """Return the frames of the step in the making: its start, and its text as far as it was stored."""
    partial = turn.partial or {"step_id": "", "text": ""}
    known = told.text.get(partial["step_id"], 0)
    if len(partial["text"]) <= known:
        return []
    common = {"step_type": "inference", "step_id": partial["step_id"]}
    delta = {"type": "text", "text": partial["text"][known:]}
    told.text[partial["step_id"]] = len(partial["text"])
    start = [] if known else [_frame({"event_type": "step_start", **common, "metadata": {}})]
    return [*start, _frame({"event_type": "step_progress", **common, "delta": delta})]
