"""Checks L: what happens reaches the page, whatever becomes of the line."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import Tab
from tests.browser.rooms import answers, chat_path, is_live, say, turns_of, ui
from tests.browser.test_evaluations import register
from tests.processes import Console
from tests.program import Program

BROKEN_LINE = ("WebSocket", "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE")


@pytest.mark.slow
def test_L1_a_server_killed_in_mid_answer_is_told_without_a_reload(
    tabs: Callable[..., Tab], own_console: Console
) -> None:
    program = Program(own_console)
    path = program.session("openai/fake-n100-d100")
    tab = tabs(own_console)
    page = tab.open(chat_path(path))
    say(page, "Count.")
    expect(answers(page)).to_contain_text("tok15")
    tab.expect_trouble(*BROKEN_LINE)
    page.evaluate("window.notReloaded = true")

    own_console.kill()
    expect(ui(page, "live-dot")).to_contain_text("Reconnecting")
    own_console.start()

    expect(ui(page, "live-dot")).to_contain_text("Live", timeout=30_000)
    expect(ui(page, "turn-error").or_(ui(page, "turn-stopped"))).to_be_visible(timeout=30_000)
    assert page.evaluate("window.notReloaded")
    stored = turns_of(program, path)[0]
    kept = next(step for step in stored["steps"] if step["step_type"] == "inference")["model_response"]["content"]
    assert len(kept.split()) >= 5
    assert answers(page).inner_text().split()[: len(kept.split())] == kept.split()


def test_L2_two_browsers_on_one_session_show_equal_text(tabs: Callable[..., Tab], console: Console) -> None:
    path = Program(console).session("openai/fake-n60-d50")
    first, second = tabs(console, "operator"), tabs(console, "viewer")
    for tab in (first, second):
        tab.open(chat_path(path))
        is_live(tab)

    say(first.page, "Count.")
    expect(answers(second.page)).to_contain_text("tok3")
    for tab in (first, second):
        expect(ui(tab.page, "turn-foot")).to_be_visible()

    words = [f"tok{index}" for index in range(60)]
    assert answers(first.page).inner_text().split() == words
    assert answers(second.page).inner_text().split() == words


def test_L3_without_a_socket_the_page_polls(tab: Tab, console: Console) -> None:
    tab.context.route_web_socket("**/ws/live/", lambda socket: socket.close())
    tab.expect_trouble("WebSocket")
    page = tab.open(chat_path(Program(console).session("openai/fake-n20-d50")))
    expect(ui(page, "live-dot")).to_contain_text("Polling", timeout=15_000)

    say(page, "Count.")

    expect(ui(page, "turn-foot")).to_be_visible(timeout=15_000)
    assert answers(page).inner_text().split() == [f"tok{index}" for index in range(20)]


@pytest.mark.slow
def test_L4_a_thousand_deltas_and_five_cuts_leave_no_gap(tab: Tab, console: Console) -> None:
    program = Program(console)
    path = program.session("openai/fake-n1000-d5")
    lines: list[WebSocketRoute] = []
    numbers: list[int] = []
    heard: list[int] = []  # how many events came over each line

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        lines.append(socket)
        heard.append(0)

        def forward(message: str | bytes) -> None:
            frame: dict[str, Any] = json.loads(message)
            if frame.get("t", "").startswith("session:") and "n" in frame and frame["k"] != "watching":
                numbers.append(frame["n"])
                heard[lines.index(socket)] += 1
            socket.send(message)

        server.on_message(forward)

    tab.context.route_web_socket("**/ws/live/", between)
    page = tab.open(chat_path(path))
    is_live(tab)

    with program.stream(path) as frames:
        next(frames)
        for cut in range(5):
            end = time.monotonic() + 20
            while len(lines) <= cut or heard[cut] < 5:
                assert time.monotonic() < end, (len(lines), heard)
                page.wait_for_timeout(10)
            lines[cut].close()
        list(frames)

    expect(ui(page, "turn-foot")).to_be_visible()
    is_live(tab)
    assert len(lines) == 6
    assert answers(page).inner_text().split() == [f"tok{index}" for index in range(1000)]
    assert sorted(set(numbers)) == list(range(min(numbers), max(numbers) + 1))


def test_a_hidden_page_catches_up_when_it_is_shown(tab: Tab, console: Console) -> None:
    program = Program(console)
    path = program.session("openai/fake-n1")
    page = tab.open(chat_path(path))
    is_live(tab)
    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => window.away ?? true, configurable: true })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    time.sleep(0.2)
    program.turn(path, "say:While you were away.")

    page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")

    expect(answers(page)).to_have_text("While you were away.")


LEFT = "dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))"
BACK = "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"


def test_a_page_the_browser_kept_says_that_its_object_is_gone(tab: Tab, console: Console) -> None:
    program = Program(console)
    register(program, "kept", [{"question": "Say A", "answer": "A"}])
    page = tab.open("/benchmarks/kept/")
    page.evaluate("document.getElementById('delete-benchmark').showModal()")

    page.evaluate(LEFT)
    expect(page.locator("dialog[open]")).to_have_count(0)
    program.ok(program.http.delete("/v1alpha/eval/benchmarks/kept"))
    tab.expect_trouble("status of 404")
    page.evaluate(BACK)

    expect(ui(page, "tombstone")).to_contain_text("kept was deleted")


def test_a_page_the_browser_kept_is_loaded_again_unless_something_was_typed(tab: Tab) -> None:
    page = tab.open("/agents/new/")
    page.evaluate("window.isOld = true")
    page.fill("#id_name", "Half a name")
    page.evaluate(LEFT + ";" + BACK)
    page.wait_for_timeout(300)
    assert page.evaluate("window.isOld")

    tab.open("/benchmarks/")
    page.evaluate("window.isOld = true")
    page.evaluate(LEFT + ";" + BACK)
    page.wait_for_function("!window.isOld")
