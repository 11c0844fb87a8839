"""A turn as server-sent events: to whoever started it, and to whoever watches it again (SEMANTICS 0.5)."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from pydantic_core import to_json

from apps.agents import models
from apps.agents.running import Running, events_of
from apps.core import db, live
from apps.core.errors import ConsoleError

PING = b": ping\n\n"
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


async def watched(turn: models.Turn, last_event_id: str) -> AsyncIterator[bytes]:
    """Yield a turn's events from the beginning, or after ``last_event_id``, until it ends or waits.

    What the live log no longer has is told from the stored turn.
    """
    after = int(last_event_id) if last_event_id.isdigit() else turn.live_from
    if not turn.is_over or await _is_kept(turn, after):
        async with aclosing(live.follow(turn.session.topic, after)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                if batch is None:
                    break
                if not batch:
                    yield PING
                for number, event in batch:
                    if event.get("turn_id") != turn.turn_id:
                        continue
                    yield _numbered(number, event)
                    if event["event_type"] in LAST:
                        return
    for frame in await db.read(_stored, turn.pk):
        yield frame


async def _is_kept(turn: models.Turn, after: int) -> bool:
    kept = await live.since(turn.session.topic, after)
    return any(event.get("turn_id") == turn.turn_id and event["event_type"] in LAST for _, event in kept or [])


def _numbered(number: int, event: dict[str, Any]) -> bytes:
    frame = b"id: " + str(number).encode() + b"\n"
    if event["event_type"] == "turn_failed":
        return frame + failure(ConsoleError(event["message"], status=502))
    payload = {name: value for name, value in event.items() if name not in ("offset", "facts")}
    if payload["event_type"] != "turn_start":
        payload.pop("turn_id", None)
    return frame + OPENING + to_json(payload) + CLOSING


def _stored(row: int) -> list[bytes]:
    """Return the frames of a turn as its rows tell it."""
    turn = models.Turn.objects.select_related("session").prefetch_related("steps").get(pk=row)
    payloads: list[dict[str, Any]] = [{"event_type": "turn_start", "turn_id": turn.turn_id}]
    for step in turn.steps.all():
        common = {"step_type": step.step_type, "step_id": step.step_id}
        payloads.append({"event_type": "step_start", **common, "metadata": {}})
        payloads.append({"event_type": "step_complete", **common, "step_details": step.details})
    if turn.status == models.Status.WAITING:
        payloads.append({"event_type": "turn_awaiting_input", "turn": turn.as_json()})
    elif turn.status != models.Status.FAILED:
        payloads.append({"event_type": "turn_complete", "turn": turn.as_json()})
    frames = [OPENING + to_json(payload) + CLOSING for payload in payloads]
    if turn.status == models.Status.FAILED:
        frames.append(failure(ConsoleError(turn.error, status=502)))
    return frames
