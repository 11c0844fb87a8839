"""The API reference: made from the published document, whole, readable without script, small."""

import gzip
import re
from html import unescape
from pathlib import Path

import pytest
from django.test import Client
from pydantic_core import from_json

from apps.console.shapes import Shapes
from stack_console.api import api
from tests import build

PAGE = "/docs/api/"
STATIC = Path(__file__).resolve().parents[2] / "static"


def page_for(role: str, query: str = "") -> str:
    """Return the page as a person of this role is sent it."""
    browser = Client()
    browser.force_login(build.user(role), backend="django.contrib.auth.backends.ModelBackend")
    answer = browser.get(PAGE + query)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.django_db
def test_every_operation_of_the_document_is_on_the_page() -> None:
    page = page_for("operator")

    for path, methods in api.get_openapi_schema()["paths"].items():
        for method, operation in methods.items():
            if operation.get("deprecated"):
                assert f"{method.upper()} {path}<" in page
            else:
                assert f'id="{operation["operationId"]}"' in page


@pytest.mark.django_db
def test_every_link_within_the_page_leads_somewhere() -> None:
    page = page_for("operator")

    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) - set(ids) == set()


@pytest.mark.django_db
def test_the_page_is_small() -> None:
    assert len(gzip.compress(page_for("operator").encode(), 6)) <= 60 * 1024
    assert len(gzip.compress((STATIC / "reference.js").read_bytes(), 9)) <= 2 * 1024


@pytest.mark.django_db
def test_calls_are_offered_to_those_who_may_make_them() -> None:
    reads, writes = page_for("viewer"), page_for("operator")

    assert 'data-ui="try-list_agents"' in reads
    assert 'data-ui="try-query_traces"' in reads  # a POST that only reads
    assert 'data-ui="try-create_agent"' not in reads
    assert 'data-ui="try-create_agent"' in writes


@pytest.mark.django_db
def test_a_filter_works_without_script() -> None:
    page = page_for("viewer", "?q=delete+session")

    shown = re.findall(r'data-ui="op-(\w+)"><summary>', page)
    assert set(shown) == {"delete_agent", "delete_agents_session"}


@pytest.mark.django_db
def test_a_filter_that_finds_nothing_says_so() -> None:
    assert 'data-ui="no-match" hidden' in page_for("viewer")
    assert 'data-ui="no-match">' in page_for("operator", "?q=zebra")


async def test_the_example_of_a_body_is_accepted_as_it_is(model: str, client_for, operator) -> None:  # type: ignore[no-untyped-def]
    from asgiref.sync import sync_to_async

    browser = Client()
    await sync_to_async(browser.force_login)(operator, backend="django.contrib.auth.backends.ModelBackend")
    page = (await sync_to_async(browser.get)(PAGE)).content.decode()
    body = unescape(re.search(r'id="create_agent-body"[^>]*>(.+?)</textarea>', page, re.DOTALL)[1])  # type: ignore[index]

    answer = await client_for("operator").post("/v1alpha/agents", content=body)

    assert from_json(body)["agent_config"]["model"] == model
    assert answer.status_code == 200, answer.text


def test_a_type_that_holds_itself_is_told_once() -> None:
    tree = {
        "type": "object",
        "properties": {"below": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}},
    }

    (below,) = Shapes({"Tree": tree}).fields({"$ref": "#/components/schemas/Tree"})

    assert (below.name, below.fields) == ("below", ())


def test_descriptions_are_escaped() -> None:
    part = {"type": "object", "properties": {"a": {"type": "string", "description": "<b> is ``<i>``"}}}

    (field,) = Shapes({}).fields(part)

    assert field.about == "&lt;b&gt; is <code>&lt;i&gt;</code>"
