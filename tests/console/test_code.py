"""The "Code" of lists: each shows the call that reads the same by the API."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from tests import build
from tests.evals import made

LISTS = {
    "/benchmarks/": "/v1alpha/eval/benchmarks",
    "/scorers/": "/v1/scoring-functions",
    "/datasets/": "/v1beta/datasets",
    "/agents/": "/v1alpha/agents",
    "/models/": "/v1/models",
    "/providers/": "/v1/providers",
}


@pytest.fixture
def reader(people: dict[str, Any]) -> Client:
    """A viewer's browser, and one of each thing."""
    made.dataset()
    made.benchmark()
    build.agent(name="Support desk")
    build.model(build.provider())
    client = Client()
    client.force_login(people["viewer"])
    return client


def block(page: str, name: str) -> str:
    return html.unescape(page.partition(f'id="{name}"')[2].partition(">")[2].partition("</div>")[0])


@pytest.mark.parametrize(("path", "call"), LISTS.items())
def test_a_list_shows_its_call_and_opens_what_it_answers(reader: Client, path: str, call: str) -> None:
    page = reader.get(path).content.decode()

    assert 'data-dialog="code"' in page
    assert f'curl "http://testserver{call}"' in block(page, "curl-list") and "client." in block(page, "python-list")
    link = re.search(r'href="([^"]+)" data-ui="code-json"', page)
    assert link and link[1] == call
    assert reader.get(call).json()["data"]


def test_the_list_of_evaluations_shows_how_a_run_is_read(reader: Client) -> None:
    assert 'data-ui="code"' not in reader.get("/evaluations/").content.decode(), "there is nothing to read yet"
    run = made.evaluation([1.0])

    page = reader.get("/evaluations/").content.decode()

    result = f"/v1alpha/eval/benchmarks/bench/jobs/{run.job.job_id}/result"
    assert f'curl "http://testserver{result}"' in block(page, "curl-result") and f'href="{result}"' in page
