"""How an agent takes a turn. Knows models, tools and shields as functions; knows no database and no web.

``take_turn`` yields what happens, in the order of the specification. ``plan`` decides what comes next from what has
happened so far; the step functions (``look``, ``infer``, ``execute``) do one thing each.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

from pydantic_core import to_json

from apps.agents import schemas
from apps.agents.inference_step import infer
from apps.agents.tool_step import answered_step, execute
from apps.agents.turn_state import Event, TurnState, as_json, default_refusal, stopping
from apps.inference.schemas import CompletionMessage
from apps.safety.schemas import SafetyViolation

UNSEEN = SafetyViolation(
    violation_level="error", user_message="The turn was stopped before its answer was checked.", metadata={}
)
StepFunction = Callable[[TurnState], AsyncIterator[Event]]


async def take_turn(turn: TurnState) -> AsyncIterator[Event]:
    """Yield the events of a turn from its start, or from the answers it waited for, to its end or its next wait.

    Failures of the model or of a shield are raised; failures of a tool are told to the model.
    """
    if not turn.is_resumed:
        yield Event(schemas.AgentTurnResponseTurnStartPayload(turn_id=turn.turn_id))
    for step in plan(turn):
        async for event in step(turn):
            yield event
    yield turn.ended()


def plan(turn: TurnState) -> Iterator[StepFunction]:
    """Yield the next step until there is none: shields, then the model and its tools, then shields."""
    if turn.is_resumed:
        yield answered_step
    if turn.input_shields:
        yield partial(look, touchpoint="user-input")
    while not turn.is_over and not turn.stop_asked and turn.infer_iters < turn.config.max_infer_iters:
        yield infer
        for call in turn.calls_for_server():
            if not turn.stop_asked:
                yield partial(execute, call=call)
        turn.decide()
    turn.is_stopped = turn.stop_asked
    if turn.output_shields and turn.answer is not None:
        yield partial(look, touchpoint="assistant-output")


async def look(turn: TurnState, touchpoint: str) -> AsyncIterator[Event]:
    """Run all shields of a touchpoint at once; the first violation of level ``error``, in list order, blocks."""
    shields = turn.input_shields if touchpoint == "user-input" else turn.output_shields
    started = turn.start_step("shield_call", {"touchpoint": touchpoint})
    began = turn.tick()
    with turn.span("run_shields", step_id=started.step_id, touchpoint=touchpoint) as span:
        messages = list(turn.messages)
        if touchpoint == "assistant-output" and turn.answer is not None:
            messages.append({"role": "assistant", "content": turn.answer.content})
        turn.note(span, "input", [to_json(message).decode() for message in messages])
        # What a stop kept the shields from seeing is not let out.
        violations = [UNSEEN] if touchpoint == "assistant-output" else []
        with stopping(turn):
            violations = [found for found in await turn.run_shields(shields, messages) if found is not None]
        blocking = next((found for found in violations if found.violation_level == "error"), None)
        violation = blocking or next(iter(violations), None)
        turn.note(span, "output", as_json(violation) if violation else "no violations")
        if violation:
            span.set_attribute("violation_level", violation.violation_level)  # told even where content is not
    details = schemas.ShieldCallStep(
        turn_id=turn.turn_id, step_id=started.step_id, started_at=began, completed_at=turn.tick(), violation=violation
    )
    if blocking is not None:
        turn.block(
            CompletionMessage(
                content=blocking.user_message or default_refusal(touchpoint), stop_reason="end_of_turn", tool_calls=[]
            )
        )
    for event in turn.release(blocked=blocking is not None):
        yield event
    yield Event(started)
    yield turn.complete_step(details)
