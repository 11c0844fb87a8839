"""Datasets under both prefixes."""

import httpx2
import pytest

from tests.spec.calls import Checked


@pytest.fixture(params=["/v1beta", "/v1"])
def calls(request: pytest.FixtureRequest, api: httpx2.AsyncClient) -> Checked:
    return Checked(api, request.param)


@pytest.fixture
def beta(api: httpx2.AsyncClient) -> Checked:
    return Checked(api, "/v1beta")
