"""The REST API: one line for each domain, one place for every failure."""

import asyncio
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.parser import Parser
from pydantic import ValidationError as ModelError
from pydantic_core import from_json, to_json

from apps.accounts.auth import by_method
from apps.agents.api import router as agents
from apps.core.answers import answer
from apps.core.api import ListRoutesResponse, RouteInfo
from apps.core.api import router as server
from apps.core.errors import BadRequest, ConsoleError, error_response, explain_model, explain_request
from apps.core.fields import NUL
from apps.core.middleware import answer_failure
from apps.datasets.api import io as datasetio
from apps.datasets.api import router as datasets
from apps.evals.api import router as evals
from apps.evals.scoring_api import router as scoring
from apps.inference.api import router as inference
from apps.providers.api import router as providers
from apps.telemetry.api import router as telemetry
from apps.telemetry.ingest_api import router as ingest
from stack_console.openapi import published

OLD_PATHS = "Deprecated paths"


class StrictJSON(Parser):
    """Reads bodies as JSON proper: no NaN, and no NUL characters, which no database text can hold."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the body's value; raises BadRequest with the place of the fault."""
        try:
            value = from_json(request.body, allow_inf_nan=False)
        except ValueError as error:
            raise BadRequest(f"The body is not valid JSON: {error}") from error
        if b"\\u0000" in request.body and NUL.search(request.body):
            raise BadRequest("The body holds a NUL character (\\u0000), which cannot be stored.")
        return value


class ConsoleAPI(NinjaAPI):
    """The API with the operations' own names as ids, and the older paths marked deprecated in its document."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Return the operation's name, told apart where it is mounted again for older clients."""
        return operation.view_func.__name__ + ("_v1" if OLD_PATHS in (operation.tags or []) else "")

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """Return the document that is published."""
        return published(super().get_openapi_schema(**options))


api = ConsoleAPI(
    title="Stack Console",
    version=settings.VERSION,
    description="The Llama Stack experimental API (v1alpha, v1beta) and the stable endpoints around it.",
    openapi_url=None,  # served below, to those who may call the API
    docs_url=None,
    auth=by_method,
    parser=StrictJSON(),
    urls_namespace="api",
)
api.add_router("/v1alpha", agents)
api.add_router("/v1", agents, url_name_prefix="v1", tags=[OLD_PATHS])
api.add_router("/v1beta", datasets)
api.add_router("/v1beta/datasetio", datasetio)
api.add_router("/v1", datasets, url_name_prefix="v1", tags=[OLD_PATHS])
api.add_router("/v1/datasetio", datasetio, url_name_prefix="v1", tags=[OLD_PATHS])
api.add_router("/v1alpha", telemetry)
api.add_router("/v1", telemetry, url_name_prefix="v1", tags=[OLD_PATHS])
api.add_router("/v1alpha/eval", evals)
api.add_router("/v1/eval", evals, url_name_prefix="v1", tags=[OLD_PATHS])
api.add_router("/v1", inference)
api.add_router("/v1", providers)
api.add_router("/v1", scoring)
api.add_router("/v1", ingest)
api.add_router("/v1", server)


@cache
def document() -> OpenAPISchema:
    """Return the published document, made once in a process: making it takes a good part of a second."""
    return api.get_openapi_schema()


@cache
def _document_json() -> bytes:
    return to_json(document())


@api.get("/openapi.json", include_in_schema=False)
async def openapi_document(request: HttpRequest) -> HttpResponse:
    """Return the published document as JSON."""
    return HttpResponse(await asyncio.to_thread(_document_json), content_type="application/json")


@api.get("/v1/inspect/routes", response=ListRoutesResponse, tags=["Server"])
async def list_routes(request: HttpRequest) -> HttpResponse:
    """List every served route, deprecated aliases too."""
    paths = (await asyncio.to_thread(document))["paths"]
    found = [
        RouteInfo(route=path, method=method.upper(), provider_types=[])
        for path, methods in paths.items()
        for method in methods
    ]
    return answer(ListRoutesResponse(data=sorted(found, key=lambda info: (info.route, info.method))))


@api.exception_handler(ValidationError)
def refuse_input(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Answer a request that does not fit its operation's schema."""
    return error_response(400, explain_request(error), getattr(request, "request_id", None))


@api.exception_handler(ModelError)
def refuse_value(request: HttpRequest, error: ModelError) -> HttpResponse:
    """Answer a value that does not fit a schema further in."""
    return error_response(400, explain_model(error), getattr(request, "request_id", None))


@api.exception_handler(HttpError)
def refuse(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Answer a refusal of the framework itself; a body it could not read says why by itself."""
    if isinstance(error.__cause__, ConsoleError):
        return answer_failure(request, error.__cause__)
    return error_response(error.status_code, str(error), getattr(request, "request_id", None))


@api.exception_handler(Exception)
def fail(request: HttpRequest, error: Exception) -> HttpResponse:
    """Answer everything else: the console's own errors as they are, bugs as 500."""
    return answer_failure(request, error)
