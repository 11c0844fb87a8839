"""What a server tells of itself: that it lives, and its version; its routes are told where they meet."""

from typing import Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Router

from apps.core.answers import answer
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
