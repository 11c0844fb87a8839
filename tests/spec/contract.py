"""The published contract: does an answer fit its operation, and does our own OpenAPI document say the same?

``make spec`` runs this file: it prints every difference and nothing when there is none. ``COVERED`` grows with the
console: an operation that is built is listed here.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.spec.normal import plain, without_null

Json = Any
CONTRACT: dict[str, Any] = json.loads(Path(__file__).with_name("contract.json").read_text())
BUILT = ("/v1alpha/agents", "/v1beta/datasets", "/v1beta/datasetio", "/v1alpha/telemetry", "/v1alpha/eval")
COVERED = [path for path in CONTRACT["paths"] if path.startswith(BUILT)]
OURS_ALONE = [
    ("post", "/v1alpha/agents/{agent_id}/session/{session_id}/turn/{turn_id}/cancel"),
    ("get", "/v1alpha/agents/{agent_id}/session/{session_id}/turn/{turn_id}/events"),
]
# The published page type leaves its items open; these are what they hold.
ITEMS = {"/v1alpha/agents": "Agent", "/v1alpha/agents/{agent_id}/sessions": "Session"}
METHODS = ("get", "post", "delete", "put", "patch")
PREFIX = re.compile(r"^/v1(alpha|beta)?(?=/)")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

formats = FormatChecker(formats=())
formats.checks("date-time")(lambda value: not isinstance(value, str) or MOMENT.fullmatch(value) is not None)
# "auto" is one of the named tool choices and a string: exactly one of both cannot be meant.
LENIENT = json.loads(json.dumps(CONTRACT).replace('"oneOf"', '"anyOf"'))
registry: Registry = Registry().with_resource(
    "urn:contract", Resource.from_contents(LENIENT, default_specification=DRAFT202012)
)


def operation_of(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """Return the template and the operation a real path belongs to, aliases included; raises KeyError."""
    for template, operations in CONTRACT["paths"].items():
        pattern = PREFIX.sub("/v1(?:alpha|beta)?", re.sub(r"\{\w+\}", "[^/]+", template))
        if method.lower() in operations and re.fullmatch(pattern, path.split("?")[0]):
            return template, operations[method.lower()]
    raise KeyError(f"{method} {path} is not in the contract")


def problems(method: str, path: str, status: int, body: Json) -> list[str]:
    """Return what is wrong with an answer, an empty list when it is as published."""
    template, operation = operation_of(method, path)
    response = resolve(operation["responses"].get(str(status)) or operation["responses"]["default"], CONTRACT)
    if "content" not in response:
        return [] if body is None else [f"the answer has no body in the contract, this one has: {body!r}"]
    found = faults(response["content"]["application/json"]["schema"], body)
    if (method, status) == ("GET", 200) and template in ITEMS and not found:
        for item in body["data"]:
            found += faults({"$ref": f"#/components/schemas/{ITEMS[template]}"}, item)
    if status != 200 and body.get("status") != status:
        found.append(f"the body says status {body.get('status')}, the answer has {status}")
    return found


def frame_problems(frame: Json) -> list[str]:
    """Return what is wrong with one frame of a turn's stream."""
    return faults({"$ref": "#/components/schemas/AgentTurnResponseStreamChunk"}, frame)


def faults(schema: Json, value: Json) -> list[str]:
    """Return where and why ``value`` does not fit ``schema`` of the contract."""
    absolute = json.loads(json.dumps(schema).replace('"#/', '"urn:contract#/'))
    validator = Draft202012Validator(absolute, registry=registry, format_checker=formats)
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


def resolve(value: Json, document: Json) -> Json:
    """Return what a reference of an OpenAPI document points at, or the value itself."""
    while isinstance(value, dict) and "$ref" in value:
        found: Json = document
        for key in value["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        value = found
    return value


def differences(ours: Json) -> list[str]:
    """Return how our OpenAPI document departs from the contract on the covered paths, line by line."""
    lines: list[str] = []
    for path in COVERED:
        alias = PREFIX.sub("/v1", path)
        for method in [name for name in METHODS if name in CONTRACT["paths"][path]]:
            published = _shape(CONTRACT["paths"][path][method], CONTRACT)
            for served in (path, alias):
                lines += _differences_at(ours, served, method, published, is_alias=served == alias)
    for method, path in OURS_ALONE:
        if method not in ours["paths"].get(path, {}):
            lines.append(f"{method} {path}: not served")
    return lines


def _differences_at(ours: Json, path: str, method: str, published: Json, *, is_alias: bool) -> Iterator[str]:
    operation = ours["paths"].get(path, {}).get(method)
    if operation is None:
        yield f"{method} {path}: not served"
        return
    if bool(operation.get("deprecated")) != is_alias:
        yield f"{method} {path}: {'not ' if is_alias else ''}marked deprecated"
    for place, theirs, mine in _compare(published, _shape(operation, ours), ""):
        yield f"{method} {path}{place}: contract {_short(theirs)}, ours {_short(mine)}"


def _shape(operation: Json, document: Json) -> Json:
    parameters = [resolve(one, document) for one in operation.get("parameters", [])]
    body = resolve(operation.get("requestBody"), document) or {}
    responses = {status: resolve(one, document) for status, one in operation["responses"].items()}
    return {
        "parameters": {
            f"{one['in']} {one['name']}": {
                "required": bool(one.get("required")),
                "schema": without_null(plain(one["schema"], document)),
            }
            for one in parameters
        },
        "body": {"required": bool(body.get("required")), **_content(body, document)} if body else None,
        "responses": {status: _content(one, document) for status, one in responses.items()},
    }


def _content(value: Json, document: Json) -> Json:
    kinds = {kind: plain(one.get("schema", {}), document) for kind, one in (value.get("content") or {}).items()}
    # "No body" is answered as the value null; a document may say either.
    return {} if kinds == {"application/json": {"type": "null"}} else kinds


def _compare(theirs: Json, mine: Json, place: str) -> Iterator[tuple[str, Json, Json]]:
    if isinstance(theirs, dict) and isinstance(mine, dict):
        for key in sorted({*theirs, *mine}):
            yield from _compare(theirs.get(key, "absent"), mine.get(key, "absent"), f"{place} › {key}")
    elif theirs != mine:
        yield place, theirs, mine


def _short(value: Json) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) < 200 else f"{text[:200]}…"


def main() -> int:
    """Print the differences of the running code's document; return 1 when there are any."""
    import django

    django.setup()
    from stack_console.api import api

    document = json.loads(json.dumps(api.get_openapi_schema(path_prefix="")))
    lines = differences(document)
    for line in lines:
        print(line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
