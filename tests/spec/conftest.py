"""The API under both prefixes, and a session whose model asks its caller."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests import build
from tests.spec.calls import Checked


@pytest.fixture(params=["/v1alpha", "/v1"])
def calls(request: pytest.FixtureRequest, api: httpx2.AsyncClient) -> Checked:
    return Checked(api, request.param)


@pytest.fixture
def asking(scripted: Callable[..., str]) -> Any:
    """A session whose model calls the caller's tool twice at once, then sums up."""
    call = {"name": "get_weather", "arguments": {"city": "Porto"}}
    model = scripted({"text": "Let me see. ", "tool_calls": [call, call]}, "Sunny in Porto.")
    return build.session(build.agent(model=model, client_tools=[build.tool()]))
