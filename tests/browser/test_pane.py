"""The pane beside the chat tells the turn that runs, while it runs."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Tab
from tests.browser.rooms import ASK_REFUND, REFUND, chat_path, is_live, say, ui
from tests.processes import Console
from tests.program import Program


@pytest.fixture
def program(console: Console) -> Program:
    return Program(console)


def test_the_pane_follows_a_turn_that_runs(tab: Tab, program: Program) -> None:
    page = tab.open(chat_path(program.session("openai/fake-n100-d100")))
    is_live(tab)

    say(page, "Count.")
    rows = ui(page, "side-steps").get_by_role("row")
    expect(rows).to_have_count(2, timeout=3000)
    expect(ui(page, "turn-foot")).to_have_count(0)
    clock = rows.first.locator("[data-since]")
    before = clock.inner_text()
    expect(clock).not_to_have_text(before)

    page.reload()
    before = clock.inner_text()
    expect(clock).not_to_have_text(before)
    ui(page, "stop").click()
    expect(clock).to_have_count(0)
    expect(ui(page, "side-detail")).to_contain_text("Stopped byStopped")


def test_the_pane_goes_on_to_the_next_turn_and_keeps_a_picked_step(tab: Tab, program: Program) -> None:
    page = tab.open(chat_path(program.session(client_tools=[REFUND])))
    is_live(tab)
    say(page, "Hello.")
    expect(ui(page, "side-steps")).to_have_attribute("aria-label", "Steps of turn 1")

    say(page, ASK_REFUND)
    expect(ui(page, "side-steps")).to_have_attribute("aria-label", "Steps of turn 2")
    ui(page, "side-step").first.click()
    expect(ui(page, "side-detail")).to_contain_text("Inference")
    ui(page, "result").fill("Paid.")
    ui(page, "send-result").click()

    expect(ui(page, "side-step")).to_have_count(3)
    expect(ui(page, "side-detail").get_by_role("heading").first).to_have_text("Inference")


def test_an_empty_result_is_asked_for_again(tab: Tab, program: Program) -> None:
    tab.expect_trouble("422")
    page = tab.open(chat_path(program.session(client_tools=[REFUND])))
    say(page, ASK_REFUND)

    ui(page, "send-result").click()

    expect(ui(page, "call-errors")).to_contain_text("Write what the tool answers")
    expect(ui(page, "wait-card")).to_be_visible()


def test_the_focus_is_where_one_writes_next(tab: Tab, program: Program) -> None:
    page = tab.open(chat_path(program.session(client_tools=[REFUND])))
    expect(ui(page, "message")).to_be_focused()
    is_live(tab)

    page.keyboard.type(ASK_REFUND)
    page.keyboard.press("Enter")
    expect(ui(page, "result")).to_be_focused()
    expect(ui(page, "announcer")).to_have_text("The agent waits for an answer to its tool call.")

    page.reload()
    expect(ui(page, "result")).to_be_focused()
