"""What a span was asked and what it answered, as a person reads it: messages, calls, results, documents.

Knows the names of our own spans, of OpenTelemetry's GenAI conventions, of OpenInference and of Traceloop; what none of
them fits is shown as the value it is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from apps.agents.values import Shown, as_value, cut
from apps.core.content import text_of
from apps.telemetry.models import Kind, Span
from apps.telemetry.records import INPUTS, OUTPUTS, role_of

Json = dict[str, Any]
SIDES = {"Input": ("request", *INPUTS, "__args__"), "Output": OUTPUTS}
NUMBERED = {
    "Input": re.compile(r"(?:gen_ai\.prompt|llm\.input_messages)\.(\d+)\.(?:message\.)?(role|content)"),
    "Output": re.compile(r"(?:gen_ai\.completion|llm\.output_messages)\.(\d+)\.(?:message\.)?(role|content)"),
}
DOCUMENT = re.compile(r"retrieval\.documents\.(\d+)\.document\.(content|id|score)")
PART = 2_048  # characters shown of one text until all is asked for
ALL = 500_000


@dataclass(frozen=True, slots=True)
class Call:
    """A call a model asked for."""

    name: str
    arguments: Shown
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """One message; ``text`` is its words, the first of them when there are many."""

    role: str
    text: Shown
    calls: list[Call] = field(default_factory=list)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One passage that was found or given."""

    title: str
    text: Shown
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """One side of a span, in the form that fits it best; ``raw`` is what was recorded."""

    title: str
    raw: Shown
    said: list[Said] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    value: Shown | None = None

    @property
    def is_cut(self) -> bool:
        """Whether some of it is not shown."""
        texts = [said.text for said in self.said] + [document.text for document in self.documents]
        texts += [call.arguments for said in self.said for call in said.calls]
        return any(shown.whole for shown in (*texts, *([self.value] if self.value else [])))


def bodies_of(span: Span, limit: int = PART) -> list[Body]:
    """Return input and output of a span, whichever were recorded, long texts cut to ``limit``."""
    found = []
    for title in SIDES:
        recorded = _recorded(span.attributes, title)
        if recorded is not None:
            found.append(_body(span, title, recorded, limit))
    return found


def _recorded(attributes: Json, title: str) -> Any:
    for name in SIDES[title]:
        if attributes.get(name) not in (None, ""):
            return attributes[name]
    messages: dict[int, Json] = {}
    documents: dict[int, Json] = {}
    for name, value in attributes.items():
        if found := NUMBERED[title].fullmatch(name):
            messages.setdefault(int(found[1]), {"role": "assistant"})[found[2]] = value
        elif title == "Output" and (found := DOCUMENT.fullmatch(name)):
            documents.setdefault(int(found[1]), {})[found[2]] = value
    if messages:
        return [message for _, message in sorted(messages.items())]
    return {"documents": [one for _, one in sorted(documents.items())]} if documents else None


def _body(span: Span, title: str, recorded: Any, limit: int) -> Body:
    raw, value = cut(recorded, limit), as_value(recorded)
    if span.kind in (Kind.TOOL, Kind.RETRIEVAL):
        value = _of_tool(value, title, str(span.attributes.get("tool_name") or ""))
    said = list(_messages(value, limit))
    documents = list(_documents(value, limit))
    if said or documents:
        return Body(title, raw, said, documents)
    return Body(title, raw, value=cut(value, limit))


def _of_tool(value: Any, title: str, tool_name: str) -> Any:
    """Return what a tool was given, or gave back, out of the message that holds it."""
    if isinstance(value, dict) and title == "Input" and isinstance(value.get("tool_calls"), list):
        calls = [call for call in value["tool_calls"] if isinstance(call, dict)]
        mine = [call for call in calls if _name_of(call) == tool_name] or calls
        return as_value(_arguments_of(mine[0])) if len(mine) == 1 else [_arguments_of(call) for call in mine]
    if isinstance(value, dict) and title == "Output" and "content" in value:
        content = value["content"]
        return as_value(content if isinstance(content, str) else text_of(content))
    return value


def _messages(value: Any, limit: int) -> Iterator[Said]:
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    some = value if isinstance(value, list) else [value]
    read = [as_value(one) for one in some]
    if read and all(_is_message(one) for one in read):
        for message in read:
            yield _said(message, limit)


def _is_message(value: Any) -> bool:
    # Our own output of a model has no role: it is the assistant's.
    return isinstance(value, dict) and (
        ("role" in value and ("content" in value or "parts" in value)) or {"content", "tool_calls"} <= value.keys()
    )


def _said(message: Json, limit: int) -> Said:
    parts = [part for part in message.get("parts") or [] if isinstance(part, dict)]
    words = _words(message.get("content"))
    words += "\n".join(_words(part.get("content", part.get("response"))) for part in parts if not _is_call(part))
    asked = [*(message.get("tool_calls") or []), *(part for part in parts if _is_call(part))]
    calls = [
        Call(
            _name_of(call), cut(as_value(_arguments_of(call)), limit), str(call.get("call_id") or call.get("id") or "")
        )
        for call in asked
        if isinstance(call, dict)
    ]
    return Said(role_of(message), cut(words, limit), calls, str(message.get("tool_name") or ""))


def _is_call(part: Json) -> bool:
    return part.get("type") == "tool_call"


def _words(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    texts = [one for one in (content if isinstance(content, list) else [content]) if isinstance(one, dict | str)]
    pictures = sum(isinstance(one, dict) and one.get("type") in ("image", "image_url") for one in texts)
    return text_of(texts) + (f"\n({pictures} picture{'s' * (pictures > 1)})" if pictures else "")


def _name_of(call: Json) -> str:
    function = call.get("function")
    told = function if isinstance(function, dict) else call
    return str(told.get("tool_name") or told.get("name") or "?")


def _arguments_of(call: Json) -> Any:
    function = call.get("function")
    return (function if isinstance(function, dict) else call).get("arguments", "")


def _documents(value: Any, limit: int) -> Iterator[Document]:
    found = value.get("documents") if isinstance(value, dict) else None
    for place, one in enumerate(found if isinstance(found, list) else [], 1):
        if isinstance(one, dict) and one.get("content") is not None:
            score = one.get("score")
            yield Document(
                str(one.get("id") or one.get("mime_type") or f"Document {place}"),
                cut(_words(one["content"]) if not isinstance(one["content"], str) else one["content"], limit),
                score if isinstance(score, int | float) else None,
            )
