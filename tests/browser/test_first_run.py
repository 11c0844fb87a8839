"""Checks F: from an empty database to the first answer."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Tab
from tests.browser.rooms import answers, tab_to, ui
from tests.processes import Console, ModelServer

PASSWORD = "correct horse battery staple"


@pytest.fixture
def empty_console(model_server: ModelServer, tmp_path: Path) -> Iterator[Console]:
    """A console nobody has set up yet."""
    console = Console(tmp_path, model_server).prepare(people=False).start()
    yield console
    console.remove()


def test_F1_everything_leads_to_setup_until_there_is_a_user(empty_console: Console, tabs: Callable[..., Tab]) -> None:
    tab = tabs(empty_console, role="")
    for path in ("/", "/agents/", "/chat/", "/models/", "/settings/keys/", "/no/such/page/"):
        page = tab.open(path)
        assert page.url.startswith(f"{empty_console.url}/setup/"), page.url
    expect(ui(page, "setup-code-form")).to_be_visible()
    tab.audit("setup-closed")

    page = tab.open(empty_console.setup_path())
    tab.audit("setup")
    ui(page, "field-username").fill("ana")
    ui(page, "field-password").fill(PASSWORD)
    ui(page, "create-account").click()

    expect(page).to_have_url(f"{empty_console.url}/")
    expect(ui(page, "first-steps").get_by_role("listitem")).to_have_count(5)
    tab.audit("home-empty")


def test_F1_the_link_can_be_pasted_and_a_wrong_one_is_told(empty_console: Console, tabs: Callable[..., Tab]) -> None:
    tab = tabs(empty_console, role="")
    page = tab.open("/")
    tab.expect_trouble("403")

    ui(page, "field-token").fill("a guess")
    ui(page, "open-setup").click()
    expect(ui(page, "setup-code-wrong")).to_be_visible()
    tab.audit("setup-code-wrong")

    ui(page, "field-token").fill(empty_console.url + empty_console.setup_path())
    page.keyboard.press("Enter")
    expect(ui(page, "setup-form")).to_be_visible()


def test_F1_a_weak_password_is_refused_and_the_name_kept(empty_console: Console, tabs: Callable[..., Tab]) -> None:
    tab = tabs(empty_console, role="")
    page = tab.open(empty_console.setup_path())
    tab.expect_trouble("422", "400")

    ui(page, "field-username").fill("ana")
    ui(page, "field-password").fill("12345")
    ui(page, "create-account").click()

    expect(page.locator("[aria-invalid=true]")).to_have_count(1)
    expect(ui(page, "field-username")).to_have_value("ana")
    tab.audit("setup-refused")


def test_F2_setup_is_gone_once_there_is_a_user(tab: Tab) -> None:
    tab.expect_trouble("404")

    answer = tab.page.goto(f"{tab.home}/setup/")

    assert answer is not None
    assert answer.status == 404


def test_F4_the_whole_path_by_keyboard_alone(empty_console: Console, tabs: Callable[..., Tab]) -> None:
    tab = tabs(empty_console, role="")
    page = tab.open(empty_console.setup_path())
    keys = page.keyboard

    tab_to(page, "[name=username]")
    keys.type("ana")
    tab_to(page, "[name=password]")
    keys.type(PASSWORD)
    keys.press("Enter")
    expect(ui(page, "first-steps")).to_be_visible()

    tab_to(page, "[data-ui=new-agent]")
    keys.press("Enter")
    expect(page).to_have_url(f"{empty_console.url}/agents/new/")
    while not page.locator("[name=model]").input_value():  # the model server is asked for its models meanwhile
        page.reload()
    tab_to(page, "[name=name]")
    keys.type("Keys")
    tab_to(page, "[data-ui=create-agent]")
    keys.press("Enter")

    expect(ui(page, "message")).to_be_visible()
    tab_to(page, "[data-ui=message]")
    keys.type("say:Hello by keyboard.")
    keys.press("Enter")
    expect(answers(page)).to_have_text("Hello by keyboard.")
