"""From a turn to its traces: one that waited has several, one that was stopped says so."""

from playwright.sync_api import expect

from tests.browser.conftest import Tab
from tests.browser.rooms import ASK_REFUND, REFUND, chat_path, is_live, say, turns_of, ui
from tests.processes import Console
from tests.program import Program


def test_C10_a_turn_that_waited_leads_to_both_of_its_traces(tab: Tab, console: Console) -> None:
    program = Program(console)
    page = tab.open(chat_path(program.session(client_tools=[REFUND])))
    is_live(tab)
    say(page, ASK_REFUND)
    expect(ui(page, "wait-card")).to_be_visible()
    ui(page, "pane-trace").click()
    expect(ui(page, "side-trace").locator("[data-at]:visible")).not_to_have_count(0)  # it is stored
    first = ui(page, "side-trace").get_attribute("data-trace")
    assert first

    page.goto(f"{console.url}/traces/{first}/")
    expect(ui(page, "trace-head")).to_contain_text("Waiting for you")
    page.go_back()
    ui(page, "result").fill("Paid.")
    ui(page, "send-result").click()

    links = ui(page, "turn-traces").get_by_role("link")
    expect(links).to_have_count(2)
    expect(ui(page, "span-grid")).to_contain_text("resumed")
    tab.audit("chat-two-traces")
    links.first.click()
    expect(ui(page, "trace-head")).not_to_contain_text("Waiting for you")
    ui(page, "continues-in").get_by_role("link").click()
    expect(ui(page, "trace-name")).to_contain_text("resumed")
    expect(ui(page, "span-grid")).to_contain_text("refund")
    tab.audit("trace-resumed")
    ui(page, "continued-from").get_by_role("link").click()
    expect(ui(page, "continues-in")).to_be_visible()


def test_the_trace_of_a_stopped_turn_says_stopped(tab: Tab, console: Console) -> None:
    program = Program(console)
    path = program.session("openai/fake-n100-d100")
    page = tab.open(chat_path(path))
    is_live(tab)
    say(page, "Tell me much.")
    expect(ui(page, "answer")).not_to_be_empty()
    ui(page, "pane-trace").click()
    expect(ui(page, "side-trace").locator("[data-at]:visible")).not_to_have_count(0)  # it is stored
    trace = ui(page, "side-trace").get_attribute("data-trace")
    page.goto(f"{console.url}/traces/{trace}/")
    expect(ui(page, "trace-head")).to_contain_text("Running")

    [turn] = turns_of(program, path)
    program.ok(program.http.post(f"{path}/{turn['turn_id']}/cancel"))

    expect(ui(page, "trace-head")).to_contain_text("Stopped")
    expect(ui(page, "span-head")).to_contain_text("Stopped")
    tab.audit("trace-stopped")
