"""The API reference in a browser: found, filtered, read and tried."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.processes import Console

PAGE = "/docs/api/"


@pytest.mark.slow
def test_a_call_is_tried_and_its_answer_shown(tab: Any) -> None:
    page = tab.open(PAGE + "#create_agent")
    form = page.locator("[data-ui=try-create_agent]")

    form.get_by_role("button", name="Send").click()

    expect(form.locator("output")).to_have_text(re.compile(r"^200 OK · \d+ ms$"))
    expect(form.locator("[data-answer]")).to_contain_text('"agent_id"')
    tab.audit("reference")


def test_a_refused_call_says_why(tab: Any) -> None:
    tab.expect_trouble("400")
    page = tab.open(PAGE + "#create_agent")
    form = page.locator("[data-ui=try-create_agent]")
    form.get_by_label("Body").fill('{"agent": 1}')

    form.get_by_role("button", name="Send").click()

    expect(form.locator("output")).to_contain_text("400 Bad Request")
    expect(form.locator("[data-answer]")).to_contain_text("agent_config")


def test_a_streamed_answer_is_shown(tab: Any) -> None:
    page = tab.open(PAGE + "#openai_chat_completion")
    form = page.locator("[data-ui=try-openai_chat_completion]")

    form.get_by_role("button", name="Send").click()

    expect(form.locator("[data-answer]")).to_contain_text("data: [DONE]")
    expect(form.locator("[data-running]")).not_to_be_empty()


def test_the_filter_narrows_as_one_types_and_a_reload_keeps_it(tab: Any) -> None:
    page = tab.open(PAGE)

    page.get_by_role("textbox", name="Filter operations").fill("resume")

    expect(page.locator("[data-op]:visible")).to_have_count(1)
    page.reload()
    expect(page.locator("[data-op]:visible")).to_have_count(1)


def test_a_link_opens_what_it_names(tab: Any) -> None:
    page = tab.open(PAGE + "#create_agent")

    page.locator("#create_agent").get_by_role("link", name="AgentCreateResponse").click()

    expect(page.locator("#type-AgentCreateResponse")).to_be_in_viewport()


def test_the_reference_is_read_without_script(tabs: Callable[..., Any], console: Console) -> None:
    page = tabs(console, "viewer", java_script_enabled=False).open(PAGE + "?q=resume")

    page.locator("[data-op]:visible summary").first.click()

    expect(page.locator("#resume_agent_turn")).to_contain_text("tool_responses")
    expect(page.locator("[data-try]:visible")).to_have_count(0)
