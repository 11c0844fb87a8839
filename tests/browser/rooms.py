"""Ways through the pages that several tests take."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Tab
from tests.program import Program

REFUND = {
    "name": "refund",
    "description": "Pay an order back.",
    "input_schema": {
        "type": "object",
        "properties": {"order": {"type": "string"}, "amount": {"type": "number"}},
        "required": ["order", "amount"],
    },
}
ASK_REFUND = 'call:refund {"order": "A-17", "amount": 12.5}'


def ui(place: Page | Locator, name: str) -> Locator:
    """Return the part of a page with this stable name."""
    return place.locator(f'[data-ui="{name}"]')


def chat_path(turns: str) -> str:
    """Return the page of the session whose turns' API path this is."""
    found = re.fullmatch(r"/v1alpha/agents/([^/]+)/session/([^/]+)/turn", turns)
    assert found, turns
    return f"/chat/{found[1]}/{found[2]}/"


def api_path(page: Page) -> str:
    """Return the API path of the turns of the chat that is open."""
    _, agent_id, session_id, *_ = urlsplit(page.url).path.strip("/").split("/")
    return f"/v1alpha/agents/{agent_id}/session/{session_id}/turn"


def say(page: Page, text: str) -> None:
    """Send a message in the open chat."""
    ui(page, "message").fill(text)
    ui(page, "send").click()


def answers(page: Page) -> Locator:
    """Return the answers of the open chat."""
    return ui(page, "answer")


def is_live(tab: Tab) -> None:
    """Wait until the page hears what happens."""
    expect(ui(tab.page, "live-dot")).to_contain_text("Live")


def turns_of(program: Program, path: str) -> list[dict]:  # type: ignore[type-arg]
    """Return the stored turns of a session."""
    return list(program.read(path.removesuffix("/turn"))["turns"])


def tab_to(page: Page, selector: str, most: int = 120) -> None:
    """Press Tab until a part has the focus; raises AssertionError when the keyboard does not get there."""
    for _ in range(most):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} cannot be reached by Tab")
