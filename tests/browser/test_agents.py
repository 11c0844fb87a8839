"""Checks A: define who answers."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Tab
from tests.browser.rooms import answers, say, ui
from tests.processes import Console
from tests.program import Program


def test_A1_two_fields_make_an_agent_and_lead_to_its_chat(tab: Tab) -> None:
    page = tab.open("/agents/new/")

    ui(page, "field-name").fill("Two fields")
    ui(page, "field-model").select_option("openai/fake")
    ui(page, "create-agent").click()

    expect(page).to_have_url(re.compile(r"/chat/[^/]+/[^/]+/$"))
    say(page, "say:Here I am.")
    expect(answers(page)).to_have_text("Here I am.")


def test_A2_an_unknown_tool_group_keeps_the_input_and_is_named(tab: Tab) -> None:
    page = tab.open("/agents/new/")
    tab.expect_trouble("422", "400")

    ui(page, "field-name").fill("Wrong tools")
    ui(page, "field-instructions").fill("Be kind.")
    advanced = page.locator("details", has=ui(page, "field-toolgroups"))
    if advanced.count() and not ui(page, "field-toolgroups").is_visible():
        advanced.locator("summary").first.click()
    ui(page, "field-toolgroups").fill("mcp::nowhere")
    ui(page, "create-agent").click()

    expect(page.get_by_role("alert").first).to_contain_text("mcp::nowhere")
    expect(ui(page, "field-name")).to_have_value("Wrong tools")
    expect(ui(page, "field-instructions")).to_have_value("Be kind.")
    expect(ui(page, "field-toolgroups")).to_have_attribute("aria-invalid", "true")
    tab.audit("agent-refused")


def test_A3_delete_asks_once_and_leaves_a_tombstone(tab: Tab, console: Console) -> None:
    turns = Program(console).session(name="Short-lived")
    agent_id = turns.split("/")[3]
    page = tab.open(f"/agents/{agent_id}/")
    tab.audit("agent-detail")

    ui(page, "delete-agent").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Short-lived")
    expect(dialog).to_contain_text("Program")
    ui(dialog, "confirm-yes").click()

    expect(page).to_have_url(re.compile(r"/agents/$"))
    expect(page.locator(f'a[href*="{agent_id}"]')).to_have_count(0)
    tab.expect_trouble("410", "404")
    page = tab.open(f"/agents/{agent_id}/")
    expect(ui(page, "tombstone")).to_contain_text("operator")
    tab.audit("agent-tombstone")


def test_an_agent_is_copied_with_its_configuration(tab: Tab, console: Console) -> None:
    turns = Program(console).session(name="Original", instructions="Answer in rhymes.")
    page = tab.open(f"/agents/{turns.split('/')[3]}/edit-copy/")

    expect(ui(page, "field-instructions")).to_have_value("Answer in rhymes.")
    ui(page, "create-agent").click()

    expect(page).to_have_url(re.compile(r"/chat/[^/]+/[^/]+/$"))


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_the_list_of_agents_is_readable_by_every_role(tabs: Callable[..., Tab], console: Console, role: str) -> None:
    Program(console).session(name="Listed")
    tab = tabs(console, role)

    page = tab.open("/agents/")

    expect(page.get_by_role("link", name="Listed").first).to_be_visible()
    if role == "viewer":
        tab.audit("agents-viewer")
