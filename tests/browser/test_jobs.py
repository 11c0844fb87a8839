"""Checks S: jobs and workers as they are, live, and after a restart."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Tab
from tests.browser.rooms import is_live, ui
from tests.shop import Shop, until

BROKEN_LINE = ("WebSocket", "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A running console that works itself, and a clerk who gives it jobs."""
    one = Shop(tmp_path, people=True)
    one.console.start()
    yield one
    one.close()


@pytest.fixture(scope="module")
def calm_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The same for tests that leave it running."""
    one = Shop(tmp_path_factory.mktemp("shop"), people=True)
    one.console.start()
    yield one
    one.close()


def rows(page: Page) -> list[str]:
    """Return the titles of the list."""
    return [text.strip() for text in ui(page, "job-row").locator("td a").all_inner_texts()]


def test_S1_a_retry_returns_to_the_same_list_and_filter(tabs: Callable[..., Tab], shop: Shop) -> None:
    [one] = shop.ask(give="refuse", titles=["Import returns-2025.jsonl"])
    others = shop.ask(give="refuse", titles=["Import orders.jsonl", "Import customers.jsonl", "Import notes.jsonl"])
    for job_id in (one, *others):
        shop.ended(job_id)
    tab = tabs(shop.console)
    page = tab.open("/system/jobs/")
    ui(page, "states").get_by_role("link", name="Failed").click()
    ui(page, "filter").fill("import")
    expect(page).to_have_url(f"{shop.console.url}/system/jobs/?q=import&status=failed&kind=&queue=")
    expect(ui(page, "failed-badge")).to_contain_text("4")
    tab.audit("jobs-failed")

    page.get_by_role("button", name="Try Import returns-2025.jsonl again").click()

    expect(page.get_by_text("“Import returns-2025.jsonl” is tried again.")).to_be_visible()
    assert page.url.endswith("/system/jobs/?q=import&status=failed&kind=&queue=")
    expect(ui(page, "filter")).to_have_value("import")
    expect(ui(page, "job-row")).to_have_count(5), "the new attempt fails too, and appears by itself"
    expect(ui(page, "failed-badge")).to_contain_text("4")

    page.get_by_label("Choose Import orders.jsonl").check()
    page.get_by_label("Choose Import notes.jsonl").check()
    expect(page.get_by_text("2 chosen")).to_be_visible()
    ui(page, "retry-chosen").click()
    expect(page.get_by_text("2 jobs are tried again.")).to_be_visible()
    assert page.url.endswith("/system/jobs/?q=import&status=failed&kind=&queue=")

    expect(ui(page, "job-row")).to_have_count(7)
    ui(page, "retry-all").click()
    expect(page.get_by_text("jobs are tried again.")).to_be_visible()
    assert page.url.endswith("/system/jobs/?q=import&status=failed&kind=&queue=")


@pytest.mark.slow
def test_S2_a_stopped_worker_turns_red_within_thirty_seconds(tabs: Callable[..., Tab], shop: Shop) -> None:
    first, second = shop.worker(), shop.worker()
    tab = tabs(shop.console)
    page = tab.open("/system/workers/")
    expect(ui(page, "worker-row")).to_have_count(3)
    page.evaluate("window.notReloaded = true")

    first.kill()
    shop.freeze(second.pid)

    lost = page.locator("[data-ui=worker-row][data-state=lost]")
    expect(lost).to_have_count(2, timeout=30_000)
    expect(lost.first.locator("[data-t=err]")).to_contain_text("Lost")
    expect(ui(page, "workers-alive")).to_have_text("1")
    assert page.evaluate("window.notReloaded")
    tab.audit("workers")
    os.kill(second.pid, signal.SIGCONT)
    expect(lost).to_have_count(1, timeout=15_000)


@pytest.mark.slow
def test_S3_a_restart_keeps_history_and_a_running_job_goes_on(tabs: Callable[..., Tab], shop: Shop) -> None:
    [done] = shop.ask(give="answer", titles=["Load small"])
    [bad] = shop.ask(give="refuse", titles=["Load bad"])
    [running] = shop.ask(give="count_rows", titles=["Load large"], arguments={"total": 300, "each_s": 0.05})
    for job_id in (done, bad):
        shop.ended(job_id)
    tab = tabs(shop.console)
    tab.expect_trouble(*BROKEN_LINE)
    page = tab.open(f"/system/jobs/{running}/")
    is_live(tab)
    until(lambda: (shop.job(running)["checkpoint"] or {}).get("done", 0) > 30, 20)
    page.evaluate("window.notReloaded = true")

    shop.console.kill()
    expect(ui(page, "live-dot")).to_contain_text("Reconnecting")
    shop.console.start()

    expect(ui(page, "live-dot")).to_contain_text("Live", timeout=30_000)
    expect(ui(page, "job-log")).to_contain_text("goes on from", timeout=30_000)
    expect(ui(page, "job")).to_contain_text("Attempt 2 of 4")  # the first one made progress and does not count
    expect(ui(page, "job")).to_have_attribute("data-state", "completed", timeout=60_000)
    assert page.evaluate("window.notReloaded")
    tab.open("/system/jobs/")
    assert rows(page) == ["Load large", "Load bad", "Load small"]
    expect(page.locator(f"[data-job='{bad}']")).to_contain_text("Failed")
    expect(page.locator(f"[data-job='{done}']")).to_contain_text("Completed")


def test_a_job_page_lives_and_its_cancel_works(tabs: Callable[..., Tab], calm_shop: Shop) -> None:
    [job_id] = calm_shop.ask(give="count_rows", titles=["Load web-questions"], arguments={"total": 900, "each_s": 0.03})
    tab = tabs(calm_shop.console)
    page = tab.open(f"/system/jobs/{job_id}/")
    expect(ui(page, "job-pace")).to_contain_text("left")
    before = ui(page, "job-done").inner_text()
    expect(ui(page, "job-done")).not_to_have_text(before)
    tab.audit("job-running")
    page.evaluate("window.notReloaded = true")

    ui(page, "cancel-job").click()

    expect(ui(page, "job")).to_have_attribute("data-state", "cancelled", timeout=5_000)
    expect(ui(page, "retry-job")).to_be_visible()
    tab.audit("job-cancelled")


def test_a_viewer_watches_and_cannot_act(tabs: Callable[..., Tab], calm_shop: Shop) -> None:
    [job_id] = calm_shop.ask(give="count_rows", titles=["Load slowly"], arguments={"total": 100, "each_s": 0.03})
    tab = tabs(calm_shop.console, "viewer")
    page = tab.open(f"/system/jobs/{job_id}/")

    expect(ui(page, "cancel-job")).to_have_count(0)
    expect(ui(page, "job")).to_have_attribute("data-state", "completed", timeout=20_000)
    expect(ui(page, "job-done")).to_contain_text("100 of 100 rows")


def test_weights_are_fetched_with_a_bar_and_can_be_cancelled(tabs: Callable[..., Tab], calm_shop: Shop) -> None:
    tab = tabs(calm_shop.console)
    page = tab.open("/models/")
    page.get_by_role("button", name="Fetch all-MiniLM-L6-v2").click()
    expect(ui(page, "job-title")).to_have_text("Fetch all-MiniLM-L6-v2")
    ui(page, "cancel-job").click()

    expect(ui(page, "job")).to_have_attribute("data-state", "cancelled", timeout=6_000)
    tab.open("/models/")
    expect(page.get_by_role("button", name="Fetch all-MiniLM-L6-v2")).to_be_visible()
    tab.audit("models-catalog")
