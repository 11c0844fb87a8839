"""Check E3, and scoring functions: runs held against each other as a person sees it, scorers tried and registered."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Tab
from tests.browser.rooms import ui
from tests.browser.test_evaluations import ended, register
from tests.processes import ROOT, Console
from tests.program import Program

# Three words each but one, of which a run that may say three words misses the last.
ROWS = [{"question": f"say:It is {n}", "answer": f"It is {n}"} for n in range(9)]
ROWS[4] = {"question": "say:It is four today", "answer": "It is four today"}


@pytest.fixture(scope="module")
def filled(console: Console) -> dict[str, str]:
    """Two runs of a shop's questions, and a third; their jobs."""
    command = [sys.executable, "-m", "tests.evals.fill"]
    done = subprocess.run(command, cwd=ROOT, env=console.environment, check=True, text=True, capture_output=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def evaluated(program: Program, name: str, words: int) -> str:
    """Run a benchmark with answers of at most so many words; return its job."""
    sampling = {"strategy": {"type": "greedy"}, "max_tokens": words}
    candidate = {"type": "model", "model": "openai/fake", "sampling_params": sampling}
    config = {"benchmark_config": {"eval_candidate": candidate, "scoring_params": {}}}
    job = program.ok(program.http.post(f"/v1alpha/eval/benchmarks/{name}/jobs", json=config))
    assert ended(program, name, str(job["job_id"])) == "completed"
    return str(job["job_id"])


def test_E3_two_runs_with_one_flipped_row(tabs: Callable[..., Tab], console: Console) -> None:
    program = Program(console)
    name = register(program, "e3", ROWS, "basic::equality")  # type: ignore[arg-type]
    base, other = evaluated(program, name, 50), evaluated(program, name, 3)
    tab = tabs(console)
    page = tab.open("/evaluations/?benchmark=e3")
    ui(page, "compare").click()
    expect(ui(page, "pick")).to_have_count(2)
    tab.audit("compare-pick-any")
    ui(page, "take-base").last.click()
    page.get_by_role("checkbox").check()
    tab.audit("compare-pick")
    ui(page, "compare").click()

    expect(ui(page, "counts")).to_have_text("0 · 8 · 1")
    expect(ui(page, "flip")).to_have_count(1)
    expect(ui(page, "flip-row")).to_have_text("5")
    expect(ui(page, "flip").get_by_text("Worse", exact=True)).to_be_visible()
    expect(ui(page, "before").locator("del")).to_have_text(" today")
    expect(ui(page, "flip-scores")).to_have_text("1.00 → 0.00")
    told = [program.read(f"/v1alpha/eval/benchmarks/{name}/jobs/{job}/result") for job in (base, other)]
    numbers = [one["scores"]["basic::equality"]["aggregated_results"]["accuracy"]["accuracy"] for one in told]
    expect(ui(page, "base-score")).to_have_text(f"{numbers[0]:.2f}")
    expect(ui(page, "with-score")).to_have_text(f"{numbers[1]:.2f}")
    page.get_by_role("link", name="Better 0").click()
    expect(ui(page, "flip")).to_have_count(0)
    expect(ui(page, "empty")).to_contain_text("No row flipped this way")
    page.get_by_role("link", name="Worse 1").click()
    ui(page, "flip-row").click()
    expect(ui(page, "row-drawer")).to_contain_text("It is four today")
    page.go_back()
    ui(page, "set-base").click()
    expect(ui(page, "counts")).to_have_text("1 · 8 · 0")
    page = tab.open(f"/evaluations/{base}/")
    ui(page, "more").click()
    ui(page, "set-baseline").click()
    expect(ui(page, "baseline")).to_be_visible()
    page = tab.open(f"/evaluations/{other}/")
    expect(ui(page, "against")).to_contain_text("0 better, 1 worse")
    tab.audit("evaluation-baseline")
    ui(page, "compare").click()
    expect(ui(page, "base-card")).to_contain_text("Baseline")


def test_E3_worse_rows_become_rows_of_a_dataset(
    tabs: Callable[..., Tab], console: Console, filled: dict[str, str]
) -> None:
    tab = tabs(console)
    page = tab.open(f"/evaluations/compare/?base={filled['base']}&with={filled['with']}")
    tab.audit("compare")
    expect(ui(page, "flips-about")).to_contain_text("55 of 212")
    assert all(one.bounding_box()["height"] <= 76 for one in ui(page, "flip").all())  # type: ignore[index]
    expect(ui(page, "trace-base").first).to_be_hidden()
    ui(page, "open-flip").first.locator("summary").click()
    expect(ui(page, "trace-base").first).to_be_visible()
    expect(ui(page, "trace-base").nth(1)).to_be_hidden()
    tab.audit("compare-open")
    page.get_by_role("link", name="Worse 14").click()
    expect(ui(page, "flip")).to_have_count(14)
    ui(page, "keep-worse").click()
    expect(ui(page, "keep-row")).to_have_count(3)
    ui(page, "field-name").fill("got worse")
    tab.audit("compare-keep")
    ui(page, "keep-send").click()
    expect(ui(page, "kept")).to_contain_text("14 rows")
    rows = Program(console).read("/v1beta/datasetio/iterrows/got worse?limit=50")["data"]
    assert len(rows) == 14
    with page.expect_download() as download:
        ui(page, "kept-close").click()
        ui(page, "export").click()
    assert download.value.suggested_filename.endswith(".csv")


def test_texts_of_rows_can_be_read_beside_an_open_row(
    tabs: Callable[..., Tab], console: Console, filled: dict[str, str]
) -> None:
    page = tabs(console).open(f"/evaluations/{filled['with']}/rows/3/")

    for name in ("Input", "Generated"):
        box = page.get_by_role("columnheader", name=name).bounding_box()
        assert box and box["width"] >= 140
    expect(page.get_by_role("columnheader", name="Expected")).to_be_hidden()
    ui(page, "close-row").click()
    expect(page.get_by_role("columnheader", name="Expected")).to_be_visible()


def test_E3_several_runs_without_script(tabs: Callable[..., Tab], console: Console, filled: dict[str, str]) -> None:
    address = f"/evaluations/compare/?base={filled['base']}&with={filled['with']}&with={filled['third']}"
    tab = tabs(console)
    tab.open(address)
    tab.audit("compare-three")
    page = tabs(console, java_script_enabled=False).open(address)
    expect(ui(page, "score-line")).to_have_count(6)
    ui(page, "flips").get_by_role("link", name="cites_policy").click()
    expect(ui(page, "flips-about")).to_contain_text("regex::cites_policy".rpartition("::")[2])
    ui(page, "keep-worse").click()
    expect(page.get_by_role("heading", name="Add worse rows to a dataset").first).to_be_visible()


def test_a_scorer_is_tried_registered_edited_switched_off_and_deleted(
    tabs: Callable[..., Tab], console: Console
) -> None:
    tab = tabs(console)
    page = tab.open("/scorers/")
    tab.audit("scorers")
    page.get_by_role("link", name="basic::regex_parser_multiple_choice_answer").click()
    before = int(ui(page, "scorer-calls").inner_text().split()[0])
    ui(page, "try-send").click()
    expect(ui(page, "try-score")).to_have_text("1.00")
    expect(ui(page, "scorer-calls")).to_contain_text(f"{before + 1} row")
    ui(page, "field-generated_answer").fill("Answer: C")
    ui(page, "field-generated_answer").evaluate("one => { one.style.height = '120px' }")  # as who drags its corner
    ui(page, "try-send").click()
    expect(ui(page, "try-score")).to_have_text("0.00")
    expect(ui(page, "try-code")).to_contain_text("Answer: C")
    tab.audit("scorer")
    ui(page, "copy-scorer").click()
    ui(page, "field-scoring_fn_id").fill("")  # who has not named it yet may choose what runs
    ui(page, "field-provider_scoring_fn_id").select_option("llm-as-judge::base")
    expect(ui(page, "field-prompt_template")).to_be_visible()
    ui(page, "field-scoring_fn_id").fill("mine/letters")
    ui(page, "field-prompt_template").fill("say:Score: 7\n{generated_answer}")
    ui(page, "field-provider_scoring_fn_id").select_option("basic::equality")
    expect(ui(page, "field-prompt_template")).to_have_count(0)
    ui(page, "field-provider_scoring_fn_id").select_option("llm-as-judge::base")
    expect(ui(page, "field-prompt_template")).to_have_value("say:Score: 7\n{generated_answer}")
    expect(ui(page, "field-scoring_fn_id")).to_have_value("mine/letters")
    tab.audit("scorer-new")
    ui(page, "register-scorer").click()
    expect(ui(page, "scorer-name")).to_have_text("mine/letters")
    ui(page, "try-send").click()
    expect(ui(page, "try-score")).to_have_text("7")
    expect(ui(page, "try-feedback")).to_contain_text("Score: 7")
    expect(ui(page, "try-answer")).to_contain_text('"judge_feedback"')
    tab.audit("scorer-judge")
    ui(page, "edit-scorer").click()
    ui(page, "field-prompt_template").fill("say:Score: 4 {generated_answer}")
    tab.audit("scorer-edit")
    ui(page, "save-scorer").click()
    ui(page, "try-send").click()
    expect(ui(page, "try-score")).to_have_text("4")
    ui(page, "switch-scorer").click()
    expect(ui(page, "try-off")).to_be_visible()
    expect(ui(page, "scorer-calls")).to_have_text("2 rows scored")
    tab.audit("scorer-off")
    tab.open("/benchmarks/new/")
    expect(page.get_by_role("checkbox", name="basic::equality")).to_be_visible()
    expect(page.get_by_role("checkbox", name="mine/letters")).to_have_count(0)
    tab.open("/scorers/mine/letters/")
    ui(page, "delete-scorer").click()
    ui(page, "confirm-yes").click()
    expect(page.get_by_text("Scorer mine/letters was deleted.")).to_be_visible()


def test_a_scorer_without_script(tabs: Callable[..., Tab], console: Console) -> None:
    page = tabs(console, java_script_enabled=False).open("/scorers/new/?from=basic::equality")
    ui(page, "field-provider_scoring_fn_id").select_option("basic::docvqa")
    ui(page, "show-params").click()
    ui(page, "field-scoring_fn_id").fill("mine/plain")
    ui(page, "register-scorer").click()
    ui(page, "try-send").click()
    expect(ui(page, "try-score")).to_have_text("1.00")
    assert told(console, "mine/plain")["provider_resource_id"] == "basic::docvqa"


def told(console: Console, name: str) -> dict[str, Any]:
    """Return a scoring function as the API tells it."""
    return dict(Program(console).read(f"/v1/scoring-functions/{name}"))
