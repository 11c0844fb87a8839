"""Pages of evaluations with long names, many scorers, other scripts, on paper and in the colours a system forces."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SIDEWAYS, Tab
from tests.browser.rooms import ui
from tests.browser.test_evaluations import ROWS, ended, register, start
from tests.processes import Console
from tests.program import Program

LONG = "service/quality-of-answers/mentions_the_warranty_period_and_the_return_window_in_the_first_sentence"
SCORERS = ("basic::equality", "basic::subset_of", "basic::docvqa", "basic::ifeval", "basic::bfcl", LONG)
ARABIC = {"question": "say:نعم، حتى ينفد رصيدها.", "answer": "نعم، حتى ينفد رصيدها."}
# What reaches past the edge of the card it is in.
PAST_THE_EDGE = """rows => rows.flatMap(row => [...row.querySelectorAll("[data-l]")]
  .filter(cell => cell.scrollWidth > cell.clientWidth && cell.clientWidth).map(cell => cell.dataset.l))"""


@pytest.fixture(scope="module")
def run(console: Console) -> tuple[str, str]:
    """A benchmark of six scorers, one of a long name, and the job of a run of it."""
    program = Program(console)
    params = {"type": "regex_parser", "parsing_regexes": ["It is (.)"]}
    own = {"scoring_fn_id": LONG, "description": "", "return_type": {"type": "number"}, "params": params}
    own["provider_scoring_fn_id"] = "basic::regex_parser_multiple_choice_answer"
    program.ok(program.http.post("/v1/scoring-functions", json=own))
    name = register(program, "shapes", [ARABIC, *ROWS], *SCORERS)
    job_id = start(program, name)
    assert ended(program, name, job_id) == "completed"
    return name, job_id


def test_a_long_name_of_a_scorer_takes_three_lines_of_a_head_and_leaves_its_score_in_a_card(
    tabs: Callable[..., Tab], console: Console, run: tuple[str, str]
) -> None:
    name, job_id = run
    tab = tabs(console)
    for path in (f"/benchmarks/{name}/", f"/evaluations/{job_id}/"):
        page = tab.open(path)
        heads = page.locator("thead tr").first
        assert heads.evaluate("one => one.offsetHeight") < 80

        page.set_viewport_size({"width": 390, "height": 844})
        assert page.locator(".e-lead tr, .e-rows tr").evaluate_all(PAST_THE_EDGE) == []
        page.set_viewport_size({"width": 1280, "height": 800})


def test_nothing_of_a_run_reaches_past_the_narrowest_screen(tab: Tab, run: tuple[str, str]) -> None:
    page = tab.open(f"/evaluations/{run[1]}/")
    page.set_viewport_size({"width": 320, "height": 640})

    assert page.evaluate(SIDEWAYS) == []


def test_text_that_is_read_from_the_right_ends_at_the_left(tab: Tab, console: Console, run: tuple[str, str]) -> None:
    page = tab.open(f"/evaluations/{run[1]}/rows/1/")

    for text in (ui(page, "generated"), ui(page, "expected"), page.locator("#r1 .cutc").first):
        expect(text).to_have_css("unicode-bidi", "plaintext")


def test_a_run_is_printed_whole(tab: Tab, run: tuple[str, str]) -> None:
    page = tab.open(f"/evaluations/{run[1]}/")
    page.emulate_media(media="print")

    assert page.evaluate("document.documentElement.scrollHeight > innerHeight")
    assert page.locator(".pane > .scroll").first.evaluate("one => one.scrollHeight === one.clientHeight")
    expect(page.locator("#nav")).to_be_hidden()


def test_forced_colours_tell_what_is_chosen(tab: Tab, run: tuple[str, str]) -> None:
    page = tab.open(f"/evaluations/{run[1]}/rows/1/")
    page.emulate_media(forced_colors="active")

    expect(page.locator("#r1")).to_have_css("outline-style", "solid")
    expect(ui(page, "order").locator("[aria-current]")).to_have_css("outline-style", "solid")


def test_runs_to_compare_are_chosen_without_scrolling_for_the_button(
    tab: Tab, console: Console, run: tuple[str, str]
) -> None:
    for _ in range(12):
        start(Program(console), run[0])
    page = tab.open("/evaluations/compare/")

    table = page.get_by_role("region", name="Runs to choose from")
    assert table.evaluate("one => one.scrollWidth - one.clientWidth") == 0
    expect(ui(page, "compare")).to_be_in_viewport()
    ui(page, "compare").click()
    expect(ui(page, "too-few")).to_be_in_viewport()
    tab.audit("evaluation-compare-pick")
