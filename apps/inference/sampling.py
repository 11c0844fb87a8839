"""Sampling parameters and response formats as a chat-completions server takes them (SEMANTICS 1.9)."""

from typing import Any

from opentelemetry import trace

from apps.core.errors import BadRequest, NotBuiltIn
from apps.inference.schemas import (
    GreedySamplingStrategy,
    JsonSchemaResponseFormat,
    ResponseFormat,
    SamplingParams,
    TopKSamplingStrategy,
    TopPSamplingStrategy,
)

GRAMMAR_NAMES = ("grammar", "bnf", "root")


def chat_parameters(sampling: SamplingParams | None, response_format: ResponseFormat | None) -> dict[str, Any]:
    """Return the OpenAI parameters of a call; a limit of 0 tokens is no limit and is not sent."""
    sampling = sampling or SamplingParams(strategy=GreedySamplingStrategy())
    parameters = _strategy(sampling)
    if sampling.max_tokens:
        parameters["max_tokens"] = sampling.max_tokens
    if sampling.repetition_penalty != 1.0:
        parameters["repetition_penalty"] = sampling.repetition_penalty
    if sampling.stop:
        parameters["stop"] = sampling.stop
    return parameters | _format(response_format)


def _strategy(sampling: SamplingParams) -> dict[str, Any]:
    strategy = sampling.strategy
    if isinstance(strategy, TopPSamplingStrategy):
        chosen: dict[str, Any] = {"top_p": strategy.top_p}
        return chosen if strategy.temperature is None else {"temperature": strategy.temperature, **chosen}
    if isinstance(strategy, TopKSamplingStrategy):
        # Not every server knows it; those that do not ignore it, and the trace says so.
        trace.get_current_span().add_event("top_k is an extension: servers that do not know it ignore it")
        return {"top_k": strategy.top_k}
    return {"temperature": 0}


def _format(response_format: ResponseFormat | None) -> dict[str, Any]:
    if response_format is None:
        return {}
    if isinstance(response_format, JsonSchemaResponseFormat):
        schema = response_format.json_schema
        wrapped = {"name": _name(schema.get("title")), "schema": schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": wrapped}}
    return {"response_format": {"type": "grammar", "bnf": response_format.bnf}}


def grammar_of(body: dict[str, Any]) -> str | None:
    """Return the grammar a chat body asks for, as GBNF text; None when it asks for none.

    The API's ``bnf`` is an object and says no more: its text stands under ``grammar``, ``bnf`` or ``root`` (then it is
    the rule of that name). Raises BadRequest when none of them holds text.
    """
    asked = body.get("response_format")
    if not isinstance(asked, dict) or asked.get("type") != "grammar":
        return None
    bnf = asked.get("bnf")
    bnf = bnf if isinstance(bnf, dict) else {}
    found = next((name for name in GRAMMAR_NAMES if isinstance(bnf.get(name), str) and bnf[name].strip()), None)
    if found is None:
        raise BadRequest("response_format.bnf: give the grammar as GBNF text under the name 'grammar'")
    text = str(bnf[found])
    return f"root ::= {text}" if found == "root" and "::=" not in text else text


def refuse_grammar(body: dict[str, Any], provider: str) -> None:
    """Raise NotBuiltIn when a body asks for a grammar of a provider that has no field for one."""
    asked = body.get("response_format")
    if isinstance(asked, dict) and asked.get("type") == "grammar":
        raise NotBuiltIn(
            f"response_format: provider '{provider}' takes no grammar; use json_schema, or an embedded model."
        )


def _name(title: Any) -> str:
    """Return a schema's title as the name servers accept: letters, digits, dashes, at most 64."""
    name = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in str(title or "")
    )
    return name[:64] or "response"
