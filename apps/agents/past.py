"""What a session has been, as its next turn needs it: reads only, a few queries whatever its length."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from apps.agents import history
from apps.agents.models import Session, Status, Step, Turn
from apps.core.errors import BadRequest, Conflict
from apps.inference.schemas import ToolCall, ToolResponse

Said = tuple[list[Any], list[Any], list[Any]]  # input messages, documents' content, steps
_calls: TypeAdapter[list[ToolCall]] = TypeAdapter(list[ToolCall])


@dataclass
class Loaded:
    """A session as a turn needs it: its agent, its past, and the newest turn."""

    session: Session
    newest: int | None
    past: list[Said] = field(default_factory=list)


def load(agent_id: str, session_id: str) -> Loaded:
    """Return a session with all it has been; raises NotFound."""
    session = Session.objects.of(agent_id, session_id)
    turns, past = _past(session.pk, None)
    return Loaded(session, turns[-1] if turns else None, past)


def _past(session: int, before: int | None) -> tuple[list[int], list[Said]]:
    """Return the ids of a session's turns and what each said, in two queries whatever their number."""
    turns = Turn.objects.filter(session_id=session)
    steps = Step.objects.filter(turn__session_id=session)
    if before is not None:
        turns, steps = turns.filter(pk__lt=before), steps.filter(turn_id__lt=before)
    rows = list(turns.values_list("pk", "input_messages", "documents_content"))
    of_turn: dict[int, list[Any]] = {}
    for turn_id, details in steps.values_list("turn_id", "details") if rows else ():
        of_turn.setdefault(turn_id, []).append(details)
    return [pk for pk, _, _ in rows], [(inputs, papers, of_turn.get(pk, [])) for pk, inputs, papers in rows]


def load_turn(agent_id: str, session_id: str, turn_id: str) -> tuple[Turn, list[Said]]:
    """Return the newest turn of a session and what came before it; raises NotFound, Conflict for an older turn."""
    turn = Turn.objects.of(agent_id, session_id, turn_id)
    if Turn.objects.filter(session_id=turn.session_id, pk__gt=turn.pk).exists():
        raise Conflict(f"Turn '{turn_id}' is not the newest of its session and cannot be resumed.")
    return turn, _past(turn.session_id, turn.pk)[1]


def answered_calls(turn: Turn, responses: list[ToolResponse]) -> list[ToolCall]:
    """Return the calls these responses answer, in their order; raises Conflict or BadRequest when they do not fit."""
    asked = _calls.validate_python((turn.output_message or {}).get("tool_calls") or [])
    given = [response.call_id for response in responses]
    twice = next((call_id for call_id in given if given.count(call_id) > 1), None)
    if twice is not None:
        raise BadRequest(f"tool_responses: call '{twice}' is answered twice.")
    if turn.status != Status.WAITING:
        known = {call["call_id"] for step in turn.steps.all() for call in step.details.get("tool_calls") or []}
        # Clients that parse calls out of the text themselves answer calls this server never saw.
        if turn.status == Status.COMPLETED and given and not asked and not known & set(given):
            return []
        raise Conflict(f"Turn '{turn.turn_id}' does not wait for tools; it is {turn.get_status_display().lower()}.")
    ids = [call.call_id for call in asked]
    unknown = [call_id for call_id in given if call_id not in ids]
    missing = [call_id for call_id in ids if call_id not in given]
    if unknown:
        raise BadRequest(f"tool_responses: the turn has no open call '{unknown[0]}'. Open: {', '.join(ids)}.")
    if missing:
        raise BadRequest(f"tool_responses: call '{missing[0]}' is not answered; the turn keeps waiting.")
    return asked


def own_messages(turn: Turn, calls: list[ToolCall]) -> list[Any]:
    """Return what this turn said so far, the open calls kept because their answers follow."""
    open_calls = {call.call_id for call in calls}
    steps = [step.details for step in turn.steps.all()]
    messages = history.turn_messages(turn.input_messages, turn.documents_content, steps, with_context=True)
    last = next((step for step in reversed(steps) if step["step_type"] == "inference"), None)
    if last is None or not open_calls:
        return messages
    asked = last["model_response"].get("tool_calls") or []
    here = {call["call_id"] for call in asked} - open_calls
    before = history.turn_messages(
        turn.input_messages, turn.documents_content, steps[: steps.index(last)], with_context=True
    )
    answers = [message for message in messages if message.get("tool_call_id") in here]
    calling = {"role": "assistant", "content": "", "tool_calls": [history.call_json(call) for call in asked]}
    return [*before, calling, *answers]


def usage(turn: Turn) -> dict[str, Any]:
    """Return what a turn has cost so far."""
    return {name: getattr(turn, name) for name in ("input_tokens", "output_tokens", "first_token_ms")}
