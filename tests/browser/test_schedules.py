"""A benchmark that runs by itself: asked for by the form, seen on its page, run at once."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Tab
from tests.browser.rooms import ui
from tests.browser.test_evaluations import ROWS, has_state, register
from tests.processes import Console
from tests.program import Program


def test_a_schedule_is_made_listed_run_paused_and_deleted(tabs: Callable[..., Tab], console: Console) -> None:
    name = register(Program(console), "nightly", ROWS)
    tab = tabs(console)
    page = tab.open(f"/benchmarks/{name}/")
    ui(page, "schedule-benchmark").click()
    expect(page.get_by_role("heading", name="Schedule evaluations")).to_be_visible()
    page.get_by_label("openai/fake", exact=True).check()
    expect(ui(page, "estimate")).to_contain_text("12 calls")
    ui(page, "field-every").select_option("week")
    page.evaluate("scrollTo(0, 0)")
    tab.audit("schedule-new")
    ui(page, "make-schedule").click()

    expect(ui(page, "schedule-row")).to_contain_text("openai/fake")
    expect(ui(page, "schedule-last")).to_have_text("Not run yet")
    ui(page, "schedule-run").click()
    has_state(page, "completed")
    expect(ui(page, "lineage")).to_contain_text("by schedule of")
    page = tab.open(f"/benchmarks/{name}/#schedules")
    expect(ui(page, "schedule-result")).to_have_count(1)
    expect(ui(page, "schedule-last")).to_contain_text("Completed")
    page.evaluate("scrollTo(0, 0)")
    tab.audit("benchmark-schedules")

    ui(page, "schedule-edit").click()
    dialog = page.locator("dialog[open]")
    expect(ui(dialog, "field-every")).to_have_value("week")
    tab.audit("schedule-edit")
    ui(dialog, "field-every").select_option("hour")
    ui(dialog, "save-schedule").click()
    expect(ui(page, "schedule-row")).to_contain_text("Every hour")
    ui(page, "schedule-pause").click()
    expect(ui(page, "schedule-next")).to_have_text("Paused")
    ui(page, "schedule-delete").click()
    page.locator("dialog[open]").get_by_role("button", name="Delete schedule").click()
    expect(ui(page, "schedules")).to_have_count(0)
