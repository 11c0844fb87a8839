"""What a server tells of itself: that it lives, its version, its routes."""

from typing import Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver
from ninja import Router

from apps.core.answers import answer
from apps.core.middleware import is_api
from apps.core.spec import SpecModel

router = Router(tags=["Server"])


class HealthInfo(SpecModel):
    """Whether the server answers."""

    status: Literal["OK", "Error", "Not Implemented"]


class VersionInfo(SpecModel):
    """Which version answers."""

    version: str


class RouteInfo(SpecModel):
    """A route of the API."""

    route: str
    method: str
    provider_types: list[str]


class ListRoutesResponse(SpecModel):
    """Every route of the API."""

    data: list[RouteInfo]


@router.get("/health", response=HealthInfo, auth=None)
async def health(request: HttpRequest) -> HttpResponse:
    """Say that the server is up; needs no key."""
    return answer(HealthInfo(status="OK"))


@router.get("/version", response=VersionInfo, auth=None)
async def version(request: HttpRequest) -> HttpResponse:
    """Return the version of the server; needs no key."""
    return answer(VersionInfo(version=settings.VERSION))


@router.get("/inspect/routes", response=ListRoutesResponse)
async def list_routes(request: HttpRequest) -> HttpResponse:
    """List every served route, deprecated aliases too."""
    return answer(ListRoutesResponse(data=_routes()))


def _routes() -> list[RouteInfo]:
    found = []
    for resolver in get_resolver().url_patterns:
        for pattern in resolver.url_patterns if isinstance(resolver, URLResolver) else [resolver]:
            if not isinstance(pattern, URLPattern):
                continue
            route = _readable(str(pattern.pattern))
            operations = getattr(getattr(pattern.callback, "__self__", None), "operations", [])
            methods = sorted({method for operation in operations for method in operation.methods})
            found += [RouteInfo(route=route, method=method, provider_types=[]) for method in methods if is_api(route)]
    return sorted(found, key=lambda info: (info.route, info.method))


def _readable(pattern: str) -> str:
    for old, new in (("<path:", "{"), ("<str:", "{"), ("<", "{"), (">", "}")):
        pattern = pattern.replace(old, new)
    return "/" + pattern.lstrip("/")
