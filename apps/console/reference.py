"""The API reference: a page made from the published OpenAPI document. Knows its form, and no operation by name."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from apps.accounts.models import Role
from apps.accounts.pages import requires
from apps.console.shapes import USUAL, Field, Json, Shapes, told
from apps.inference import chat
from apps.inference.models import Model

Document = Callable[[], Json]
EXPERIMENTAL = ("/v1alpha", "/v1beta")
STREAM = "text/event-stream"
ALIAS_ID = re.compile(r"(_openai)?_v1$")


@dataclass(frozen=True)
class Parameter:
    """A part of the address or of the query."""

    name: str
    place: str
    kind: SafeString
    about: SafeString
    required: bool
    is_list: bool


@dataclass(frozen=True)
class Operation:
    """One thing the API does."""

    id: str
    tag: str
    method: str
    path: str
    about: SafeString
    role: str
    deprecated: bool
    parameters: tuple[Parameter, ...]
    body: tuple[Field, ...]
    example: Any
    answers: tuple[tuple[str, SafeString], ...]
    streams: bool
    is_hidden: bool = False

    @property
    def words(self) -> str:
        """What a filter looks in."""
        return f"{self.method} {self.path} {self.id} {self.about} {self.tag}".lower()

    @property
    def example_text(self) -> str:
        """The example as JSON to edit."""
        return json.dumps(self.example, indent=2, ensure_ascii=False)

    @property
    def curl_path(self) -> str:
        """The address for a shell: its parts are variables."""
        return re.sub(r"{(\w+)}", lambda part: "$" + part[1].upper(), self.path)


@dataclass(frozen=True)
class Alias:
    """An older address of an operation."""

    method: str
    path: str
    now: Operation | None


@dataclass(frozen=True)
class Group:
    """The operations of one domain."""

    title: str
    operations: tuple[Operation, ...]

    @property
    def is_hidden(self) -> bool:
        """Whether a filter hides all of it."""
        return all(one.is_hidden for one in self.operations)

    def matching(self, words: list[str]) -> "Group":
        """Return the group with the operations hidden that lack one of the words."""
        return Group(
            self.title,
            tuple(replace(one, is_hidden=not all(word in one.words for word in words)) for one in self.operations),
        )


@dataclass(frozen=True)
class Type:
    """A named schema."""

    name: str
    about: SafeString
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Reference:
    """What the page shows."""

    groups: tuple[Group, ...]
    aliases: tuple[Alias, ...]
    types: tuple[Type, ...]

    @property
    def is_empty(self) -> bool:
        """Whether a filter left nothing."""
        return all(group.is_hidden for group in self.groups)

    def matching(self, text: str) -> "Reference":
        """Return the reference with the operations hidden that lack a word of the text."""
        words = text.lower().split()
        if not words:
            return self
        return replace(self, groups=tuple(group.matching(words) for group in self.groups))


@require_safe
@requires("viewer")
def api_reference(request: HttpRequest, document: Document) -> HttpResponse:
    """Return the reference of the API that ``document`` describes, filtered by ``?q=``."""
    text = request.GET.get("q", "").strip()
    reference = reference_of(document, async_to_sync(chat.default)() or "PROVIDER/MODEL", _embedding_model())
    shown = {"reference": reference.matching(text), "text": text, "origin": f"{request.scheme}://{request.get_host()}"}
    return render(request, "console/reference.html", shown)


def _embedding_model() -> str:
    found = Model.objects.filter(model_type="embedding", enabled=True).values_list("identifier", flat=True)
    return found.first() or "PROVIDER/MODEL"


@lru_cache(maxsize=4)
def reference_of(document: Document, model: str, embedding_model: str) -> Reference:
    """Return what the document says; its examples name these two models."""
    content = document()
    models = {"model": model, "OpenaiEmbeddingsRequest.model": embedding_model}
    shapes = Shapes(content["components"]["schemas"], USUAL | models)
    told_all = list(_operations(content["paths"], shapes))
    current = [one for one in told_all if not one.deprecated]
    tags = sorted({one.tag for one in current}, key=lambda tag: _order(tag, current))
    return Reference(
        groups=tuple(Group(tag, tuple(one for one in current if one.tag == tag)) for tag in tags),
        aliases=tuple(_alias(one, current) for one in told_all if one.deprecated),
        types=tuple(
            Type(name, told(schema.get("description", "")), shapes.flat(name))
            for name, schema in sorted(shapes.schemas.items())
        ),
    )


def _order(tag: str, operations: list[Operation]) -> tuple[bool, str]:
    """Place the experimental API first, then what surrounds it."""
    return not any(one.path.startswith(EXPERIMENTAL) for one in operations if one.tag == tag), tag


def _operations(paths: Json, shapes: Shapes) -> Iterator[Operation]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield _operation(method.upper(), path, operation, shapes)


def _operation(method: str, path: str, operation: Json, shapes: Shapes) -> Operation:
    body = _content(operation.get("requestBody", {})).get("application/json")
    example = shapes.example(body) if body else None
    return Operation(
        id=operation["operationId"],
        tag=operation["tags"][0],
        method=method,
        path=path,
        about=told(operation.get("description") or operation["summary"]),
        role=operation.get("x-role") or (Role.VIEWER if method == "GET" else Role.OPERATOR),
        deprecated=operation.get("deprecated", False),
        parameters=tuple(_parameter(part, shapes) for part in operation.get("parameters", [])),
        body=shapes.fields(body) if body else (),
        example=example,
        answers=tuple(_answers(method, operation["responses"], shapes)),
        streams="stream" in (example or ()) or any(STREAM in _media(part) for part in operation["responses"].values()),
    )


def _parameter(part: Json, shapes: Shapes) -> Parameter:
    schema = part["schema"]
    options = [schema, *schema.get("anyOf", [])]
    return Parameter(
        name=part["name"],
        place=part["in"],
        kind=shapes.kind(schema),
        about=told(part.get("description", "")),
        required=part.get("required", False),
        is_list=any(option.get("type") == "array" for option in options),
    )


def _answers(method: str, responses: Json, shapes: Shapes) -> Iterator[tuple[str, SafeString]]:
    """Yield each success with what it holds; failures are alike everywhere and told once."""
    for status, answer in responses.items():
        if not status.startswith("2"):
            continue
        kinds = [(media, shapes.kind(schema)) for media, schema in _content(answer).items()]
        named = format_html_join(
            " or ", "{}{}", (("a stream of " if media == STREAM else "", kind) for media, kind in kinds)
        )
        yield status, named or SafeString("nothing" if method == "DELETE" else "JSON")


def _media(answer: Json) -> Json:
    content: Json = answer.get("content", {})
    return content


def _content(part: Json) -> Json:
    return {media: told_as.get("schema", {}) for media, told_as in _media(part).items()}


def _alias(old: Operation, current: list[Operation]) -> Alias:
    name = ALIAS_ID.sub("", old.id)
    return Alias(old.method, old.path, next((one for one in current if one.id == name), None))
