"""Checks B and E: benchmarks and evaluations as they are, live, and true after leaving."""

import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Tab
from tests.browser.rooms import is_live, ui
from tests.processes import Console
from tests.program import Program

# The stand-in for a model says what a question asks it to.
ROWS = [{"question": f"say:It is {n}", "answer": f"It is {n}" if n % 3 else f"It is {n + 1}"} for n in range(12)]
SLOW = "openai/fake-i1500-n3"


def register(program: Program, name: str, rows: list[dict[str, str]], *functions: str) -> str:
    """Make a dataset and a benchmark on it; return the benchmark's id."""
    source = {"type": "rows", "rows": rows}
    body = {"purpose": "eval/question-answer", "dataset_id": f"{name}-rows", "source": source}
    program.ok(program.http.post("/v1beta/datasets", json=body))
    asked = {"benchmark_id": name, "dataset_id": f"{name}-rows"}
    asked |= {"scoring_functions": list(functions or ("basic::equality", "basic::subset_of"))}  # type: ignore[dict-item]
    program.ok(program.http.post("/v1alpha/eval/benchmarks", json=asked))
    return name


def start(program: Program, name: str, model: str = "openai/fake", **fields: Any) -> str:
    """Start an evaluation by the API and return its job's id."""
    candidate = {"type": "model", "model": model, "sampling_params": {"strategy": {"type": "greedy"}}}
    config = {"benchmark_config": {"eval_candidate": candidate, "scoring_params": {}, **fields}}
    job = program.ok(program.http.post(f"/v1alpha/eval/benchmarks/{name}/jobs", json=config))
    return str(job["job_id"])


def status(program: Program, name: str, job_id: str) -> str:
    return str(program.read(f"/v1alpha/eval/benchmarks/{name}/jobs/{job_id}")["status"])


def ended(program: Program, name: str, job_id: str, seconds: float = 30) -> str:
    """Return how a job ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (now := status(program, name, job_id)) in ("completed", "failed", "cancelled"):
            return now
        time.sleep(0.1)
    raise AssertionError(f"the job is {now}")


def has_state(page: Page, state: str, **options: Any) -> None:
    """Wait until the evaluation that is open is in a state."""
    expect(ui(page, "evaluation")).to_have_attribute("data-state", state, **options)


def test_B1_a_benchmark_made_by_the_form_is_told_by_the_api(tabs: Callable[..., Tab], console: Console) -> None:
    program = Program(console)
    source = {"type": "rows", "rows": ROWS}
    body = {"purpose": "eval/question-answer", "dataset_id": "b1-rows", "source": source}
    program.ok(program.http.post("/v1beta/datasets", json=body))
    tab = tabs(console)
    page = tab.open("/datasets/b1-rows/")
    ui(page, "make-benchmark").click()
    expect(ui(page, "field-dataset_id")).to_have_value("b1-rows")
    ui(page, "field-benchmark_id").fill("b1 suite")
    page.get_by_label("basic::subset_of").uncheck()
    page.get_by_label("basic::equality").check()
    page.get_by_label("basic::docvqa").check()
    page.get_by_text("Metadata", exact=True).click()
    ui(page, "field-metadata").fill('{"owner": "support", "tags": [1, 2]}')
    page.evaluate("scrollTo(0, 0)")  # what lies half under the sticky head is no target
    tab.audit("benchmark-new")
    ui(page, "register-benchmark").click()

    expect(ui(page, "benchmark-name")).to_have_text("b1 suite")
    told = program.read("/v1alpha/eval/benchmarks/b1 suite")
    assert told == {
        "identifier": "b1 suite", "provider_resource_id": "b1 suite", "provider_id": "stack-console",
        "type": "benchmark", "dataset_id": "b1-rows", "scoring_functions": ["basic::equality", "basic::docvqa"],
        "metadata": {"owner": "support", "tags": [1, 2]},
    }  # fmt: skip


def test_E1_an_evaluation_is_started_left_and_found_as_far_as_it_is(tabs: Callable[..., Tab], console: Console) -> None:
    program = Program(console)
    other = register(program, "e1-other", ROWS[:2], "llm-as-judge::base")
    name = register(program, "e1", ROWS * 8)
    tab = tabs(console)
    page = tab.open(f"/benchmarks/{other}/")
    ui(page, "run-benchmark").click()
    ui(page, "field-times").fill("500")
    page.get_by_label("openai/fake", exact=True).check()
    expect(ui(page, "estimate")).to_contain_text("less than or equal to 5")
    expect(ui(page, "run-form")).to_have_attribute("data-unsaved", "yes")
    ui(page, "field-times").fill("1")
    ui(page, "sampling").locator("summary").click()
    ui(page, "add-message").click()
    expect(ui(page, "field-system_message").last).to_be_focused()
    ui(page, "field-system_message").last.fill("Be brief.")
    ui(page, "field-benchmark").select_option(name)
    expect(page).to_have_url(f"{console.url}/evaluations/new/?benchmark={name}")
    expect(ui(page, "field-system_message").last).to_have_value("Be brief.")
    expect(ui(page, "estimate")).to_contain_text("192 calls")
    ui(page, "try").click()
    expect(ui(page, "tried-row")).to_have_count(6)
    expect(ui(page, "tried-row").first).to_contain_text("It is 0")
    expect(ui(page, "trial-variant")).to_have_text("“Be brief.”")
    expect(ui(page, "trial-told")).to_have_text("Tried with 2 candidates.")
    expect(ui(page, "try")).to_be_focused()
    ui(page, "field-system_message").last.fill("")
    page.evaluate("scrollTo(0, 0)")  # what stands half under the head of the page would count as too small
    tab.audit("evaluation-new")
    page.get_by_label("openai/fake", exact=True).uncheck()
    page.get_by_label(SLOW, exact=True).check()
    ui(page, "start-evaluation").click()
    has_state(page, "in_progress")
    is_live(tab)
    expect(ui(page, "row").first).to_be_visible()
    seen = int(ui(page, "rows-done").inner_text())
    assert 0 < seen < 96
    path = page.url.removeprefix(console.url)
    tab.audit("evaluation-running")

    page = tab.open("/evaluations/")
    tab.audit("evaluations")
    page = tab.open(f"{path}?slice=answer")

    again = int(ui(page, "rows-done").inner_text())
    bar = page.locator("#job-progress progress")
    assert seen <= again <= 96
    if status(program, name, path.split("/")[2]) == "in_progress":
        assert abs(float(bar.get_attribute("value") or 0) - again / 96) < 0.4
    has_state(page, "completed", timeout=40_000)
    expect(ui(page, "rows-done")).to_have_text("96")
    assert sum(map(int, ui(page, "slice-rows").all_inner_texts())) == 96
    expect(ui(page, "tile-value").first).to_have_text("0.67")
    tab.audit("evaluation-completed")


def test_E2_cancelling_stops_within_five_seconds_and_keeps_what_is_there(
    tabs: Callable[..., Tab], console: Console
) -> None:
    program = Program(console)
    name = register(program, "e2", ROWS * 20)
    job_id = start(program, name, SLOW)
    tab = tabs(console)
    page = tab.open(f"/evaluations/{job_id}/")
    expect(ui(page, "row").first).to_be_visible(timeout=15_000)

    began = time.monotonic()
    ui(page, "cancel").click()
    has_state(page, "cancelled")
    assert time.monotonic() - began <= 5

    expect(ui(page, "partial")).to_contain_text("of 240 rows")
    kept = int(ui(page, "rows-done").inner_text())
    assert 0 < kept < 240
    assert f"Stopped after {kept} of 240 rows" in ui(page, "partial").inner_text()
    tab.audit("evaluation-cancelled")
    ui(page, "run-again").click()
    expect(page).not_to_have_url(f"{console.url}/evaluations/{job_id}/")
    assert int(ui(page, "rows-done").inner_text()) >= kept
    ui(page, "cancel").click()
    has_state(page, "cancelled")


def test_E4_a_row_leads_to_its_own_trace(tabs: Callable[..., Tab], console: Console) -> None:
    program = Program(console)
    name = register(program, "e4", ROWS)
    job_id = start(program, name)
    assert ended(program, name, job_id) == "completed"
    tab = tabs(console)
    page = tab.open(f"/evaluations/{job_id}/")

    page.locator("#r5 [data-row]").click()
    expect(ui(page, "row-drawer")).to_contain_text("Row 5")
    expect(page).to_have_url(f"{console.url}/evaluations/{job_id}/rows/5/")
    expect(ui(page, "diff")).to_contain_text("both are the same")
    ui(page, "earlier-row").click()
    expect(ui(page, "row-drawer")).to_contain_text("Row 4")
    expect(ui(page, "diff").locator("del")).to_have_text("4")
    expect(ui(page, "diff").locator("ins")).to_have_text("3")
    tab.audit("evaluation-row")
    page.keyboard.press("Escape")
    expect(ui(page, "row-drawer")).to_have_count(0)
    page.go_back()
    expect(ui(page, "row-drawer")).to_contain_text("Row 4")

    expect(page.locator("#r5").get_by_label("Trace of row 5")).to_be_hidden()  # the open row has the room and a link
    ui(page, "close-row").click()
    page.locator("#r5").get_by_label("Trace of row 5").click()
    expect(page.get_by_role("treegrid")).to_contain_text("evaluate_row")
    expect(page.get_by_role("region", name="Span details")).to_contain_text("say:It is 4")
    page.get_by_role("link", name="Attributes").click()
    expect(page.get_by_role("region", name="Span details")).to_contain_text(job_id)


def test_people_score_rows_with_the_keyboard_and_others_see_it(tabs: Callable[..., Tab], console: Console) -> None:
    program = Program(console)
    name = register(program, "e6", ROWS)
    job_id = start(program, name)
    assert ended(program, name, job_id) == "completed"
    before = program.read(f"/v1alpha/eval/benchmarks/{name}/jobs/{job_id}/result")
    watching = tabs(console, "viewer")
    watched = watching.open(f"/evaluations/{job_id}/rows/2/")
    is_live(watching)
    tab = tabs(console)
    page = tab.open(f"/evaluations/{job_id}/")
    ui(page, "to-score").click()
    expect(ui(page, "chip")).to_contain_text("not scored by people")

    page.locator("#r1 [data-row]").click()
    expect(ui(page, "row-drawer")).to_contain_text("Row 1")
    page.keyboard.press("4")
    expect(ui(page, "score-4")).to_be_checked()
    expect(page.locator("#r1")).to_have_count(0)
    page.keyboard.press("j")
    expect(ui(page, "row-drawer").get_by_role("heading", name="Row 2")).to_be_visible()
    expect(page).to_have_url(f"{console.url}/evaluations/{job_id}/rows/2/?unscored=1")
    page.keyboard.press("5")
    page.keyboard.press("1")
    expect(ui(page, "clear-score")).to_be_visible()
    ui(page, "human-note").fill("2 words too many")
    page.keyboard.press("Escape")
    expect(ui(watched, "human-others")).to_contain_text("2 words too many")
    expect(ui(watched, "human-mean")).to_have_text("1.00")
    expect(watched.locator("#r2 [data-ui=human-score]")).to_have_text("1.00")
    tile = watched.locator('[data-ui="tile"][data-name="Human"]')
    expect(ui(tile, "tile-value")).to_have_text("2.50")
    expect(ui(watched, "human-form")).to_have_count(0)
    tab.audit("evaluation-human")
    watching.audit("evaluation-human-viewer")

    page.keyboard.press("0")
    expect(page.get_by_role("radio", checked=True)).to_have_count(0)
    expect(ui(page, "human-note")).to_have_value("")
    expect(watched.locator("#r2 [data-ui=human-score]")).to_have_text("–")
    assert program.read(f"/v1alpha/eval/benchmarks/{name}/jobs/{job_id}/result") == before


def test_a_score_on_its_way_is_not_undone_by_what_is_fetched_meanwhile(tab: Tab, console: Console) -> None:
    program = Program(console)
    name = register(program, "e9", ROWS[:1])
    job_id = start(program, name)
    assert ended(program, name, job_id) == "completed"
    page = tab.open(f"/evaluations/{job_id}/rows/1/")
    is_live(tab)
    sent: list[Route] = []

    def hold_the_second(route: Route) -> None:
        sent.append(route)
        if len(sent) != 2:
            route.continue_()

    page.route("**/rows/1/score/", hold_the_second)
    with page.expect_response(f"**/evaluations/{job_id}/rows/1/"):  # the first score is told to all who look, so to it
        page.keyboard.press("5")
        page.keyboard.press("1")
    page.wait_for_timeout(200)

    expect(ui(page, "score-1")).to_be_checked()
    ui(page, "human-note").fill("Too long.")
    ui(page, "save-score").click()
    sent[1].continue_()
    expect(ui(page, "human-form")).not_to_have_attribute("data-sending", "")
    page.reload()
    expect(ui(page, "score-1")).to_be_checked()
    expect(ui(page, "human-note")).to_have_value("Too long.")


def test_a_key_pressed_while_the_next_row_is_fetched_scores_that_row(tab: Tab, console: Console) -> None:
    program = Program(console)
    name = register(program, "e11", ROWS[:3])
    job_id = start(program, name)
    assert ended(program, name, job_id) == "completed"
    page = tab.open(f"/evaluations/{job_id}/rows/1/")
    is_live(tab)
    held: list[Route] = []
    page.route("**/rows/2/", lambda route: held.append(route))

    for key in "5j4j3":
        page.keyboard.press(key)
    expect(page.locator("#r1 [data-ui=human-score]")).to_have_text("5.00")
    held[0].continue_()

    expect(page.locator("#r3 [data-ui=human-score]")).to_have_text("3.00")
    expect(page.locator("#r2 [data-ui=human-score]")).to_have_text("4.00")
    expect(page.locator("#r1 [data-ui=human-score]")).to_have_text("5.00")


def test_rows_are_sliced_by_a_column_and_a_slice_filters_them(tabs: Callable[..., Tab], console: Console) -> None:
    program = Program(console)
    rows = [row | {"tier": "gold" if n % 3 else "silver", "id": str(n)} for n, row in enumerate(ROWS)]
    name = register(program, "e7", rows)
    job_id = start(program, name)
    assert ended(program, name, job_id) == "completed"
    tab = tabs(console)
    page = tab.open(f"/evaluations/{job_id}/")

    expect(ui(page, "slice-by").locator("option")).to_have_text(["None", "answer", "tier"])
    ui(page, "slice-by").select_option("tier")
    expect(ui(page, "slice")).to_have_count(2)
    expect(ui(ui(page, "slice").first, "slice-score")).to_have_text(["1.00", "1.00"])
    expect(ui(ui(page, "slice").last, "slice-score")).to_have_text(["0.00", "0.00"])
    tab.audit("evaluation-slices")
    page.get_by_role("link", name="silver").click()
    expect(ui(page, "row")).to_have_count(4)
    expect(ui(page, "chip")).to_have_text("tier: silver")
    expect(page).to_have_url(f"{console.url}/evaluations/{job_id}/?slice=tier&is=%22silver%22#rows")
    page.reload()
    expect(ui(page, "row")).to_have_count(4)
    page.locator("#r1 [data-row]").click()
    ui(page, "later-row").click()
    expect(ui(page, "row-drawer").get_by_role("heading", name="Row 4")).to_be_visible()
    ui(page, "remove-chip").click()
    expect(ui(page, "row")).to_have_count(12)


def test_E5_the_totals_equal_the_result_of_the_api(tabs: Callable[..., Tab], console: Console) -> None:
    program = Program(console)
    rows = [*ROWS, {"question": "fail:400", "answer": "nothing"}]
    name = register(program, "e5", rows)
    job_id = start(program, name)
    assert ended(program, name, job_id) == "completed"
    tab = tabs(console)
    page = tab.open(f"/evaluations/{job_id}/")

    result = program.read(f"/v1alpha/eval/benchmarks/{name}/jobs/{job_id}/result")
    for function in ("basic::equality", "basic::subset_of"):
        told = result["scores"][function]["aggregated_results"]["accuracy"]
        tile = page.locator(f'[data-ui="tile"][data-name="{function}"]')
        expect(ui(tile, "tile-value")).to_have_text(f"{told['accuracy']:.2f}")
        expect(tile).to_contain_text(f"{told['num_correct']:g} of {told['num_total']}")
    expect(ui(page, "row")).to_have_count(len(result["generations"]))
    shown = [
        float(text.split()[0])  # beside it stands whether it fails
        for text in page.locator('#rows tr td[data-l="equality"][data-ui="score"]').all_inner_texts()
        if text != "–"
    ]
    rows_told = [row["score"] for row in result["scores"]["basic::equality"]["score_rows"]]
    assert shown == [score for score in rows_told if score is not None]
    expect(ui(page, "rows-failed")).to_have_text("1")

    ui(page, "order-failures").click()
    expect(ui(page, "row").first).to_contain_text("No answer")
    ui(page, "sort-score").last.click()
    ui(page, "sort-score").last.click()
    expect(ui(page, "row").first).to_contain_text("1.00")
    expect(page.get_by_role("columnheader", name="subset_of").last).to_have_attribute("aria-sort", "descending")
    ui(page, "failing-by").select_option("basic::equality")
    expect(ui(page, "row").first).to_contain_text("No answer")
    ui(page, "only-failing").click()
    expect(ui(page, "row")).to_have_count(5)
    expect(ui(page, "chip")).to_have_text("failing basic::equality below 0.5")
    tab.audit("evaluation-failing")
    page.reload()
    expect(ui(page, "failing-by")).to_have_value("basic::equality")
    ui(page, "keep-rows").click()
    expect(ui(page, "field-which")).to_have_value("low:basic::equality")
    expect(ui(page, "field-name")).to_have_value("e5-failing")
    expect(ui(page, "keep-count")).to_contain_text("5 rows")
    tab.audit("evaluation-keep")
    ui(page, "keep-send").click()
    expect(ui(page, "kept")).to_contain_text("5 rows")
    kept = program.read("/v1beta/datasetio/iterrows/e5-failing")["data"]
    assert [row["question"] for row in kept] == [
        row["question"] for row, score in zip(rows, rows_told, strict=True) if not score
    ]
    tab.open(f"/benchmarks/{name}/")
    tab.audit("benchmark")
    tab.open("/benchmarks/")
    tab.audit("benchmarks")


def test_the_cost_grows_with_the_rows_and_the_link_of_a_row_is_shared(
    tabs: Callable[..., Tab], console: Console
) -> None:
    program = Program(console)
    name = register(
        program, "costs", [{"question": f"Count {n}.", "answer": "no"} for n in range(24)], "basic::equality"
    )
    tab = tabs(console, permissions=["clipboard-read", "clipboard-write"])
    page = tab.open("/models/openai/fake-n20-d50/")
    page.get_by_text("Set prices", exact=True).first.click()
    ui(page, "field-input_price").fill("0")
    ui(page, "field-output_price").fill("2500")
    tab.audit("model-prices")
    ui(page, "keep-prices").click()
    expect(ui(page, "price")).to_have_text("0 USD in · 2500 USD out per million tokens")
    job_id = start(program, name, "openai/fake-n20-d50")

    page = tab.open(f"/evaluations/{job_id}/")
    is_live(tab)
    expect(page.get_by_text("Cost so far")).to_be_visible()
    ui(page, "cancel").focus()
    # 24 rows of 20 tokens; until then less is told
    expect(ui(page, "cost")).to_have_text(re.compile(r"^\s*0\.[0-9]+ USD\s*$"))
    expect(ui(page, "cost")).to_have_text("1.20 USD", timeout=30_000)
    has_state(page, "completed")
    expect(ui(page, "candidate")).to_be_focused()  # the button is gone, and has not become another one

    ui(page, "row").nth(2).get_by_role("link").first.click()
    expect(ui(page, "row-cost")).to_have_text("0.05 USD")
    ui(page, "more").click()
    ui(page, "share").click()
    expect(page.get_by_text("The link is copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url == f"{console.url}/evaluations/{job_id}/rows/3/"
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    ui(page, "more").click()
    ui(page, "share").click()
    expect(page.get_by_label("To be copied")).to_have_value(page.url)
    page.keyboard.press("Escape")
    ui(page, "candidate").evaluate("one => { one.textContent = 'a-long-name-of-a-model/'.repeat(8) }")
    ui(page, "close-row").click()
    tab.audit("evaluation-shared")
    page = tab.open("/models/openai/fake-n20-d50/")  # others find the model as it was
    page.get_by_text("Set prices", exact=True).first.click()
    for side in ("input", "output"):
        ui(page, f"field-{side}_price").fill("")
    ui(page, "keep-prices").click()
    expect(ui(page, "price")).to_have_text("not set")


def test_a_hidden_page_of_a_run_asks_for_nothing_until_it_is_shown(tab: Tab, console: Console) -> None:
    program = Program(console)
    name = register(program, "hidden", ROWS)
    job_id = start(program, name, SLOW)
    page = tab.open(f"/evaluations/{job_id}/")
    is_live(tab)
    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => window.away ?? true, configurable: true })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    assert ended(program, name, job_id) == "completed"
    assert asked == []

    page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    has_state(page, "completed")


def test_pages_and_forms_work_without_script(tabs: Callable[..., Tab], console: Console) -> None:
    program = Program(console)
    name = register(program, "quiet", ROWS[:4])
    tab = tabs(console, java_script_enabled=False)
    page = tab.open(f"/benchmarks/new/?copy={name}")
    ui(page, "register-benchmark").click()
    expect(ui(page, "benchmark-name")).to_have_text("quiet-copy")
    ui(page, "run-benchmark").click()
    page.get_by_label("openai/fake", exact=True).check()
    ui(page, "sampling").locator("summary").click()
    page.get_by_role("button", name="Add another system message").click()
    expect(ui(page, "field-system_message")).to_have_count(2)
    ui(page, "field-benchmark").select_option(name)
    page.get_by_role("button", name="Choose").click()
    expect(ui(page, "run-form")).to_have_attribute("action", f"/evaluations/new/?benchmark={name}")
    ui(page, "field-benchmark").select_option("quiet-copy")
    page.get_by_role("button", name="Choose").click()
    ui(page, "try").click()
    expect(ui(page, "tried-row")).to_have_count(3)
    expect(page.get_by_label("openai/fake", exact=True)).to_be_checked()
    ui(page, "start-evaluation").click()

    assert ended(program, "quiet-copy", page.url.split("/")[4]) == "completed"
    page.reload()
    expect(ui(page, "row")).to_have_count(4)
    ui(page, "failing-by").select_option("basic::subset_of")
    page.get_by_role("button", name="Show").last.click()
    page.locator("#r4 [data-row]").click()
    expect(ui(page, "row-drawer")).to_contain_text("Row 4")
    ui(page, "score-2").check()
    ui(page, "human-note").fill("Too long.")
    ui(page, "save-score").click()
    expect(ui(page, "score-2")).to_be_checked()
    expect(ui(page, "human-note")).to_have_value("Too long.")
    expect(page.locator("#r4 [data-ui=human-score]")).to_have_text("2.00")
    ui(page, "clear-score").click()
    expect(ui(page, "score-2")).not_to_be_checked()
    ui(page, "close-row").click()
    ui(page, "more").click()
    expect(ui(page, "export-csv")).to_be_visible()
    expect(ui(page, "share")).to_be_hidden()
    page.keyboard.press("Escape")
    ui(page, "keep-rows").click()
    ui(page, "field-name").fill("quiet-failing")
    ui(page, "keep-send").click()
    expect(ui(page, "dataset-name")).to_have_text("quiet-failing")


def test_without_a_benchmark_the_list_offers_one_of_a_dataset(tabs: Callable[..., Tab], own_console: Console) -> None:
    program = Program(own_console)
    tab = tabs(own_console)
    tab.open("/evaluations/")
    tab.audit("evaluations-empty")
    source = {"type": "rows", "rows": ROWS}
    body = {"purpose": "eval/question-answer", "dataset_id": "first", "source": source}
    program.ok(program.http.post("/v1beta/datasets", json=body))

    page = tab.open("/benchmarks/")
    tab.audit("benchmarks-empty")
    ui(page, "from-dataset").click()
    ui(page, "register-benchmark").click()

    expect(ui(page, "benchmark-name")).to_have_text("first")
