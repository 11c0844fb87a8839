"""Checks R: why was it slow, wrong or costly; and C10, the trace beside the chat."""

import json
import re
import statistics
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import traces
from tests.browser.conftest import Tab
from tests.browser.rooms import ASK_REFUND, REFUND, chat_path, is_live, say, ui
from tests.processes import Console
from tests.program import Program

NODES = "document.querySelector('[data-ui=span-grid]').querySelectorAll('*').length"
SCROLL = """async () => {
  const box = document.querySelector("[data-trace]"), took = [];
  for (let at = 0; at < 120; at += 1) {
    const begun = performance.now();
    box.scrollTop += 390;
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    took.push(performance.now() - begun);
  }
  return took;
}"""
CLICK = """name => {
  const begun = performance.now();
  document.querySelector(`[data-ui=${name}]`).click();
  document.body.offsetHeight;
  return performance.now() - begun;
}"""


@pytest.fixture
def program(console: Console) -> Program:
    return Program(console)


def rows(page: Page) -> Locator:
    """Return the rows of the grid that are there; the head is none of them."""
    return ui(page, "span-grid").locator("[data-at]:visible")


def names(page: Page) -> list[str]:
    """Return what the rows are called, in the order they are seen."""
    told = rows(page).evaluate_all(
        "all => all.map(one => [Number(one.dataset.at), one.querySelector('.lbl').textContent])"
    )
    return [name for _, name in sorted(told)]


def row(page: Page, name: str) -> Locator:
    """Return the rows of a name."""
    return rows(page).filter(has=page.get_by_text(name, exact=True))


def chosen(page: Page) -> Locator:
    """Return the chosen row."""
    return rows(page).and_(page.locator("[aria-selected=true]"))


def open_trace(tab: Tab, path: str) -> Page:
    """Open a trace and wait until its spans are there."""
    page = tab.open(path)
    expect(rows(page).first).to_be_visible()
    return page


def test_R1_ten_thousand_spans_are_quick(tab: Tab, program: Program) -> None:
    trace = traces.large(program, 10_000)
    waits = []
    for _ in range(3):
        begun = time.monotonic()
        page = open_trace(tab, trace.path)
        waits.append(time.monotonic() - begun)
    expect(ui(page, "span-grid")).to_have_attribute("aria-rowcount", "10001")
    expect(ui(page, "minimap")).to_have_attribute("aria-label", re.compile("10,000 spans"))

    nodes = page.evaluate(NODES)
    took = sorted(page.evaluate(SCROLL))
    seen = names(page)
    folds = [page.evaluate(CLICK, name) for name in ("collapse-all", "expand-all") * 3]

    p95 = took[int(len(took) * 0.95)]
    print(f"usable {statistics.median(waits):.2f} s, {nodes} nodes, scroll p95 {p95:.0f} ms, fold {max(folds):.0f} ms")
    assert nodes <= 1_500
    assert page.evaluate(NODES) <= 1_500
    assert "run" not in seen and len(seen) > 20
    # Bounds with room for a machine that does other things too; the figures above are the measure.
    assert statistics.median(waits) <= 4 and p95 <= 250 and statistics.median(folds) <= 250


@pytest.mark.slow
def test_R2_fifty_thousand_spans_open(tab: Tab, program: Program) -> None:
    trace = traces.large(program, 50_000)

    begun = time.monotonic()
    page = open_trace(tab, trace.path)
    took = time.monotonic() - begun

    expect(ui(page, "span-grid")).to_have_attribute("aria-rowcount", "50001")
    ui(page, "span-grid").press("End")
    expect(chosen(page)).to_have_attribute("aria-rowindex", "50001")
    heap = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
    print(f"50,000 spans: usable {took:.1f} s, heap {heap:.0f} MB")
    assert page.evaluate(NODES) <= 1_500
    assert took <= 15 and heap <= 150


def test_R3_a_span_in_the_address_is_chosen_and_in_sight(tab: Tab, program: Program) -> None:
    trace = traces.large(program, 3_000)
    last = trace.add("the one", 17_000, 30, input="Here it is.")
    trace.send()

    page = open_trace(tab, f"{trace.path}?span={last}")

    expect(chosen(page)).to_be_in_viewport()
    expect(chosen(page)).to_contain_text("the one")
    expect(ui(page, "span-name")).to_have_text("the one")
    expect(ui(page, "body-input")).to_contain_text("Here it is.")
    ui(page, "span-grid").press("Home")
    expect(ui(page, "span-name")).to_have_text("run")
    expect(page).not_to_have_url(re.compile(last))


def test_R4_the_error_buttons_reach_every_error(tab: Tab, program: Program) -> None:
    trace = traces.large(program, 3_000)
    page = open_trace(tab, trace.path)
    ui(page, "collapse-all").evaluate("one => one.click()")
    expect(rows(page)).to_have_count(1)
    reached = set()

    for _ in range(6):
        page.get_by_role("button", name="Next error").first.click()
        expect(chosen(page)).to_have_attribute("data-e", "")
        expect(chosen(page)).to_be_in_viewport()
        reached.add(chosen(page).locator(".lbl").inner_text())

    expect(ui(page, "errors-at")).to_have_text("error 6 of 6")
    assert len(reached) == 6
    page.get_by_role("button", name="Next error").first.click()
    expect(ui(page, "errors-at")).to_have_text("error 1 of 6")
    expect(ui(page, "span-error")).to_contain_text("It broke.")


def test_R5_the_trace_of_a_running_turn_grows_and_keeps_the_choice(tab: Tab, program: Program) -> None:
    path = program.session("openai/fake-n60-d50", client_tools=[REFUND])
    with program.stream(path) as frames:
        next(frames)
        page = tab.open(f"/traces/{newest_trace(program, path)}/")
        expect(rows(page)).to_have_count(2)
        is_live(tab)
        row(page, "inference openai/fake-n60-d50").click()
        expect(ui(page, "trace-head")).to_contain_text("Running")
        clock = rows(page).first.locator(".num").last
        seen = []
        for _ in range(3):
            seen.append(clock.inner_text())
            expect(clock).not_to_have_text(seen[-1])
        for _ in frames:
            pass

    expect(ui(page, "trace-head")).to_contain_text("Completed")
    expect(chosen(page)).to_contain_text("inference openai/fake-n60-d50")
    expect(ui(page, "body-output")).to_contain_text("tok59")
    steady = clock.inner_text()
    page.wait_for_timeout(700)
    assert clock.inner_text() == steady
    assert len(set(seen)) == 3


def test_R5_spans_that_come_are_added_and_find_their_parents(tab: Tab, program: Program) -> None:
    trace = traces.Trace(program)
    root = "00000000000000aa"
    trace.add("first", 10, 5, root)
    trace.send()
    page = open_trace(tab, trace.path)
    is_live(tab)
    assert names(page) == ["Missing parent", "first"]
    row(page, "first").click()

    for at in range(3):
        trace.add(f"child {at}", 20 + at, 5, root)
        trace.send()
        expect(row(page, f"child {at}")).to_be_visible()
    trace.add("root", 0, 100, span_id=root)
    trace.send()

    expect(row(page, "Missing parent")).to_have_count(0)
    expect(row(page, "root")).to_have_attribute("aria-level", "1")
    expect(row(page, "child 2")).to_have_attribute("aria-level", "2")
    expect(chosen(page)).to_contain_text("first")
    expect(ui(page, "span-count")).to_have_text("5 spans")


def test_R6_arrow_keys_alone_reach_a_deep_span_and_its_body(tab: Tab, program: Program) -> None:
    page = open_trace(tab, traces.deep(program).path)
    ui(page, "collapse-all").evaluate("one => one.click()")
    ui(page, "span-grid").focus()
    page.keyboard.press("Home")

    for _ in range(8):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
    expect(chosen(page)).to_have_attribute("aria-level", "9")
    expect(chosen(page)).to_contain_text("level 9")
    active = ui(page, "span-grid").get_attribute("aria-activedescendant")
    assert active == chosen(page).get_attribute("id")
    expect(ui(page, "body-input")).to_contain_text("What lies at the bottom.")

    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Span details")).to_be_focused()
    ui(page, "span-grid").focus()
    page.keyboard.press("ArrowLeft")
    expect(chosen(page)).to_contain_text("level 8")
    page.keyboard.press("ArrowLeft")
    expect(chosen(page)).to_have_attribute("aria-expanded", "false")
    page.keyboard.type("level 3")
    expect(chosen(page)).to_contain_text("level 3")


def test_R7_hidden_rows_keep_the_marks_of_errors(tab: Tab, program: Program) -> None:
    page = open_trace(tab, traces.support(program).path)
    tool = row(page, "execute_tool create_exchange")

    tool.locator(".chev").click()
    expect(tool).to_have_attribute("aria-expanded", "false")
    expect(tool).to_contain_text("+6")
    expect(tool).to_contain_text("3 hidden errors")
    tab.audit("trace-folded")

    tool.locator(".chev").click()
    ui(page, "open-find").click()
    page.keyboard.type("shield")
    ui(page, "only").click()
    expect(rows(page).and_(page.locator("[data-gap]")).filter(has_text="error")).to_contain_text("3 errors")
    expect(ui(page, "hits")).to_have_text("1 found")
    page.reload()
    expect(row(page, "run_shield_guard")).to_be_visible()
    expect(row(page, "attempt 1")).to_have_count(0)
    rows(page).and_(page.locator("[data-gap]")).filter(has_text="3 errors").click()
    expect(row(page, "attempt 1")).to_be_visible()


def test_a_trace_is_read_in_every_view(tab: Tab, program: Program) -> None:
    page = open_trace(tab, traces.support(program).path)
    expect(row(page, "orphan")).to_have_attribute("aria-level", "2")
    expect(row(page, "Missing parent")).to_be_visible()
    expect(row(page, "skewed")).to_contain_text("two clocks differ")
    row(page, "stock.reserve").click()
    expect(ui(page, "span-error")).to_contain_text("No reply after 3 s")
    expect(ui(page, "body-input")).to_contain_text("TRN-7")
    tab.audit("trace")

    ui(page, "parent").click()
    expect(ui(page, "span-name")).to_have_text("POST exchanges")
    for tab_name in ("attributes", "events", "raw"):
        ui(page, f"tab-{tab_name}").click()
        expect(ui(page, f"tab-{tab_name}")).to_have_attribute("aria-current", "page")
    expect(page).to_have_url(re.compile("tab=raw"))
    ui(page, "tab-io").click()

    page.get_by_role("link", name="Self time").click()
    expect(ui(page, "span-grid")).to_contain_text("Calls")
    assert names(page)[0] == "chat tiny"
    expect(chosen(page)).to_have_count(0)
    tab.audit("trace-self-time")
    page.get_by_role("link", name="Timeline").click()
    assert names(page)[-1] == "chat tiny"
    page.reload()
    expect(page.get_by_role("link", name="Timeline")).to_have_attribute("aria-current", "true")


def test_the_map_and_the_menu_choose_the_time(tab: Tab, program: Program) -> None:
    page = open_trace(tab, traces.support(program).path)
    bar = row(page, "stock.reserve").locator("rect").first
    before = float((bar.get_attribute("width") or "0").rstrip("%"))
    box = ui(page, "minimap").bounding_box()
    assert box

    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + 20)
    page.mouse.up()

    expect(ui(page, "zoom-all")).to_be_visible()
    assert float((bar.get_attribute("width") or "0").rstrip("%")) > before * 3
    ui(page, "zoom-all").click()
    assert float((bar.get_attribute("width") or "0").rstrip("%")) == before
    ui(page, "view-menu").click()
    page.get_by_role("button", name="Zoom in").click()
    expect(ui(page, "zoom-all")).to_be_visible()


def test_on_a_phone_a_span_opens_in_place_of_the_list(tabs: Callable[..., Tab], console: Console) -> None:
    tab = tabs(console, viewport={"width": 390, "height": 844})
    page = open_trace(tab, traces.support(Program(console)).path)
    expect(ui(page, "span-head")).to_be_hidden()

    row(page, "attempt 1").click()
    expect(ui(page, "span-name")).to_have_text("attempt 1")
    expect(ui(page, "span-grid")).to_be_hidden()
    ui(page, "back-to-spans").click()
    expect(chosen(page)).to_contain_text("attempt 1")


def test_on_a_phone_back_leads_from_a_span_to_its_trace(tabs: Callable[..., Tab], console: Console) -> None:
    tab = tabs(console, viewport={"width": 390, "height": 844})
    trace = traces.support(Program(console))
    tab.open("/traces/?q=kind:turn")
    page = open_trace(tab, trace.path)

    row(page, "attempt 1").click()
    expect(ui(page, "span-name")).to_have_text("attempt 1")
    page.go_back()
    expect(ui(page, "span-grid")).to_be_visible()
    expect(ui(page, "span-head")).to_be_hidden()
    assert trace.path in page.url
    page.go_forward()
    expect(ui(page, "span-name")).to_be_visible()
    ui(page, "back-to-spans").click()
    expect(ui(page, "span-grid")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile(r"/traces/\?q="))


def test_the_self_time_of_the_address_is_still_there_after_a_reload(tab: Tab, program: Program) -> None:
    page = open_trace(tab, traces.support(program).path)
    page.get_by_role("link", name="Self time").click()
    for _ in range(2):
        expect(page.locator("[data-view=self]")).to_have_attribute("aria-current", "true")
        expect(ui(page, "span-grid")).to_contain_text("Self time")
        assert "view=self" in page.url
        page.reload()
        expect(rows(page).first).to_be_visible()


@pytest.mark.parametrize("keys", [("j", "k"), ("ArrowDown", "ArrowUp")])
def test_keys_move_through_a_trace_that_was_just_opened(tab: Tab, program: Program, keys: tuple[str, str]) -> None:
    page = open_trace(tab, traces.support(program).path)
    begins = chosen(page).inner_text()
    page.keyboard.press(keys[0])
    page.keyboard.press(keys[0])
    expect(chosen(page)).to_have_attribute("data-at", "2")
    page.keyboard.press(keys[1])
    page.keyboard.press(keys[1])
    assert chosen(page).inner_text() == begins


def test_a_trace_can_be_read_without_script(tabs: Callable[..., Tab], console: Console) -> None:
    trace = traces.support(Program(console))
    tab = tabs(console, java_script_enabled=False)

    page = tab.open(trace.path)
    ui(page, "outline").get_by_role("link", name="stock.reserve").click()
    expect(ui(page, "span-error")).to_contain_text("No reply after 3 s")
    ui(page, "tab-attributes").click()
    expect(ui(page, "span-attributes")).to_contain_text("TRN-7")


def test_C10_the_trace_pane_shows_the_clicked_step_and_the_step_of_a_span(tab: Tab, program: Program) -> None:
    page = tab.open(chat_path(program.session(client_tools=[REFUND])))
    is_live(tab)
    say(page, "Hello.")
    expect(ui(page, "turn-foot")).to_have_count(1)
    ui(page, "turn-trace").click()
    expect(ui(page, "side-trace").locator("[data-at]:visible")).to_have_count(2)

    ui(page, "step").first.click()
    expect(ui(page, "span-name")).to_contain_text("inference")
    step = ui(page, "span-head").get_attribute("data-step")
    expect(page.locator(f"#step-{step}")).to_have_attribute("data-of-span", "")
    tab.audit("chat-trace")

    ui(page, "span-grid").press("Home")
    expect(ui(page, "span-name")).to_have_text(re.compile("Turn 1"))
    expect(page.locator("[data-of-span]")).to_have_count(0)
    ui(page, "span-grid").press("ArrowDown")
    expect(page.locator(f"#step-{step}")).to_have_attribute("data-of-span", "")
    ui(page, "open-trace").click()
    expect(ui(page, "trace-name")).to_contain_text("Turn 1")
    ui(page, "open-step").click()
    expect(page.locator(f"#step-{step}")).to_have_attribute("data-of-span", "")


def test_C10_the_pane_goes_on_to_the_trace_of_a_resumed_turn(tab: Tab, program: Program) -> None:
    page = tab.open(chat_path(program.session(client_tools=[REFUND])))
    is_live(tab)
    say(page, ASK_REFUND)
    expect(ui(page, "wait-card")).to_be_visible()
    ui(page, "pane-trace").click()
    first = ui(page, "side-trace").get_attribute("data-trace")
    assert first

    ui(page, "result").fill("Paid.")
    ui(page, "send-result").click()

    expect(ui(page, "side-trace")).not_to_have_attribute("data-trace", first)
    expect(ui(page, "span-grid")).to_contain_text("resumed")


def newest_trace(program: Program, turns_path: str) -> str:
    """Return the id of the newest trace of a session."""
    session = turns_path.split("/")[-2]
    asked = {"attribute_filters": [{"key": "session_id", "op": "eq", "value": session}], "limit": 1}
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = program.ok(
            program.http.post("/v1alpha/telemetry/traces", content=json.dumps(asked), headers=traces.JSON)
        )
        if found["data"]:
            return str(found["data"][0]["trace_id"])
        time.sleep(0.05)
    raise AssertionError("no trace of the session was stored in time")


def test_spans_that_name_each_other_as_parents_are_still_shown(tab: Tab, program: Program) -> None:
    trace = traces.Trace(program)
    one, other = "00000000000000b1", "00000000000000b2"
    trace.add("one", 0, 10, other, span_id=one)
    trace.add("other", 1, 10, one, span_id=other)

    page = open_trace(tab, trace.send().path)

    assert names(page) == ["Missing parent", "one", "other"]
    expect(row(page, "other")).to_have_attribute("aria-level", "3")


def test_a_span_that_never_closes_is_unfinished_and_stands_still(tab: Tab, program: Program) -> None:
    trace = traces.Trace(program)
    begun = {"type": "span_start", "name": "never ends", "parent_span_id": None}
    event = {
        "type": "structured_log",
        "trace_id": trace.trace_id,
        "span_id": "00000000000000c1",
        "timestamp": "2026-01-01T10:00:00Z",
        "payload": begun,
    }
    program.ok(program.http.post("/v1/telemetry/events", json={"event": event, "ttl_seconds": 300_000_000}))

    page = open_trace(tab, trace.path)

    expect(ui(page, "trace-head")).to_contain_text("Unfinished")
    expect(row(page, "never ends")).to_contain_text("unfinished")
    expect(row(page, "never ends").locator(".num").last).to_have_text("–")
    expect(ui(page, "span-head")).to_contain_text("Unfinished")
