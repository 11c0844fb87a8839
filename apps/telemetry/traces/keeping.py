"""Spans kept as rows of a dataset: what a row holds for each purpose, which spans are meant, and what leads back.

A model call becomes what it was asked and what it answered; a tool call, or anything else, its input and its output.
Messages are told as turns that are kept tell them, in OpenAI's form.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Max, QuerySet
from pydantic_core import to_json

from apps.agents import history
from apps.core.content import text_of as words_of
from apps.datasets.models import Dataset, Purpose, Row
from apps.telemetry.models import Kind, Span, Trace
from apps.telemetry.records import INPUTS, OUTPUTS, role_of

Json = dict[str, Any]
CHUNK = 500
LOOKED_BACK = 20_000  # rows of a dataset in which an earlier copy of a span is looked for
# Which spans of the chosen traces are meant: key and label.
WHICH = {"inf": "Model calls", "last": "The last model call of each trace", "tool": "Tool calls", "all": "All spans"}


@dataclass(frozen=True, slots=True)
class Kept:
    """A span as a row, its text ready to be stored, and where it came from; ``why`` says why there is no row."""

    row: Json | None
    origin: Json
    why: str = ""

    @property
    def text(self) -> str:
        """The row as it is stored."""
        return _stored(self.row or {})


@dataclass(slots=True)
class Rows:
    """What spans become: rows, and how many were left out for which reason."""

    kept: list[Kept] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.kept)

    def leave_out(self, why: str, count: int = 1) -> None:
        """Count spans that become no row."""
        self.left_out[why] = self.left_out.get(why, 0) + count


def rows_of(spans: Iterable[Span], purpose: str) -> Rows:
    """Return spans as rows for this purpose, in their order; they come with their trace loaded."""
    rows = Rows()
    for span in spans:
        kept = row_of(span, purpose)
        if kept.row is None:
            rows.leave_out(kept.why)
        else:
            rows.kept.append(kept)
    return rows


def row_of(span: Span, purpose: str) -> Kept:
    """Return a span as a row for this purpose."""
    origin = origin_of(span)
    asked, answer = messages_of(span), answer_of(span)
    if not asked:
        return Kept(None, origin, "without a recorded input")
    if answer is None:
        return Kept(None, origin, "without a recorded output")
    if purpose == Purpose.TRAINING:
        return Kept({"messages": [*asked, answer]}, origin)
    text = words_of(answer["content"])
    if not text:
        return Kept(None, origin, "that answered with calls and no text")
    if purpose == Purpose.MESSAGES:
        return Kept({"messages": asked, "answer": text}, origin)
    people = [message for message in asked if message["role"] == "user"]
    question = words_of((people or asked)[-1]["content"])
    return Kept({"question": question, "answer": text}, origin)


def origin_of(span: Span) -> Json:
    """Return what leads from a row back to its span."""
    told = {
        "kind": "span",
        "trace_id": span.trace.trace_id,
        "span_id": span.span_id,
        "span_name": span.name,
        "session_id": span.session_id or span.trace.session_id,
        "turn_id": span.turn_id or span.trace.turn_id,
        "agent_id": span.agent_id or span.trace.agent_id,
    }
    return {name: value for name, value in told.items() if value}


def messages_of(span: Span) -> list[Json]:
    """Return what a span was asked as messages; one of a person for what is no conversation."""
    value = _told(span, INPUTS)
    if value is None:
        return []
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if isinstance(value, list) and value and all(isinstance(one, dict) and "role" in one for one in value):
        return [_message(one) for one in value]
    return [{"role": "user", "content": value if isinstance(value, str) else _stored(value)}]


def answer_of(span: Span) -> Json | None:
    """Return what a span answered as a message of the assistant; None when it told nothing."""
    value = _told(span, OUTPUTS)
    if isinstance(value, list) and value and isinstance(value[-1], dict) and ("role" in value[-1]):
        value = value[-1]
    if value is None or value == "":
        return None
    if isinstance(value, dict) and span.kind == Kind.INFERENCE and ({"content", "tool_calls", "parts"} & value.keys()):
        answer = _message({"role": "assistant", **value})
        return answer if answer["content"] or answer.get("tool_calls") else None
    return {"role": "assistant", "content": value if isinstance(value, str) else _stored(value)}


def _told(span: Span, names: Sequence[str]) -> Any:
    """Return the first of these attributes that is there, read where it is JSON text."""
    for name in names:
        value = span.attributes.get(name)
        if value in (None, ""):
            continue
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            try:
                return json.loads(value)
            except ValueError:
                return value
        return value
    return None


def _message(told: Json) -> Json:
    """Return a message as datasets hold it; OpenTelemetry's parts become content and calls."""
    message: Json = {"role": role_of(told), "content": told.get("content")}
    if isinstance(told.get("parts"), list):
        message |= _of_parts(told["parts"])
    message["content"] = "" if message["content"] is None else message["content"]
    if isinstance(told.get("tool_calls"), list) and told["tool_calls"]:
        message["tool_calls"] = [_call(call) for call in told["tool_calls"]]
    if called := told.get("tool_call_id") or told.get("call_id"):
        message["tool_call_id"] = called
    return message


def _call(told: Any) -> Json:
    """Return a call in OpenAI's form, from the API's or from a part of OpenTelemetry's message."""
    if not isinstance(told, dict) or "function" in told:
        return told if isinstance(told, dict) else {}
    arguments = told.get("arguments")
    return history.call_json(
        {
            "call_id": str(told.get("call_id") or told.get("id") or ""),
            "tool_name": str(told.get("tool_name") or told.get("name") or ""),
            "arguments": arguments if isinstance(arguments, str) else _stored(arguments),
        }
    )


def _of_parts(parts: list[Any]) -> Json:
    items = [part for part in parts if isinstance(part, dict)]
    texts = [str(part.get("content", part.get("text", ""))) for part in items if part.get("type", "text") == "text"]
    answers = [part for part in items if part.get("type") == "tool_call_response"]
    calls = [_call(part) for part in items if part.get("type") == "tool_call"]
    texts += [_stored(part.get("response", part.get("result"))) for part in answers]
    message: Json = {"content": "\n".join(texts)}
    if answers:
        message["tool_call_id"] = str(answers[0].get("id", ""))
    return message | ({"tool_calls": calls} if calls else {})


def _stored(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return to_json(value).decode()
    except ValueError:  # half a character
        return json.dumps(value)


def spans_of(traces: QuerySet[Trace], which: str) -> QuerySet[Span]:
    """Return the spans of these traces that are meant, in no order."""
    spans = Span.objects.filter(trace__in=traces.order_by().values("pk")).order_by()
    if which == "last":
        newest = spans.filter(kind=Kind.INFERENCE).values("trace").annotate(newest=Max("pk")).values("newest")
        return Span.objects.filter(pk__in=newest).order_by()
    return spans if which == "all" else spans.filter(kind=which)


def in_chunks(spans: QuerySet[Span], above: int = 0) -> Iterator[list[Span]]:
    """Yield spans with their traces in order of arrival, some at a time."""
    rows = spans.select_related("trace").defer("events", "links").order_by("pk")
    while some := list(rows.filter(pk__gt=above)[:CHUNK]):
        yield some
        above = some[-1].pk


def kept_in(dataset: Dataset) -> set[tuple[str, str]]:
    """Return trace and span of the newest rows of a dataset that were spans."""
    end = dataset.next_position
    rows = Row.objects.filter(dataset_id=dataset.pk, position__gte=end - LOOKED_BACK, position__lt=end)
    origins = rows.filter(origin__contains='"span_id"').values_list("origin", flat=True)
    return {
        (origin["trace_id"], origin["span_id"])
        for origin in origins
        if isinstance(origin, dict) and "span_id" in origin
    }


def without(rows: Rows, kept: set[tuple[str, str]]) -> Rows:
    """Return the rows whose spans are not among those kept already, and remember them in the set."""
    left = Rows(left_out=dict(rows.left_out))
    for one in rows.kept:
        spot = (one.origin["trace_id"], one.origin["span_id"])
        if spot in kept:
            left.leave_out("that are in it already")
        else:
            kept.add(spot)
            left.kept.append(one)
    return left
