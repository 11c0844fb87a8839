"""Turns that happened: rows as the engine leaves them, without running it."""

from datetime import timedelta
from itertools import count
from typing import Any

from django.utils.timezone import now

from apps.agents import models, schemas
from tests import build

_numbers = count(1)


def answered(content: str = "", *calls: dict[str, Any], stop_reason: str = "end_of_turn") -> dict[str, Any]:
    """Return a model's message."""
    return {"role": "assistant", "content": content, "stop_reason": stop_reason, "tool_calls": list(calls)}


def call(name: str = "get_weather", arguments: str = '{"city": "Oslo"}') -> dict[str, Any]:
    """Return a tool call with an id of its own."""
    return {"call_id": f"call-{next(_numbers)}", "tool_name": name, "arguments": arguments}


def turn(session: Any, text: str = "Hello", answer: str = "Hi there", **fields: Any) -> models.Turn:
    """Return a finished turn with one inference step."""
    row = models.Turn.objects.create(
        **{
            "session": session, "status": "completed", "input_messages": [build.said(text)],
            "output_message": answered(answer), "completed_at": now(), "input_tokens": 7, "output_tokens": 5,
            **fields,
        }
    )  # fmt: skip
    if row.status != "running":
        step(row, "inference", model_response=answered(answer))
    return row


def step(row: models.Turn, step_type: str, facts: dict[str, Any] | None = None, **details: Any) -> models.Step:
    """Return a stored step of a turn, 10 ms long."""
    begun = row.started_at + timedelta(milliseconds=20 * row.steps.count())
    ended = begun + timedelta(milliseconds=10)
    made = models.Step(turn=row, step_type=step_type, facts=facts or {}, started_at=begun, completed_at=ended)
    made.details = {
        "step_type": step_type, "turn_id": row.turn_id, "step_id": made.step_id,
        "started_at": schemas.rfc3339(begun), "completed_at": schemas.rfc3339(ended), **details,
    }  # fmt: skip
    made.save()
    return made


def used_tool(row: models.Turn, asked: dict[str, Any], result: str, **metadata: Any) -> models.Step:
    """Return the step of an answered call."""
    response = {"call_id": asked["call_id"], "tool_name": asked["tool_name"], "content": result, "metadata": metadata}
    return step(row, "tool_execution", tool_calls=[asked], tool_responses=[response])


def waiting(session: Any, *asked: dict[str, Any], **fields: Any) -> models.Turn:
    """Return a turn that waits for these calls."""
    calls = asked or (call(),)
    message = answered("", *calls, stop_reason="end_of_message")
    row = models.Turn.objects.create(
        session=session, status="waiting", input_messages=[build.said("Hello")], output_message=message,
        waiting_since=now(), **fields,
    )  # fmt: skip
    step(row, "inference", model_response=message)
    for one in calls:
        models.Pending.objects.create(
            turn=row, call_id=one["call_id"], tool_name=one["tool_name"], arguments=one["arguments"]
        )
    return row
