"""The frame and the first page: live numbers, menus, keys, typed text that is not lost."""

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, expect

from tests.browser.conftest import Tab
from tests.browser.rooms import ASK_REFUND, REFUND, is_live, ui
from tests.processes import Console
from tests.program import Program


@pytest.fixture
def program(console: Console) -> Program:
    """A program beside the browser."""
    return Program(console)


def test_H1_a_turn_started_elsewhere_raises_the_counter_within_a_second(tab: Tab, program: Program) -> None:
    path = program.session("openai/fake-n60-d50")
    page = tab.open("/")
    is_live(tab)
    before = int(ui(page, "turns").inner_text().replace(",", ""))

    with program.stream(path):
        began = time.monotonic()
        expect(ui(page, "turns")).to_have_text(f"{before + 1:,}", timeout=2_000)
        assert time.monotonic() - began <= 1
        expect(ui(page, "home-running")).to_contain_text("Answering")


def test_a_turn_that_waits_is_counted_in_the_menu_of_every_page(tab: Tab, program: Program) -> None:
    page = tab.open("/search/")
    is_live(tab)
    before = int(page.locator("[data-ui=waiting-badge] [data-count]").text_content() or 0)

    program.turn(program.session(client_tools=[REFUND]), ASK_REFUND)

    expect(ui(page, "waiting-badge")).to_contain_text(str(before + 1), timeout=2_000)


def test_the_menu_folds_by_keyboard_and_stays_folded(tab: Tab) -> None:
    page = tab.open("/")
    fold = ui(page, "toggle-nav")

    fold.focus()
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_have_attribute("data-nav", "rail")
    expect(fold).to_have_attribute("aria-label", "Show words in the menu")
    page.wait_for_load_state("networkidle")
    page.reload()

    expect(page.locator("body")).to_have_attribute("data-nav", "rail")
    box = ui(page, "nav").bounding_box()
    assert box and box["width"] < 60
    tab.audit("home-rail")
    fold.click()
    expect(page.locator("body")).to_have_attribute("data-nav", "full")
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("name", ["theme", "help", "account"])
def test_a_menu_opens_at_its_button_and_gives_the_focus_back(tab: Tab, name: str) -> None:
    page = tab.open("/")
    button = ui(page, name)

    button.focus()
    page.keyboard.press("Enter")
    menu = page.locator(f"#{name}-menu")
    expect(menu).to_be_visible()
    at, box = button.bounding_box(), menu.bounding_box()
    assert at and box
    assert 0 <= box["y"] - at["y"] - at["height"] < 12
    assert abs(box["x"] + box["width"] - at["x"] - at["width"]) < 20
    page.keyboard.press("Escape")

    expect(menu).to_be_hidden()
    expect(button).to_be_focused()


def test_the_drawer_opens_on_a_phone(tabs: Callable[..., Tab], console: Console) -> None:
    tab = tabs(console, viewport={"width": 390, "height": 844}, has_touch=True)
    page = tab.open("/")

    expect(ui(page, "nav")).to_be_hidden()
    ui(page, "open-nav").tap()
    expect(ui(page, "nav-agents")).to_be_visible()
    ui(page, "nav-agents").tap()

    expect(page).to_have_url(re.compile("/agents/$"))


def test_single_keys_act_and_not_while_typing(tab: Tab) -> None:
    page = tab.open("/search/?q=a")

    page.keyboard.press("/")
    search = page.locator("[data-filter]")
    expect(search).to_be_focused()
    page.keyboard.type("?j/")
    expect(search).to_have_value(re.compile(r"\?j/"))
    page.keyboard.press("Escape")
    page.keyboard.press("?")

    expect(ui(page, "shortcuts-dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(ui(page, "shortcuts-dialog")).to_be_hidden()


def test_leaving_a_form_with_typed_text_asks_first(tab: Tab) -> None:
    page = tab.open("/agents/new/")
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    ui(page, "agent-form").locator("textarea").first.press_sequentially("Be brief")
    ui(page, "nav-home").click(no_wait_after=True)

    page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    expect(page).to_have_url(re.compile("/agents/new/$"))
    page.remove_listener("dialog", stay)
    page.on("dialog", lambda dialog: dialog.accept())


def test_a_form_that_is_on_its_way_is_not_sent_again(tab: Tab) -> None:
    page = tab.open("/settings/profile/")
    send = """form => form.dispatchEvent(new SubmitEvent("submit", { bubbles: true, cancelable: true }))"""
    form = ui(page, "preferences-form")

    assert [form.evaluate(send), form.evaluate(send)] == [True, False]
    expect(form).to_have_attribute("data-sending", "")


def test_times_are_the_readers_own(tabs: Callable[..., Tab], console: Console, program: Program) -> None:
    program.turn(program.session("openai/fake"), "Hello")
    tab = tabs(console, timezone_id="Asia/Tokyo")

    page = tab.open("/")

    expect(page.locator("time[data-when]").first).to_have_attribute("title", re.compile(r"GMT\+9 \(.* UTC\)"))
