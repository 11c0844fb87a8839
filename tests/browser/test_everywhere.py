"""Checks U and X: who may see what, and what holds on every page."""

from collections.abc import Callable

import httpx2
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Tab
from tests.browser.rooms import ASK_REFUND, REFUND, chat_path, ui
from tests.processes import Console
from tests.program import Program

PAGES = {
    "home": "/", "agents": "/agents/", "agent-form": "/agents/new/", "waiting-list": "/waiting/", "models": "/models/",
    "providers": "/providers/", "profile": "/settings/profile/", "keys": "/settings/keys/", "users": "/settings/users/",
}  # fmt: skip
WRITES = ["/agents/new/", "/settings/users/", "/providers/new/"]


@pytest.mark.parametrize("name", PAGES)
def test_X1_every_page_is_accessible_and_stays_on_its_host(
    tabs: Callable[..., Tab], console: Console, name: str
) -> None:
    program = Program(console)
    program.turn(program.session(name="Seen", client_tools=[REFUND]), ASK_REFUND)
    tab = tabs(console, "admin")

    page = tab.open(PAGES[name])

    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    assert " · Stack Console" in page.title()
    assert page.locator("body").get_attribute("data-page")
    assert page.locator("[style]").count() == 0
    tab.audit(f"page-{name}")


def test_X1_the_api_reference_and_the_admin_stay_on_their_host(tabs: Callable[..., Tab], console: Console) -> None:
    tab = tabs(console, "admin")

    for path in ("/docs/api/", "/admin/", "/admin/agents/agent/", "/admin/agents/turn/", "/admin/providers/provider/"):
        answer = tab.page.goto(console.url + path)
        assert answer is not None
        assert answer.status == 200, path


def test_X3_an_unknown_page_is_a_404_with_a_way_on(tab: Tab) -> None:
    tab.expect_trouble("404")

    answer = tab.page.goto(f"{tab.home}/no/such/page/")

    assert answer is not None
    assert answer.status == 404
    expect(ui(tab.page, "search")).to_be_visible()
    expect(ui(tab.page, "go-home")).to_be_visible()
    tab.audit("not-found")


def test_U1_a_revoked_key_is_refused_on_the_next_call(tab: Tab, console: Console) -> None:
    page = tab.open("/settings/keys/")
    ui(page, "field-name").fill("Short-lived")
    ui(page, "field-role").select_option("viewer")
    ui(page, "make-key").click()
    token = ui(page, "new-key").input_value()
    tab.audit("key-made")

    def call() -> int:
        return httpx2.get(f"{console.url}/v1alpha/agents", headers={"Authorization": f"Bearer {token}"}).status_code

    assert call() == 200
    page.reload()
    expect(page.locator("body")).not_to_contain_text(token)
    prefix = token.split("_")[1]
    ui(ui(page, f"key-{prefix}"), "revoke").click()
    ui(page.get_by_role("dialog"), "confirm-yes").click()
    expect(ui(page, f"key-{prefix}")).to_contain_text("Revoked")
    assert call() == 401


def test_U2_a_viewer_sees_no_way_to_write_and_is_refused_by_address(tabs: Callable[..., Tab], console: Console) -> None:
    program = Program(console)
    path = program.session(name="Read only")
    tab = tabs(console, "viewer")
    unsafe = "main form[method=post] button:visible, main [hx-post]:visible, main [hx-delete]:visible"

    for page_path in ("/", "/agents/", f"/agents/{path.split('/')[3]}/", chat_path(path), "/models/", "/providers/"):
        page = tab.open(page_path)
        assert page.locator(unsafe).count() == 0, (page_path, page.locator(unsafe).first.evaluate("e => e.outerHTML"))

    tab.expect_trouble("403")
    for page_path in WRITES:
        answer = tab.page.goto(console.url + page_path)
        assert answer is not None
        assert answer.status == 403, page_path
    tab.audit("forbidden")


def test_sign_in_and_out(tabs: Callable[..., Tab], console: Console) -> None:
    tab = tabs(console, role="")
    page = tab.open("/agents/?find=x")
    tab.audit("sign-in")
    ui(page, "field-username").fill("viewer")
    ui(page, "field-password").fill(console.facts["password"])
    ui(page, "sign-in").click()

    expect(page).to_have_url(f"{console.url}/agents/?find=x")
    ui(page, "account").click()
    ui(page, "sign-out").click()
    expect(ui(page, "login-form")).to_be_visible()


def test_the_theme_is_kept_and_drawn_by_the_server(tabs: Callable[..., Tab], console: Console) -> None:
    tab = tabs(console, "viewer")
    page = tab.open("/")
    ui(page, "theme").click()
    with page.expect_response("**/preferences/theme/"):  # the reload must not overtake it
        ui(page, "theme-dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")

    answer = page.reload()

    assert answer is not None
    assert 'data-theme="dark"' in answer.text()
    ui(page, "theme").click()
    ui(page, "theme-system").click()
    expect(page.locator("html")).not_to_have_attribute("data-theme", "dark")


def test_pages_can_be_read_without_scripts(tabs: Callable[..., Tab], console: Console) -> None:
    program = Program(console)
    path = program.session(name="No scripts")
    program.turn(path, "say:Plain text.")
    tab = tabs(console, "operator", java_script_enabled=False)

    expect(ui(tab.open(chat_path(path)), "answer")).to_have_text("Plain text.")
    for page_path in PAGES.values():
        if page_path != "/settings/users/":
            expect(tab.open(page_path).get_by_role("heading", level=1)).to_be_visible()
