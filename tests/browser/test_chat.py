"""Checks C: talk, watch each step, step in."""

import statistics
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Tab
from tests.browser.rooms import (
    ASK_REFUND,
    REFUND,
    answers,
    api_path,
    chat_path,
    is_live,
    say,
    turns_of,
    ui,
)
from tests.processes import Console
from tests.program import Program, text_in

WATCH_TEXT = """needle => new Promise(done => {
  const look = () => document.querySelector('#turns')?.textContent.includes(needle) && done(Date.now());
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
  look();
})"""
RECORD_FRAMES = """() => {
  const told = window.told = { gaps: [], long: [] };
  new PerformanceObserver(list => told.long.push(...list.getEntries().map(one => one.duration)))
    .observe({ type: "longtask" });
  let before = performance.now();
  const frame = now => { told.gaps.push(now - before); before = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""
COUNT_WORDS = """() => {
  const part = document.querySelector('[data-ui=announcer]');
  window.announced = [];
  new MutationObserver(() => part.textContent.trim() && window.announced.push(part.textContent.trim()))
    .observe(part, { childList: true, characterData: true, subtree: true });
}"""


@pytest.fixture
def program(console: Console) -> Program:
    return Program(console)


def test_C1_the_first_text_is_seen_at_once(tab: Tab, program: Program) -> None:
    delays = []
    for attempt in range(3):
        path = program.session("openai/fake-i1500-n3")
        page = tab.open(chat_path(path))
        is_live(tab)
        page.evaluate(f"void (window.seenAt = ({WATCH_TEXT})('tok0'))")
        with program.stream(path) as frames:
            for frame in frames:
                if text_in([frame]):
                    first_token_at = time.time() * 1000
                    break
            list(frames)
        delays.append(page.evaluate("window.seenAt") - first_token_at)
        if attempt == 0:
            expect(answers(page)).to_have_text("tok0 tok1 tok2")
            tab.audit("chat")

    assert statistics.median(delays) <= 300, delays


def test_C1_a_message_sent_from_the_page_is_answered_there(tab: Tab, program: Program) -> None:
    page = tab.open(chat_path(program.session("openai/fake-n20-d50")))

    ui(page, "message").fill("Count, please.")
    ui(page, "message").press("Enter")

    expect(ui(page, "question")).to_contain_text("Count, please.")
    expect(ui(page, "message")).to_have_value("")
    expect(answers(page)).to_contain_text("tok3")
    expect(ui(page, "turn-foot")).to_contain_text("tokens")
    expect(answers(page)).to_have_text(" ".join(f"tok{index}" for index in range(20)))


@pytest.mark.slow
def test_C2_a_thousand_quick_tokens_keep_the_page_smooth(tab: Tab, program: Program) -> None:
    path = program.session("openai/fake-n1000-d5")
    page = tab.open(chat_path(path))
    is_live(tab)
    page.evaluate(RECORD_FRAMES)

    with program.stream(path) as frames:
        told = text_in(list(frames))
    expect(ui(page, "turn-foot")).to_be_visible()

    measured = page.evaluate("window.told")
    assert answers(page).inner_text().split() == told.split()
    assert turns_of(program, path)[0]["output_message"]["content"] == told
    assert [duration for duration in measured["long"] if duration > 100] == []
    gaps = sorted(measured["gaps"])
    assert gaps[int(len(gaps) * 0.95)] <= 34.5, gaps[-20:]


def test_C3_a_reload_in_mid_answer_loses_nothing(tab: Tab, program: Program) -> None:
    path = program.session("openai/fake-n60-d50")
    page = tab.open(chat_path(path))
    say(page, "Count.")
    expect(answers(page)).to_contain_text("tok8")

    page.reload()

    expect(answers(page)).to_contain_text("tok0 tok1 tok2")
    expect(ui(page, "turn-foot")).to_be_visible()
    assert answers(page).inner_text().split() == [f"tok{index}" for index in range(60)]


def test_C4_a_tool_step_shows_arguments_and_result(tab: Tab, program: Program) -> None:
    path = program.session(client_tools=[REFUND])
    page = tab.open(chat_path(path))
    say(page, ASK_REFUND)
    ui(page, "send-error").wait_for()
    _answer(page, "paid back")

    expect(answers(page)).to_have_text("refund returned: paid back")
    step = page.locator('[data-ui=step][data-step="tool"]')
    step.locator("summary").click()
    expect(step).to_contain_text("A-17")
    expect(step).to_contain_text("paid back")


def _answer(page: Page, text: str) -> None:
    ui(page, "result").fill(text)
    ui(page, "send-result").click()


def test_C5_waiting_turn_resumes_elsewhere(tabs: Callable[..., Tab], console: Console, program: Program) -> None:
    path = program.session(client_tools=[REFUND])
    first, second = tabs(console, "operator"), tabs(console, "admin")
    page = first.open(chat_path(path))
    say(page, ASK_REFUND)
    expect(ui(page, "wait-card")).to_contain_text("refund")
    expect(ui(page, "wait-card")).to_contain_text("A-17")
    first.audit("chat-waiting")

    _answer(second.open(chat_path(path)), "paid back")

    expect(answers(page)).to_have_text("refund returned: paid back")
    expect(answers(second.page)).to_have_text("refund returned: paid back")
    turns = turns_of(program, path)
    assert len(turns) == 1
    assert [step["step_type"] for step in turns[0]["steps"]] == ["inference", "tool_execution", "inference"]


def test_C5_a_second_answer_is_refused_with_who_was_first(
    tabs: Callable[..., Tab], console: Console, program: Program
) -> None:
    path = program.session(client_tools=[REFUND])
    waiting = program.turn(path, ASK_REFUND)
    tab = tabs(console, "admin")
    tab.context.route_web_socket("**/ws/live/", lambda socket: None)  # it hears nothing, and does not know it
    page = tab.open(chat_path(path))
    call = waiting["output_message"]["tool_calls"][0]
    response = {"call_id": call["call_id"], "tool_name": "refund", "content": "paid back"}
    program.ok(program.http.post(f"{path}/{waiting['turn_id']}/resume", json={"tool_responses": [response]}))

    tab.expect_trouble("409")
    _answer(page, "paid twice")

    expect(ui(page, "answered")).to_contain_text("409")
    assert "paid twice" not in str(turns_of(program, path))


def test_C7_stop_ends_within_a_second_and_says_so(tab: Tab, program: Program) -> None:
    path = program.session("openai/fake-n100-d100")
    page = tab.open(chat_path(path))
    say(page, "Count.")
    expect(answers(page)).to_contain_text("tok5")

    began = time.monotonic()
    ui(page, "stop").click()
    expect(ui(page, "turn-stopped")).to_be_visible()

    assert time.monotonic() - began < 1
    assert "completed_at" in turns_of(program, path)[0]
    expect(answers(page)).to_contain_text("tok5")
    say(page, "say:On we go.")
    expect(answers(page).last).to_have_text("On we go.")
    tab.audit("chat-stopped")


def test_C8_scripts_and_pictures_in_an_answer_do_nothing(tab: Tab, program: Program) -> None:
    hostile = (
        "say:<script>window.hacked = 1</script> <img src=http://example.org/x.png onerror=window.hacked=2> "
        "![a picture](http://example.org/y.png) [a link](javascript:window.hacked=3) <b style=color:red>bold</b> "
        "<iframe src=http://example.org></iframe> **strong** `code`"
    )
    path = program.session()
    page = tab.open(chat_path(path))
    say(page, hostile)

    expect(answers(page).locator("strong")).to_have_text("strong")
    page.reload()

    expect(answers(page)).to_contain_text("<script>")
    assert page.evaluate("window.hacked") is None
    assert answers(page).locator("script, img, iframe, [style], [onerror]").count() == 0
    assert answers(page).locator("a[href^=javascript]").count() == 0


def test_C9_an_answer_is_announced_once(tab: Tab, program: Program) -> None:
    path = program.session("openai/fake-n20-d50")
    page = tab.open(chat_path(path))
    is_live(tab)
    page.evaluate(COUNT_WORDS)

    say(page, "Count.")
    expect(ui(page, "announcer")).to_contain_text("tok19")
    say(page, "say:And another one.")
    expect(ui(page, "announcer")).to_contain_text("And another one.")

    assert len(page.evaluate("window.announced")) == 2
    assert answers(page).last.get_attribute("aria-live") == "off"


def test_a_failed_turn_says_why_and_can_be_sent_again(tab: Tab, program: Program) -> None:
    page = tab.open(chat_path(program.session()))
    say(page, "drop:4")

    expect(ui(page, "turn-error")).to_contain_text("openai")
    expect(answers(page)).to_contain_text("tok3")
    tab.audit("chat-failed")
    ui(page, "send-again").click()

    expect(ui(page, "turn-error")).to_have_count(2)


def test_pictures_and_documents_go_with_a_message(tab: Tab, program: Program) -> None:
    page = tab.open(chat_path(program.session()))
    dot = bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c636060606000000005"
        "0001a5f645400000000049454e44ae426082"
    )
    ui(page, "files").set_input_files(
        [
            {"name": "dot.png", "mimeType": "image/png", "buffer": dot},
            {"name": "note.md", "mimeType": "text/markdown", "buffer": b"# A note\n\nRemember the milk."},
        ]
    )
    expect(ui(page, "file-list")).to_contain_text("note.md")
    say(page, "say:Seen.")

    expect(answers(page)).to_have_text("Seen.")
    turn = turns_of(program, api_path(page))[0]
    assert "image" in str(turn["input_messages"])


def test_a_viewer_reads_and_cannot_write(tabs: Callable[..., Tab], console: Console, program: Program) -> None:
    path = program.session("openai/fake-n1", client_tools=[REFUND])
    program.turn(path, ASK_REFUND)
    tab = tabs(console, "viewer")

    page = tab.open(chat_path(path))

    expect(ui(page, "turn")).to_be_visible()
    for name in ("composer", "send", "send-result", "retry", "new-session"):
        expect(ui(page, name).filter(visible=True)).to_have_count(0)
    tab.audit("chat-viewer")


def test_the_turn_is_shown_as_json(tab: Tab, program: Program) -> None:
    path = program.session()
    turn = program.turn(path, "say:As JSON.")

    page = tab.open(f"{chat_path(path)}?turn={turn['turn_id']}&show=side&pane=json")

    expect(ui(page, "turn-json")).to_contain_text(turn["turn_id"])
