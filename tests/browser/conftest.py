"""A real browser on a running console. A log line of error, a broken policy or a foreign request fails the test."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from tests import chromium
from tests.processes import Console

ARTEFACTS = Path(__file__).parent / "artefacts"
PICTURES = bool(os.environ.get("PICTURES"))
SIZES = {"wide": (1280, 800), "phone": (390, 844)}
# Colours are all that a theme changes: the other rules are asked once for each size.
RULES = {
    "light": {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]},
    "dark": {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": ["color-contrast"]}},
}
AXE = Axe()
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--force-color-profile=srgb",
]  # fmt: skip
# Colours may fade from one theme to the other; what is measured is where they end. What is inside an open `details`
# keeps the colours it had until it is laid out anew: Chromium forgets it when a theme changes by variables alone.
SETTLE = """() => {
  for (const one of document.querySelectorAll("details[open]")) {
    one.style.display = "none"; one.offsetHeight; one.style.display = "";
  }
  const fading = document.getAnimations().filter(one => one.effect?.getComputedTiming().endTime < 5000);
  return Promise.all(fading.map(one => one.finished.catch(() => {})));
}"""
# What a page is read in: itself, and the panes that scroll alone.
SIDEWAYS = """() => [document.documentElement, ...document.querySelectorAll(".pane > .scroll")]
  .filter(one => one.scrollWidth > one.clientWidth)
  .map(one => `${one.ariaLabel ?? "the page"} scrolls sideways (${one.scrollWidth} > ${one.clientWidth} px)`)"""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, once for all tests of this folder."""
    expect.set_options(timeout=10_000)
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium.PATH, args=FLAGS)
        yield one
        one.close()


class Tab:
    """One page with what went wrong on it; everything of Playwright's page is reached through ``page``."""

    def __init__(self, context: BrowserContext, home: str) -> None:
        self.context = context
        self.home = home
        self.expected: list[str] = []
        self.wrong: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console {message.type}: {message.text} ({message.location.get('url', '')})")

    def _request(self, request: Request) -> None:
        at = urlsplit(request.url)
        if at.scheme in ("http", "https", "ws", "wss") and f"{at.hostname}:{at.port}" != urlsplit(self.home).netloc:
            self.wrong.append(f"foreign request: {request.url}")

    def open(self, path: str) -> Page:
        """Go to a path of the console."""
        self.page.goto(self.home + path)
        return self.page

    def expect_trouble(self, *patterns: str) -> None:
        """Allow log lines that match: a test that asks for a 404 gets one."""
        self.expected += patterns

    def troubles(self) -> list[str]:
        """Return what went wrong and was not expected."""
        return [line for line in self.wrong if not any(re.search(pattern, line) for pattern in self.expected)]

    def audit(self, name: str) -> None:
        """Hold the page as it stands against WCAG 2.2 AA in both themes and two sizes; PICTURES=1 keeps pictures."""
        size, theme = self.page.viewport_size, self.page.evaluate("document.documentElement.dataset.theme ?? ''")
        found: list[str] = []
        for label, (width, height) in SIZES.items():
            self.page.set_viewport_size({"width": width, "height": height})
            for shade, rules in RULES.items():
                self.page.evaluate("shade => { document.documentElement.dataset.theme = shade }", shade)
                self._settle()
                if PICTURES:
                    self.page.screenshot(path=ARTEFACTS / f"{name}-{label}-{shade}.png")
                found += [f"{label} {shade}: {line}" for line in self._violations(rules)]
            found += [f"{label}: {line}" for line in self.page.evaluate(SIDEWAYS)]
        self.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        if not theme:
            self.page.evaluate("() => { delete document.documentElement.dataset.theme }")
        if size:
            self.page.set_viewport_size(size)
        assert found == []

    def _settle(self) -> None:
        self.page.evaluate(SETTLE)

    def _violations(self, rules: dict[str, object]) -> list[str]:
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.axe_script)
        answer = self.page.evaluate("options => axe.run(options)", rules)
        return [
            f"{rule['id']}: {node['target']} {node['html'][:160]} {node['failureSummary'][-200:]}"
            for rule in answer["violations"]
            for node in rule["nodes"][:4]
        ]


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Open tabs of a console, signed in as a role or as nobody; what goes wrong on any of them fails the test."""
    ARTEFACTS.mkdir(exist_ok=True)
    made: list[Tab] = []

    def open_tab(console: Console, role: str = "operator", **options: object) -> Tab:
        width, height = SIZES["wide"]
        settings = {
            "viewport": {"width": width, "height": height},
            "reduced_motion": "reduce",
            "locale": "en-GB",
            **options,
        }
        context = browser.new_context(**settings)  # type: ignore[arg-type]
        if role:
            cookie = {"name": "sessionid", "value": console.facts["cookies"][role], "url": console.url}
            context.add_cookies([cookie])  # type: ignore[list-item]
        made.append(Tab(context, console.url))
        return made[-1]

    yield open_tab
    troubles = [line for tab in made for line in tab.troubles()]
    for tab in made:
        tab.context.close()
    assert troubles == []


@pytest.fixture
def tab(tabs: Callable[..., Tab], console: Console) -> Tab:
    """A tab of the shared console, signed in as an operator."""
    return tabs(console)


@pytest.fixture
def page(tab: Tab) -> Page:
    """The page of that tab."""
    return tab.page
