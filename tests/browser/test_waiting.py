"""Checks W: the inbox of turns that need a person."""

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Tab
from tests.browser.rooms import ASK_REFUND, REFUND, is_live, turns_of, ui
from tests.processes import Console
from tests.program import Program


@pytest.fixture
def waiting_room(own_console: Console) -> Console:
    """A console of its own: other tests leave turns waiting."""
    return own_console


@pytest.fixture
def program(waiting_room: Console) -> Program:
    return Program(waiting_room)


def test_W1_a_new_waiting_turn_appears_within_a_second(
    tabs: Callable[..., Tab], waiting_room: Console, program: Program
) -> None:
    tab = tabs(waiting_room)
    page = tab.open("/waiting/")
    is_live(tab)
    expect(ui(page, "empty")).to_be_visible()
    tab.audit("waiting-empty")
    path = program.session(name="Desk", client_tools=[REFUND])

    program.turn(path, ASK_REFUND)
    asked = time.monotonic()
    expect(ui(page, "waiting-row").or_(ui(page, "wait-card")).first).to_contain_text("refund")

    assert time.monotonic() - asked < 1
    expect(ui(page, "waiting-badge")).to_contain_text("1")


def test_W2_a_row_answered_elsewhere_leaves_with_a_note(
    tabs: Callable[..., Tab], waiting_room: Console, program: Program
) -> None:
    path = program.session(client_tools=[REFUND])
    turn = program.turn(path, ASK_REFUND)
    tab = tabs(waiting_room)
    page = tab.open("/waiting/")
    is_live(tab)
    row = page.locator(f'[data-turn="{turn["turn_id"]}"]')
    expect(row).to_contain_text("refund")

    call = turn["output_message"]["tool_calls"][0]
    answer = {"call_id": call["call_id"], "tool_name": "refund", "content": "paid back"}
    program.ok(program.http.post(f"{path}/{turn['turn_id']}/resume", json={"tool_responses": [answer]}))

    expect(ui(page, "waiting-row")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("answered")
    expect(ui(page, "waiting-badge")).to_be_hidden()


def test_W3_the_inbox_is_worked_by_keyboard(tabs: Callable[..., Tab], waiting_room: Console, program: Program) -> None:
    path = program.session(client_tools=[REFUND])
    program.turn(path, ASK_REFUND)
    page = tabs(waiting_room).open("/waiting/")

    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(ui(page, "result")).to_be_focused()
    page.keyboard.type("paid back")
    page.keyboard.press("Control+Enter")

    expect(ui(page, "answered")).to_be_visible()
    end = time.monotonic() + 5
    while "completed_at" not in (turn := turns_of(program, path)[0]):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert turn["output_message"]["content"] == "refund returned: paid back"
