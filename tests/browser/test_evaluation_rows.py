"""How the rows of a run, and its slices, are opened: by a click anywhere on them, a tap, the keyboard."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Tab
from tests.browser.rooms import is_live, ui
from tests.browser.test_evaluations import ROWS, ended, register, start
from tests.processes import Console
from tests.program import Program


@pytest.fixture(scope="module")
def run(console: Console) -> str:
    """The page of a run whose rows are of two tiers."""
    program = Program(console)
    rows = [row | {"tier": "gold" if n % 3 else "silver"} for n, row in enumerate(ROWS)]
    name = register(program, "opened", rows)
    job_id = start(program, name)
    assert ended(program, name, job_id) == "completed"
    return f"/evaluations/{job_id}/"


def generated(page: Page, number: int) -> Locator:
    """Return the cell of a row that holds what was generated."""
    return page.locator(f"#r{number} td").nth(3)


def test_a_row_opens_by_a_click_anywhere_on_it(tabs: Callable[..., Tab], console: Console, run: str) -> None:
    tab = tabs(console)
    page = tab.open(run)

    generated(page, 2).click()
    expect(ui(page, "row-drawer")).to_contain_text("Row 2")
    expect(page).to_have_url(f"{console.url}{run}rows/2/")
    generated(page, 3).click()
    expect(ui(page, "row-drawer")).to_contain_text("Row 3")
    assert generated(page, 3).evaluate("one => getComputedStyle(one).cursor") == "pointer"
    ui(page, "close-row").click()
    with tab.context.expect_page() as opened:
        generated(page, 4).click(modifiers=["Control"])
    expect(opened.value).to_have_url(f"{console.url}{run}rows/4/")
    expect(ui(page, "row-drawer")).to_have_count(0)
    page.get_by_label("Trace of row 5").click()
    expect(page.get_by_role("treegrid")).to_contain_text("evaluate_row")


def test_choosing_text_of_a_row_does_not_open_it(tab: Tab, run: str) -> None:
    page = tab.open(run)
    generated(page, 2).scroll_into_view_if_needed()
    box = generated(page, 2).bounding_box()
    assert box

    page.mouse.move(box["x"] + 12, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()

    chosen = page.evaluate("getSelection().toString()")
    assert chosen and chosen in "It is 1"
    page.wait_for_timeout(200)
    expect(ui(page, "row-drawer")).to_have_count(0)


def test_a_row_opens_by_a_tap_on_a_phone_and_by_the_keyboard(
    tabs: Callable[..., Tab], console: Console, run: str
) -> None:
    page = tabs(console, viewport={"width": 390, "height": 844}, has_touch=True).open(run)
    generated(page, 2).tap()
    expect(ui(page, "row-drawer")).to_contain_text("Row 2")

    page = tabs(console).open(run)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(ui(page, "row-drawer")).to_contain_text("Row 2")


def test_a_slice_leads_to_its_rows_by_a_click_anywhere_on_it(tab: Tab, run: str) -> None:
    page = tab.open(f"{run}?slice=tier")

    ui(ui(page, "slice").filter(has_text="silver"), "slice-score").first.click()

    expect(ui(page, "chip")).to_have_text("tier: silver")
    expect(ui(page, "row")).to_have_count(4)


def test_a_key_that_would_score_tells_those_who_may_to_open_a_row(
    tabs: Callable[..., Tab], console: Console, run: str
) -> None:
    page, watched = tabs(console).open(run), tabs(console, "viewer").open(run)

    for one in (page, watched):
        one.keyboard.press("4")
        one.keyboard.press("5")

    expect(page.locator("[data-toast]")).to_contain_text("Open a row to score it")
    expect(page.locator("[data-toast]")).to_have_count(1)
    expect(watched.locator("[data-toast]")).to_have_count(0)


def test_the_note_has_no_scroll_bar_until_it_is_long_and_the_search_has_one_ring(tab: Tab, run: str) -> None:
    page = tab.open(f"{run}rows/1/")
    is_live(tab)
    note = ui(page, "human-note")
    assert note.evaluate("one => one.scrollHeight - one.clientHeight") == 0
    note.fill("two\nlines")
    assert note.evaluate("one => one.scrollHeight - one.clientHeight") == 0

    ui(page, "search-rows").focus()

    assert ui(page, "search-rows").evaluate("one => getComputedStyle(one).outlineStyle") == "none"
    note.fill("")
