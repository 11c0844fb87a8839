"""What a turn leaves in the database. Plain units for the writer thread; each is one transaction."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.timezone import now
from pydantic_core import to_jsonable_python

from apps.agents import schemas
from apps.agents.models import Pending, Session, Status, Step, Turn
from apps.agents.turn_state import TurnState
from apps.core.errors import Conflict, NotFound
from apps.core.ids import new_id
from apps.core.process import is_dead, this_process

Json = dict[str, Any]
WATCHED = ("id", "turn_id", "session_id", "status", "process", "heartbeat_at")  # what tells whether a turn lives
LOST = "The server stopped while this turn ran. What it had written is kept."


def begin(session: Session, newest: int | None, row: Turn, here: set[int]) -> list[str] | None:
    """Insert a turn that follows the turn ``newest``; a turn that waits is closed with its calls unanswered.

    Returns the ids of turns closed so; None, with nothing inserted, when the session has moved on since its history
    was read. ``here`` are the turns this process runs. Raises NotFound, Conflict while another turn of it runs.
    """
    _lock(session)
    last = _newest(session)
    if last is not None and last.status == Status.RUNNING:
        if not _is_lost(last, here):
            raise Conflict(
                f"Turn '{last.turn_id}' of this session is still running. Wait for it, or stop it with "
                f"POST …/turn/{last.turn_id}/cancel."
            )
        end_lost(last)
        return None
    if (last.pk if last else None) != newest:
        return None
    closed = []
    if last is not None and close_waiting(last.pk, "A new message was sent before the tools were answered."):
        closed.append(last.turn_id)
    row.session = session
    row.process = this_process()
    row.save(force_insert=True)
    return closed


def resume(turn: Turn, answered_by: str, live_from: int, trace_id: str) -> None:
    """Move a waiting turn (or the newest finished one) back to running; raises Conflict when somebody was faster."""
    _lock(turn.session)
    newest = _newest(turn.session)
    waits = Turn.objects.filter(pk__in=[turn.pk] if newest == turn else [], status=turn.status)
    changed = waits.update(
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


def _lock(session: Session) -> None:
    # The update holds the session's row until the commit, so that of two that begin at once one sees the other.
    if not Session.objects.filter(pk=session.pk).update(last_used_at=now()):
        raise NotFound(f"Session '{session.session_id}' was deleted just now.")


def _newest(session: Session) -> Turn | None:
    return Turn.objects.filter(session=session).order_by("-id").only(*WATCHED).first()


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


def finish(row: int, state: TurnState, ended: schemas.Turn) -> bool:
    """Store how a turn ended, or what it waits for; return False when it is no longer this process's to end."""
    waits = bool(state.waiting_for)
    status = Status.WAITING if waits else Status.CANCELLED if state.is_stopped else Status.COMPLETED
    changed = _mine(row).update(
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
    return bool(changed)


def fail(row: int, state: TurnState, error: str, partial: Json | None) -> None:
    """End a turn of this process that cannot go on; the text it had written becomes a step."""
    _end(_mine(row), row, error, partial, infer_iters=state.infer_iters, **state.usage)


def end_lost(turn: Turn) -> bool:
    """End a turn whose process died, with a message that says so and the text it had stored.

    Returns False when the turn showed a sign of life, or ended, since ``turn`` was read.
    """
    rows = Turn.objects.filter(pk=turn.pk, status=Status.RUNNING, process=turn.process, heartbeat_at=turn.heartbeat_at)
    partial = rows.values_list("partial", flat=True).first()
    return _end(rows, turn.pk, LOST, partial, completed_at=turn.heartbeat_at)


def recover(here: set[int]) -> list[tuple[str, str]]:
    """End every turn left running by a dead process; return their session and turn ids."""
    watched = Turn.objects.filter(status=Status.RUNNING).select_related("session").only(*WATCHED, "session__session_id")
    lost = [turn for turn in watched if _is_lost(turn, here) and end_lost(turn)]
    return [(turn.session.session_id, turn.turn_id) for turn in lost]


def close_waiting(row: int, reason: str) -> bool:
    """End a waiting turn with its calls unanswered; return whether it was waiting."""
    changed = Turn.objects.filter(pk=row, status=Status.WAITING).update(
        status=Status.CANCELLED, completed_at=now(), waiting_since=None, error=reason
    )
    Pending.objects.filter(turn_id=row).delete()
    return bool(changed)


def beat(partials: dict[int, Json | None], moment: datetime) -> list[int]:
    """Store the text so far and a sign of life of this process's turns; return those that have to stop.

    A turn stops when somebody asked for it, or when another process took it for lost and ended it.
    """
    gone = [row for row, text in partials.items() if not _mine(row).update(partial=text, heartbeat_at=moment)]
    return gone + list(Turn.objects.filter(pk__in=partials, stop_requested=True).values_list("pk", flat=True))


def count_waiting() -> int:
    """Return how many turns wait for a person."""
    return Turn.objects.filter(status=Status.WAITING).count()


def _mine(row: int) -> QuerySet[Turn]:
    return Turn.objects.filter(pk=row, status=Status.RUNNING, process=this_process())


def _is_lost(turn: Turn, here: set[int]) -> bool:
    """Whether nobody runs the turn any more; a slow clock or a locked database is no death of one's own turns."""
    silent = now() - turn.heartbeat_at > timedelta(seconds=settings.TURN_LOST_AFTER_S)
    if turn.process == this_process():
        return silent and turn.pk not in here
    return silent or is_dead(turn.process)


def _end(rows: QuerySet[Turn], row: int, error: str, partial: Json | None, **facts: Any) -> bool:
    """End a running turn badly in one statement, so that whoever ended it first stays right."""
    error = error.replace("\0", "")
    changed = rows.update(
        status=Status.FAILED,
        error=error,
        output_message={"role": "assistant", "content": error, "stop_reason": "end_of_turn", "tool_calls": []},
        partial=None,
        **{"completed_at": now(), **facts},
    )
    if changed:
        _keep_partial(Turn.objects.get(pk=row), partial)
    return bool(changed)


def _keep_partial(turn: Turn, partial: Json | None) -> None:
    if not partial or not partial.get("text"):
        return
    message = {"role": "assistant", "content": partial["text"], "stop_reason": "end_of_turn", "tool_calls": []}
    moment = max(turn.completed_at or now(), turn.started_at)
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
