"""What a turn leaves in the database. Plain units for the writer thread; each is one transaction."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.timezone import now
from pydantic_core import to_jsonable_python

from apps.agents import schemas
from apps.agents.models import Pending, Session, Status, Step, Turn
from apps.agents.turn_state import TurnState
from apps.core.errors import Conflict
from apps.core.ids import new_id
from apps.core.process import is_dead, this_process

Json = dict[str, Any]
LOST = "The server stopped while this turn ran. What it had written is kept."


def begin(session: Session, newest: int | None, row: Turn) -> bool:
    """Insert a turn that follows the turn ``newest``; a turn that waits is closed with its calls unanswered.

    Returns False, with nothing inserted, when the session has moved on since its history was read; raises Conflict
    while another turn of it runs.
    """
    last = (
        Turn.objects.filter(session=session)
        .order_by("-id")
        .only("id", "turn_id", "status", "process", "heartbeat_at")
        .first()
    )
    if last is not None and last.status == Status.RUNNING:
        if not _is_lost(last):
            raise Conflict(
                f"Turn '{last.turn_id}' of this session is still running. Wait for it, or stop it with "
                f"POST …/turn/{last.turn_id}/cancel."
            )
        end_lost(last.pk)
        return False
    if (last.pk if last else None) != newest:
        return False
    if last is not None and last.status == Status.WAITING:
        close_waiting(last.pk, "A new message was sent before the tools were answered.")
    row.session = session
    row.process = this_process()
    row.save(force_insert=True)
    Session.objects.filter(pk=session.pk).update(last_used_at=row.started_at)
    return True


def resume(turn: Turn, answered_by: str, live_from: int, trace_id: str) -> None:
    """Move a waiting turn (or the newest finished one) back to running; raises Conflict when somebody was faster."""
    changed = Turn.objects.filter(pk=turn.pk, status=turn.status).update(
        status=Status.RUNNING,
        process=this_process(),
        heartbeat_at=now(),
        live_from=live_from,
        trace_id=trace_id,
        completed_at=None,
        waiting_since=None,
        answered_by=answered_by,
        answered_at=now(),
        stop_requested=False,
    )
    if not changed:
        raise Conflict(f"Turn '{turn.turn_id}' was answered by somebody else just now.")
    Pending.objects.filter(turn_id=turn.pk).delete()


def store_step(row: int, step: schemas.Step, details: Json, facts: Json) -> None:
    """Insert a finished step."""
    Step.objects.create(
        turn_id=row,
        step_id=step.step_id,
        step_type=step.step_type,
        details=details,
        facts=facts,
        started_at=step.started_at or now(),
        completed_at=step.completed_at or now(),
    )


def finish(row: int, state: TurnState, ended: schemas.Turn) -> None:
    """Store how a turn ended, or what it waits for."""
    waits = bool(state.waiting_for)
    status = Status.WAITING if waits else Status.CANCELLED if state.is_stopped else Status.COMPLETED
    changed = Turn.objects.filter(pk=row, status=Status.RUNNING).update(
        status=status,
        output_message=to_jsonable_python(ended.output_message, exclude_none=True),
        output_attachments=to_jsonable_python(state.attachments, exclude_none=True),
        infer_iters=state.infer_iters,
        partial=None,
        waiting_since=now() if waits else None,
        completed_at=None if waits else ended.completed_at,
        **state.usage,
    )
    if changed and waits:
        Pending.objects.bulk_create(
            Pending(turn_id=row, call_id=call.call_id, tool_name=call.tool_name, arguments=call.arguments)
            for call in state.waiting_for
        )


def fail(row: int, state: TurnState | None, error: str, partial: Json | None) -> None:
    """End a running turn that cannot go on; the text it had written becomes a step."""
    turn = Turn.objects.filter(pk=row, status=Status.RUNNING).first()
    if turn is None:
        return
    _keep_partial(turn, partial)
    turn.status = Status.FAILED
    turn.error = error
    turn.output_message = {"role": "assistant", "content": error, "stop_reason": "end_of_turn", "tool_calls": []}
    turn.partial = None
    turn.completed_at = now()
    turn.infer_iters = state.infer_iters if state else turn.infer_iters
    for name, value in (state.usage if state else {}).items():
        setattr(turn, name, value)
    turn.save()


def end_lost(row: int) -> None:
    """End a turn whose process died, with a message that says so and the text it had stored."""
    turn = Turn.objects.filter(pk=row).first()
    if turn is not None:
        fail(row, None, LOST, turn.partial)


def recover() -> list[tuple[str, str]]:
    """End every turn left running by a dead process; return their session and turn ids."""
    lost = [turn for turn in Turn.objects.filter(status=Status.RUNNING).select_related("session") if _is_lost(turn)]
    for turn in lost:
        end_lost(turn.pk)
    return [(turn.session.session_id, turn.turn_id) for turn in lost]


def close_waiting(row: int, reason: str) -> bool:
    """End a waiting turn with its calls unanswered; return whether it was waiting."""
    changed = Turn.objects.filter(pk=row, status=Status.WAITING).update(
        status=Status.CANCELLED, completed_at=now(), waiting_since=None, error=reason
    )
    Pending.objects.filter(turn_id=row).delete()
    return bool(changed)


def beat(partials: dict[int, Json | None], moment: datetime) -> list[int]:
    """Store the text so far and a sign of life of running turns; return those somebody asked to stop."""
    for row, partial in partials.items():
        Turn.objects.filter(pk=row, status=Status.RUNNING).update(partial=partial, heartbeat_at=moment)
    return list(Turn.objects.filter(pk__in=partials, stop_requested=True).values_list("pk", flat=True))


def count_waiting() -> int:
    """Return how many turns wait for a person."""
    return Turn.objects.filter(status=Status.WAITING).count()


def _is_lost(turn: Turn) -> bool:
    silent = now() - turn.heartbeat_at > timedelta(seconds=settings.TURN_LOST_AFTER_S)
    return silent or is_dead(turn.process)


def _keep_partial(turn: Turn, partial: Json | None) -> None:
    if not partial or not partial.get("text"):
        return
    message = {"role": "assistant", "content": partial["text"], "stop_reason": "end_of_turn", "tool_calls": []}
    moment = max(now(), turn.started_at)
    last = turn.steps.order_by("-id").first()
    began = max(last.completed_at, turn.started_at) + timedelta(microseconds=1) if last else turn.started_at
    step = schemas.InferenceStep.model_validate(
        {
            "turn_id": turn.turn_id,
            "step_id": partial.get("step_id") or new_id(),
            "model_response": message,
            "started_at": began,
            "completed_at": max(moment, began + timedelta(microseconds=1)),
        }
    )
    if not Step.objects.filter(step_id=step.step_id).exists():
        store_step(turn.pk, step, step.model_dump(mode="json", exclude_none=True), {"is_partial": True})
