"""Who is evaluated: a model or an agent, made ready once and asked row by row."""

from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from pydantic import ValidationError

from apps.agents import history, preparation, runtime
from apps.agents.models import Agent, Session
from apps.agents.schemas import (
    AgentConfig,
    AgentTurnResponseTurnAwaitingInputPayload,
    AgentTurnResponseTurnCompletePayload,
    InputMessage,
)
from apps.agents.turn_state import TurnState
from apps.core.content import text_of
from apps.core.errors import BadRequest, ConsoleError
from apps.core.ids import new_id
from apps.evals import asked, schemas
from apps.inference import chat, spans
from apps.inference.chat import Target
from apps.inference.sampling import chat_parameters
from apps.inference.schemas import UserMessage

Json = dict[str, Any]
SEARCH_TOOL = "knowledge_search"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a candidate answered to one row, as the API's generation, and what that took."""

    generation: Json
    input_tokens: int | None = None
    output_tokens: int | None = None


Ask = Callable[[Json], Coroutine[Any, Any, Answer]]


async def ready(candidate: schemas.EvalCandidate) -> Ask:
    """Return the function that asks the candidate a row.

    Raises NotFound or BadRequest for a candidate that cannot be asked at all; the function raises ConsoleError for a
    row that cannot be asked or was not answered.
    """
    if isinstance(candidate, schemas.ModelCandidate):
        return await _model(candidate)
    return await _agent(candidate.config)


def name_of(candidate: schemas.EvalCandidate) -> str:
    """Return the candidate in words: its model, or its agent's name and model."""
    if isinstance(candidate, schemas.ModelCandidate):
        return candidate.model[:255]
    config = candidate.config
    return f"{config.name} · {config.model}"[:255] if config.name else f"agent · {config.model}"[:255]


async def _model(candidate: schemas.ModelCandidate) -> Ask:
    target = await chat.find(candidate.model)
    parameters = chat_parameters(candidate.sampling_params, None)
    system = candidate.system_message
    told = [{"role": "system", "content": history.to_openai(_plain(system.content))}] if system else []

    async def ask(row: Json) -> Answer:
        return await _complete(target, {"messages": [*told, *asked.messages_of(row)], **parameters})

    return ask


async def _complete(target: Target, body: Json) -> Answer:
    with spans.calling("chat", target, body["messages"]) as span:
        whole = await chat.complete(target, body)
        usage = whole.get("usage")
        spans.count(span, usage)
        message = (whole.get("choices") or [{}])[0].get("message") or {}
        spans.note(span, "output", message)
    content = message.get("content")
    return Answer({"generated_answer": content if isinstance(content, str) else ""}, *_tokens(usage))


async def _agent(config: AgentConfig) -> Ask:
    """Make ready an agent that lives as long as its evaluation: it is never stored, nor are its sessions and turns."""
    agent = Agent(agent_id=new_id(), agent_config=config, name=config.name or "")
    await preparation.prepared(Session(agent=agent, session_id=new_id()), [], None, None)  # fails before the first row

    async def ask(row: Json) -> Answer:
        messages: list[InputMessage] = [*_spoken(row)]
        session = Session(agent=agent, session_id=new_id())
        turn = await preparation.prepared(session, messages, None, None)
        inputs = [message.model_dump(mode="json", exclude_none=True) for message in messages]
        turn.messages = history.turn_messages(inputs, [], [], with_context=True)
        return await _turn(turn)

    return ask


async def _turn(turn: TurnState) -> Answer:
    async with aclosing(runtime.take_turn(turn)) as events:  # type: ignore[type-var]
        async for event in events:
            last = event.payload
    if isinstance(last, AgentTurnResponseTurnAwaitingInputPayload):
        names = ", ".join(sorted({call.tool_name for call in turn.waiting_for}))
        raise ConsoleError(f"The agent waits for its caller to run {names}; in an evaluation nobody does.", status=400)
    assert isinstance(last, AgentTurnResponseTurnCompletePayload)
    output = last.turn.output_message
    generation: Json = {"generated_answer": text_of(output.content)}
    context = _found(turn)
    if context:
        generation["context"] = context
    return Answer(generation, turn.usage.get("input_tokens"), turn.usage.get("output_tokens"))


def _found(turn: TurnState) -> str:
    """Return what the agent's searches found."""
    texts = [
        text_of(response.content)
        for step in turn.steps
        if step.step_type == "tool_execution"
        for response in step.tool_responses
        if response.tool_name == SEARCH_TOOL
    ]
    return "\n".join(filter(None, texts))


def _spoken(row: Json) -> list[UserMessage]:
    """Return all a person says in a row, as the messages of one turn."""
    said = [one for one in asked.messages_of(row) if one["role"] == "user"]
    if not said:
        raise BadRequest("The row holds no message of a user to ask an agent.")
    try:
        return [UserMessage.model_validate({"role": "user", "content": _as_items(one["content"])}) for one in said]
    except ValidationError as error:
        raise BadRequest("The row's messages hold content an agent does not take.") from error


def _as_items(content: Any) -> Any:
    """Return OpenAI's content in the API's own form."""
    if isinstance(content, str):
        return content
    return [
        {"type": "image", "image": {"url": {"uri": part["image_url"]["url"]}}} if part["type"] == "image_url" else part
        for part in content
    ]


def _plain(content: Any) -> Any:
    if isinstance(content, list):
        return [_plain(item) for item in content]
    return content.model_dump(mode="json", exclude_none=True) if hasattr(content, "model_dump") else content


def _tokens(usage: Any) -> tuple[int | None, int | None]:
    usage = usage if isinstance(usage, dict) else {}
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    return tuple(count if isinstance(count, int) and 0 <= count < 2**31 else None for count in counts)  # type: ignore[return-value]


async def judge(model_id: str, prompt: str) -> str:
    """Return what a model answers to a prompt, without randomness; raises ConsoleError."""
    target = await chat.find(model_id)
    answer = await _complete(target, {"messages": [{"role": "user", "content": prompt}], "temperature": 0})
    return str(answer.generation["generated_answer"])


def at_once() -> int:
    """Return how many rows are asked at the same time."""
    return max(1, int(settings.EVAL_AT_ONCE))
