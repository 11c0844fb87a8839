"""The published OpenAPI document: what the framework writes, with failures and older paths added."""

from typing import Any, TypeVar

from pydantic.json_schema import models_json_schema

from apps.agents.schemas import AgentTurnResponseStreamChunk
from apps.core.errors import TITLES, Error
from apps.core.middleware import ALIAS_PATH
from apps.datasets.schemas import AppendRowsRequest, RegisterDatasetRequest

D = TypeVar("D", bound=dict[str, Any])
# What no signature names: the failure, the frames of streams, bodies that an operation reads by itself.
READ_BY_HAND = (Error, AgentTurnResponseStreamChunk, RegisterDatasetRequest, AppendRowsRequest)
REF = "#/components/schemas/{model}"
FAILURES = {
    "400": "BadRequest400",
    "429": "TooManyRequests429",
    "500": "InternalServerError500",
    "default": "DefaultError",
}


def published(document: D) -> D:
    """Return the document with its Error answers, the frames of streams, and the aliases marked deprecated."""
    components = document["components"]
    _, extra = models_json_schema([(schema, "serialization") for schema in READ_BY_HAND], ref_template=REF)
    components["schemas"] = extra["$defs"] | components.get("schemas", {})
    components["responses"] = {name: _failure(status) for status, name in FAILURES.items()}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            failures = {status: {"$ref": f"#/components/responses/{name}"} for status, name in FAILURES.items()}
            operation["responses"] = {str(status): told for status, told in operation["responses"].items()} | failures
            if ALIAS_PATH.match(path):
                operation["deprecated"] = True
    return document


def _failure(status: str) -> dict[str, Any]:
    title = TITLES[int(status)] if status.isdigit() else "Any other failure"
    return {"description": title, "content": {"application/json": {"schema": {"$ref": REF.format(model="Error")}}}}
