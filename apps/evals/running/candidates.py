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
from apps.core.errors import BadRequest, ConsoleError, ProviderError
from apps.core.ids import new_id
from apps.evals import schemas
from apps.evals.running import asked, spending
from apps.inference import chat, spans
from apps.inference.chat import Target
from apps.inference.sampling import chat_parameters
from apps.inference.schemas import UserMessage

Json = dict[str, Any]
SEARCH_TOOL = "knowledge_search"
NO_COMPLETIONS = (
    "'completion_input' needs a server that goes on with a text (POST /completions); "
    "ask one that only chats by 'messages' or 'question'."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a candidate answered to one row, as the API's generation, and what that took."""

    generation: Json
    input_tokens: int | None = None
    output_tokens: int | None = None
    duration_ms: int = 0  # of the candidate alone
    is_cut: bool = False  # whether the model said that it stopped at its limit of tokens


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
    name = (candidate.config.name or "").replace("\0", "")
    return f"{name or 'agent'} · {candidate.config.model}"[:255]


def model_of(candidate: schemas.EvalCandidate) -> str:
    """Return the model a candidate asks."""
    return candidate.model if isinstance(candidate, schemas.ModelCandidate) else candidate.config.model


async def _model(candidate: schemas.ModelCandidate) -> Ask:
    target = await chat.find(candidate.model)
    system = _plain(candidate.system_message.content) if candidate.system_message else None
    told = [{"role": "system", "content": history.to_openai(system)}] if system else []

    async def ask(row: Json) -> Answer:
        parameters = chat_parameters(candidate.sampling_params, None)  # what it remarks stands in the row's trace
        prompt = asked.prompt_of(row)
        if prompt is not None:  # a completion knows no roles: what a system message says stands before the text
            return await _continue(target, {"prompt": _joined(text_of(system), prompt), **parameters})
        return await _complete(target, {"messages": [*told, *asked.messages_of(row)], **parameters})

    return ask


def _joined(system: str, prompt: str) -> str:
    return f"{system}\n\n{prompt}" if system else prompt


async def _continue(target: Target, body: Json) -> Answer:
    with spans.calling("text_completion", target, body["prompt"]) as span:
        try:
            whole = await chat.text_completion(target, body)
        except ProviderError as error:
            if error.status == 404:
                raise ProviderError(f"{error.detail} {NO_COMPLETIONS}", status=404) from error
            raise
        spans.count(span, whole.get("usage"))
        choice = whole["choices"][0]
        spans.note(span, "output", choice["text"])
    return Answer({"generated_answer": choice["text"]}, *tokens_of(whole.get("usage")), is_cut=_is_cut(choice))


async def _complete(target: Target, body: Json) -> Answer:
    with spans.calling("chat", target, body["messages"]) as span:
        whole = await chat.complete(target, body)
        usage = whole.get("usage")
        spans.count(span, usage)
        choice = whole["choices"][0]
        spans.note(span, "output", choice["message"])
        return Answer({"generated_answer": _said(choice["message"])}, *tokens_of(usage), is_cut=_is_cut(choice))


def _is_cut(choice: Json) -> bool:
    return choice.get("finish_reason") == "length"


def _said(message: Json) -> str:
    """Return what a model answered; raises ProviderError for one that only calls tools, which nobody offered it."""
    content = message.get("content")
    text = text_of(content) if isinstance(content, str | list) else ""
    if message.get("tool_calls") and not text:
        raise ProviderError("The model gave no answer: it called tools, and none was offered.", status=400)
    return text


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
    is_cut = output.stop_reason == "out_of_tokens"
    return Answer(generation, turn.usage.get("input_tokens"), turn.usage.get("output_tokens"), is_cut=is_cut)


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


def tokens_of(usage: Any) -> tuple[int | None, int | None]:
    """Return what a model server counted, in and out; None for what it did not tell, or told as nonsense."""
    usage = usage if isinstance(usage, dict) else {}
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    return tuple(count if isinstance(count, int) and 0 <= count < 2**31 else None for count in counts)  # type: ignore[return-value]


async def judge(model_id: str, prompt: str) -> str:
    """Return what a model answers to a prompt, without randomness; raises ConsoleError."""
    target = await chat.find(model_id)
    answer = await _complete(target, {"messages": [{"role": "user", "content": prompt}], "temperature": 0})
    spending.note(model_id, answer.input_tokens, answer.output_tokens)
    return str(answer.generation["generated_answer"])


async def asked_at_once(candidate: schemas.EvalCandidate) -> int:
    """Return how many rows the candidate is asked at the same time: no more than its provider works on at once.

    More would only wait there, before people's questions too, and their wait would count as the candidate's time.
    Raises NotFound or BadRequest for a candidate whose model cannot be asked.
    """
    target = await chat.find(model_of(candidate))
    return min(at_once(), target.provider.at_once or at_once())


def at_once() -> int:
    """Return how many rows are worked on at the same time at most."""
    return max(1, int(settings.EVAL_AT_ONCE))
