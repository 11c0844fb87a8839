"""Checks T and D2: traces found by a filter that is the address, new ones told and not pushed, spans kept as rows."""

import csv
import io
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Tab
from tests.browser.rooms import is_live, tab_to, ui
from tests.processes import ROOT, Console, ModelServer
from tests.program import Program
from tests.telemetry import spans

SECOND = 1_000_000_000


def fill(console: Console, count: int, hours: float = 24) -> None:
    """Store so many traces, spread over the last hours."""
    command = [sys.executable, "-m", "tests.telemetry.fill", str(count), str(hours)]
    subprocess.run(command, cwd=ROOT, env=console.environment, check=True, timeout=300)


@pytest.fixture(scope="module")
def filled(model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console of its own with 300 traces of a day; the tests here add to them and count only what they name."""
    one = Console(tmp_path_factory.mktemp("traces"), model_server, {"TELEMETRY": "1"}).prepare().start()
    fill(one, 300)
    yield one
    one.remove()


def value(of: Any) -> dict[str, Any]:
    return {"intValue": str(of)} if isinstance(of, int) else {"stringValue": str(of)}


def send(console: Console, name: str, *, status: int = 1, **told: Any) -> str:
    """Send a trace of one span as a program does, and return its id."""
    trace_id, start = spans.trace_id(), time.time_ns() - 2 * SECOND
    span = {
        "traceId": trace_id,
        "spanId": spans.span_id(),
        "name": name,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + SECOND),
        "attributes": [{"key": key, "value": value(of)} for key, of in told.items()],
        "status": {"code": status},
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    Program.ok(Program(console).http.post("/v1/traces", json=body))
    return trace_id


def ids(page: Page) -> list[str]:
    """Return the ids of the rows shown."""
    return page.evaluate("() => [...document.querySelectorAll('[data-ui=trace-row]')].map(row => row.id)")  # type: ignore[no-any-return]


def words(page: Page) -> str:
    """Return the filter in the address."""
    return parse_qs(urlsplit(page.url).query).get("q", [""])[0]


def test_T1_the_address_is_the_filter(tabs: Callable[..., Tab], filled: Console) -> None:
    tab = tabs(filled)
    page = tab.open("/traces/?range=all")
    ui(page, "filter").fill('agent:"SQL analyst" duration>1s -status:error')
    ui(page, "filter").press("Enter")
    expect(ui(page, "chip")).to_have_count(3)
    assert words(page) == 'agent:"SQL analyst" duration>1s -status:error'
    expect(ui(page, "filter")).to_be_focused()
    before = ids(page)
    assert 0 < len(before) <= 50
    page.reload()
    assert ids(page) == before
    tab.audit("traces-filter")
    ui(page, "filter").fill("tokens>1000")
    ui(page, "filter").press("Enter")
    expect(ui(page, "chip")).to_have_count(4)
    page.go_back()
    expect(ui(page, "chip")).to_have_count(3)
    assert ids(page) == before


def test_T1_without_script(tabs: Callable[..., Tab], filled: Console) -> None:
    page = tabs(filled, java_script_enabled=False).open("/traces/?range=all")
    ui(page, "filter").fill("status:error")
    ui(page, "filter").press("Enter")
    expect(ui(page, "remove-chip")).to_have_attribute("aria-label", "Remove status:error")
    ui(page, "filter-by-form").click()
    page.get_by_label("Agent", exact=True).fill("SQL analyst")
    ui(page, "filter-panel-send").click()
    assert words(page) == 'status:error agent:"SQL analyst"'
    expect(ui(page, "trace-row").first).to_contain_text("SQL analyst")
    ui(page, "remove-chip").first.click()
    assert words(page) == 'agent:"SQL analyst"'
    ui(page, "older").click()
    expect(ui(page, "range-words")).to_contain_text("51–")


def test_T2_errors_alone_and_a_chip_removed_by_keyboard(tabs: Callable[..., Tab], filled: Console) -> None:
    send(filled, "it broke", status=2)
    tab = tabs(filled)
    page = tab.open("/traces/?q=status:error")
    states = ui(page, "trace-row").locator("[data-state]")
    expect(states.first).to_have_text("Error")
    assert set(states.all_inner_texts()) == {"Error"}
    failed = len(ids(page))
    ui(page, "filter").focus()
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.dataset.ui") == "remove-chip"
    page.keyboard.press("Enter")
    expect(ui(page, "chip")).to_have_count(0)
    assert words(page) == ""
    assert len(ids(page)) > failed


@pytest.mark.slow
def test_T3_a_hundred_thousand_traces(tabs: Callable[..., Tab], own_console: Console) -> None:
    fill(own_console, 100_000)
    tab = tabs(own_console)
    took: dict[str, float] = {}
    for query in ("", "?q=status:error", "?range=all&q=model:tiny", "?q=attr.number%3D500", "?q=nobody+said+this"):
        times = []
        for _ in range(5):
            page = tab.open(f"/traces/{query}")
            entry = page.evaluate("performance.getEntriesByType('navigation')[0].toJSON()")
            times.append(entry["responseEnd"] - entry["requestStart"])
        took[query] = statistics.median(times)
        assert ui(page, "trace-row").count() <= 50
    print({query: round(ms) for query, ms in took.items()})
    assert (
        max(took[query] for query in ("", "?q=status:error", "?range=all&q=model:tiny", "?q=attr.number%3D500")) <= 400
    )
    page = tab.open("/traces/")
    expect(ui(page, "count")).to_have_text("10,000+")
    expect(ui(page, "strip").locator("rect").first).to_be_visible()


def test_T4_new_traces_are_told_and_rows_stay(tabs: Callable[..., Tab], filled: Console) -> None:
    tab, place = tabs(filled), "/traces/?q=-status:error+agent:t4&range=all"
    page = tab.open(place)
    expect(ui(page, "no-match")).to_be_visible()
    tab.audit("traces-no-match")
    for number in range(3):
        send(filled, f"before {number}", agent_name="t4")
    program = Program(filled)
    path = program.session("openai/fake-n200-d50", name="t4")
    with program.stream(path) as frames:
        next(frames)
        page = tab.open(place)
        while len(ids(page)) < 4:  # the store hears of it within a second
            page = tab.open(place)
        expect(ui(page, "trace-row").first.locator("[data-state]")).to_have_text("Running")
        before = ids(page)
        is_live(tab)
        send(filled, "new", agent_name="t4")
        send(filled, "failed", agent_name="t4", status=2)
        send(filled, "of another", agent_name="nobody")
        expect(ui(page, "new-traces")).to_have_text("1 new")
        for number in range(11):
            send(filled, f"new {number}", agent_name="t4")
        expect(ui(page, "new-traces")).to_have_text("12 new")
        assert ids(page) == before
        tab.audit("traces-new")
    expect(ui(page, "trace-row").first.locator("[data-state]")).to_have_text("OK", timeout=20_000)
    assert ids(page) == before
    page.keyboard.press(".")
    expect(ui(page, "trace-row")).to_have_count(16)
    expect(ui(page, "new-traces")).to_have_count(0)


def test_a_paused_list_is_told_nothing_until_it_goes_on(tabs: Callable[..., Tab], filled: Console) -> None:
    tab = tabs(filled)
    page = tab.open("/traces/?q=name:paused")
    is_live(tab)
    ui(page, "pause").click()
    expect(ui(page, "pause")).to_have_attribute("aria-pressed", "true")
    send(filled, "paused")
    page.wait_for_timeout(1_500)
    expect(ui(page, "new-traces")).to_have_count(0)
    ui(page, "pause").click()
    expect(ui(page, "new-traces")).to_have_text("1 new")


def test_T5_csv_has_the_rows_that_are_counted(tabs: Callable[..., Tab], filled: Console, tmp_path: Path) -> None:
    tab = tabs(filled)
    page = tab.open("/traces/?range=all&q=agent:desk+-status:error")
    counted = int(ui(page, "count").inner_text())
    files = {}
    for kind in ("csv", "jsonl", "otlp"):
        ui(page, "export").click()
        with page.expect_download() as download:
            ui(page, f"export-{kind}").click()
        files[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[kind])
        page.keyboard.press("Escape")
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text())))
    assert len(rows) == counted
    assert {row["agent_name"] for row in rows} == {"Support desk"}
    lines = [json.loads(line) for line in files["jsonl"].read_text().splitlines()]
    assert [line["trace_id"] for line in lines] == [row["trace_id"] for row in rows]
    told = json.loads(files["otlp"].read_text())
    of = {
        span["traceId"] for group in told["resourceSpans"] for scope in group["scopeSpans"] for span in scope["spans"]
    }
    assert of == {row["trace_id"] for row in rows}


def test_D2_thirty_spans_are_thirty_rows_that_lead_back(tabs: Callable[..., Tab], filled: Console) -> None:
    tab = tabs(filled)
    page = tab.open("/traces/?range=all&q=agent:invoice")
    boxes = page.locator("[data-choose]")
    boxes.nth(0).click()
    boxes.nth(29).click(modifiers=["Shift"])
    expect(ui(page, "bulk")).to_contain_text("30 selected")
    ui(page, "keep-spans").click()
    expect(ui(page, "keep-count")).to_have_text("30 rows of 30 spans.")
    expect(ui(page, "keep-row")).to_have_count(3)
    tab.audit("traces-keep")
    ui(page, "field-name").fill("d2")
    ui(page, "keep-send").click()
    expect(ui(page, "kept")).to_contain_text("30 rows in d2")
    tab.audit("traces-kept")

    program = Program(filled)
    kept = program.read("/v1beta/datasetio/iterrows/d2?limit=100")["data"]
    assert len(kept) == 30
    back = set()
    for number in range(1, 31):
        page = tab.open(f"/datasets/d2/rows/{number}/?tab=origin")
        back.add(ui(page, "origin-span").get_attribute("href"))
    assert len(back) == 30
    ui(page, "origin-span").click()
    assert re.fullmatch(r"/traces/[0-9a-f]{32}/\?span=[0-9a-f]{16}", page.url.removeprefix(filled.url))
    answer = kept[29]["messages"][-1]["content"]
    expect(page.get_by_text(answer).first).to_be_visible()


def test_a_time_is_set_by_dragging_over_the_strip_or_by_fields(tabs: Callable[..., Tab], filled: Console) -> None:
    tab = tabs(filled)
    page = tab.open("/traces/?q=agent:invoice")
    many = int(ui(page, "count").inner_text())
    box = ui(page, "strip").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=4)
    page.mouse.up()
    page.wait_for_url("**from=**")
    few = int(ui(page, "count").inner_text())
    assert many * 0.15 < few < many * 0.35
    ui(page, "range").click()
    expect(page.get_by_label("From (UTC)")).not_to_have_value("")
    tab.audit("traces-range")
    page.get_by_role("link", name="Last 24 hours").click()
    expect(ui(page, "count")).not_to_have_text(str(few))


def test_the_list_by_keyboard_and_with_everything_open(tabs: Callable[..., Tab], filled: Console) -> None:
    tab = tabs(filled, "admin")
    page = tab.open("/traces/?q=stauts:error")
    expect(ui(page, "filter-problem")).to_contain_text("Did you mean “status”?")
    tab.audit("traces-problem")
    page = tab.open("/traces/")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.press("Escape")
    ui(page, "filter-by-form").click()
    tab.audit("traces-panel")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(ui(page, "bulk")).to_contain_text("1 selected")
    ui(page, "choose-page").check()
    expect(ui(page, "bulk")).to_contain_text("50 selected")
    tab.audit("traces-chosen")
    ui(page, "segments").get_by_role("link").last.focus()
    tab_to(page, "[data-ui=delete-traces]", 6)


def test_deleting_by_filter_asks_for_the_count(tabs: Callable[..., Tab], filled: Console) -> None:
    for _ in range(2):
        send(filled, "to be deleted")
    tab = tabs(filled, "admin")
    page = tab.open('/traces/?q=name:"to be deleted"')
    page.locator("[data-choose]").first.check()
    ui(page, "choose-all").check()
    ui(page, "delete-traces").click()
    expect(page.get_by_role("heading", name="Delete 2 traces?")).to_be_visible()
    tab.audit("traces-delete")
    ui(page, "delete-count").fill("2")
    ui(page, "confirm-yes").click()
    expect(page.get_by_text("2 traces deleted.")).to_be_visible()
    page = tab.open('/traces/?q=name:"to be deleted"')
    expect(ui(page, "no-match")).to_be_visible()


def test_the_first_trace(tabs: Callable[..., Tab], own_console: Console) -> None:
    own_console.stop()
    own_console.extra["TELEMETRY"] = "0"
    own_console.start()
    command = "from apps.telemetry.models import Trace; Trace.objects.all().delete()"
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", command], cwd=ROOT, env=own_console.environment, check=True
    )
    tab = tabs(own_console)
    page = tab.open("/traces/")
    expect(ui(page, "first-ways")).to_be_visible()
    tab.audit("traces-empty")
    ui(page, "sample").click()
    page.wait_for_url(re.compile(r"/traces/[0-9a-f]{32}/"))
    page = tab.open("/traces/")
    expect(ui(page, "trace-row")).to_have_count(1)
