"""A run with many scorers: its rows can be read at any width, and scroll in their own frame."""

from collections.abc import Callable

from playwright.sync_api import Locator, expect

from tests.browser.conftest import Tab
from tests.browser.test_evaluations import ROWS, ended, register, start
from tests.processes import Console
from tests.program import Program

SCORERS = (
    "basic::equality", "basic::subset_of", "basic::regex_parser_multiple_choice_answer", "basic::docvqa",
    "basic::regex_parser_math_response", "basic::ifeval", "basic::bfcl", "mine/letters::found_in_the_answer",
)  # fmt: skip


def left(place: Locator) -> float:
    """Return how far from the left of the window a part stands, in pixels."""
    box = place.bounding_box()
    assert box
    return box["x"]


def test_rows_with_eight_scorers_scroll_in_their_frame_past_the_row_they_are_of(
    tabs: Callable[..., Tab], console: Console
) -> None:
    program = Program(console)
    params = {"type": "regex_parser", "parsing_regexes": ["It is (.)"]}
    own = {"scoring_fn_id": SCORERS[-1], "description": "", "return_type": {"type": "number"}, "params": params}
    program.ok(program.http.post("/v1/scoring-functions", json=own))
    name = register(program, "many", ROWS * 2, *SCORERS)
    job_id = start(program, name)
    assert ended(program, name, job_id) == "completed"
    tab = tabs(console)
    page = tab.open(f"/evaluations/{job_id}/")
    frame = page.get_by_role("region", name="Rows table")
    number, score, last = (
        frame.locator(f"#r1 {which}") for which in ("td:first-child", "[data-ui=score]", "td:last-child")
    )
    expect(last).not_to_be_in_viewport()
    before = left(number), left(score.first)

    frame.evaluate("one => { one.scrollIntoView(); one.scrollTo(9999, 0) }")

    expect(last).to_be_in_viewport()
    assert left(number) == before[0] and left(score.first) < before[1]
    assert frame.evaluate("one => one.clientHeight < innerHeight && one.scrollHeight > one.clientHeight")
    frame.evaluate("one => one.scrollTo(0, 9999)")
    expect(frame.get_by_role("columnheader", name="Input")).to_be_in_viewport()
    frame.evaluate("one => one.scrollTo(0, 0)")
    page.locator(".pane > .scroll").first.evaluate("one => one.scrollTo(0, 0)")
    tab.audit("evaluation-many-scorers")
    tab.open("/evaluations/")
    runs = page.get_by_role("region", name="Evaluations table")
    assert runs.evaluate("one => one.scrollWidth - one.clientWidth") == 0
    tab.open(f"/benchmarks/{name}/")
    tab.audit("benchmark-many-scorers")
