"""A turn kept as a row of a dataset: what the row holds for each purpose, and where it came from."""

from typing import Any

from apps.agents import history, models
from apps.core.content import text_of
from apps.datasets.models import Row

Json = dict[str, Any]
LOOKED_BACK = 2_000  # rows in which an earlier copy of the turn is looked for


def row_of(turn: models.Turn, purpose: str) -> Json:
    """Return the turn as a row for this purpose."""
    steps = [step.details for step in turn.steps.all()]
    said = history.turn_messages(turn.input_messages, turn.documents_content, steps)
    answer = text_of((turn.output_message or {}).get("content", ""))
    if purpose == "post-training/messages":
        instructions = turn.session.agent.agent_config.instructions
        return {"messages": [*history.system_message(instructions, [], "append"), *said]}
    asked = [message for message in said if message["role"] == "user"]
    if purpose == "eval/messages-answer":
        return {"messages": asked, "answer": answer}
    return {"question": "\n\n".join(str(message["content"]) for message in asked), "answer": answer}


def origin_of(turn: models.Turn) -> Json:
    """Return what leads from the row back to the turn."""
    session = turn.session
    return {
        "kind": "turn",
        "turn_id": turn.turn_id,
        "session_id": session.session_id,
        "session_name": session.session_name,
        "agent_id": session.agent.agent_id,
        "trace_id": turn.trace_id,
    }


def is_kept(turn: models.Turn, dataset_pk: int, end: int) -> bool:
    """Return whether the turn is among the newest rows of a dataset already."""
    newest = Row.objects.filter(dataset_id=dataset_pk, position__gte=end - LOOKED_BACK, position__lt=end)
    return newest.filter(origin__contains=turn.turn_id).exists()
