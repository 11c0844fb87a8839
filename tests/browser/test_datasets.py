"""Checks D: rows in and out through the pages, live, and fast at a hundred thousand."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Tab
from tests.browser.rooms import chat_path, is_live, ui
from tests.processes import Console
from tests.program import Program

QA = "eval/question-answer"


def rows(count: int) -> list[dict[str, str]]:
    return [{"question": f"What is {n}?", "answer": f"It is {n}."} for n in range(count)]


def register(program: Program, name: str, given: object, purpose: str = QA) -> None:
    source = {"type": "rows", "rows": given}
    body = {"purpose": purpose, "dataset_id": name, "source": source}
    program.ok(program.http.post("/v1beta/datasets", json=body))


def test_D1_a_bad_line_is_named_and_nothing_is_kept_until_confirmed(
    tabs: Callable[..., Tab], console: Console, tmp_path: Path
) -> None:
    lines = [json.dumps(row) for row in rows(40)]
    lines[16] = '{"question": "broken'
    file = tmp_path / "support.jsonl"
    file.write_text("\n".join(lines))
    program = Program(console)
    tab = tabs(console)
    page = tab.open("/datasets/new/?from=file")
    ui(page, "field-dataset_id").fill("d1")
    ui(page, "file").set_input_files(file)
    tab.audit("dataset-new-file")
    ui(page, "upload").click()

    expect(ui(page, "bad-line")).to_have_count(1)
    expect(ui(page, "bad-line")).to_contain_text("Line 17")
    expect(ui(page, "preview-row")).to_have_count(20)
    expect(ui(page, "field-purpose")).to_have_value(QA)
    assert program.http.get("/v1beta/datasets/d1").status_code == 404
    tab.audit("dataset-preview")

    tab.expect_trouble("422")
    ui(page, "load").click()
    expect(ui(page, "load-refused")).to_contain_text("Some lines are bad")
    assert program.http.get("/v1beta/datasets/d1").status_code == 404

    ui(page, "skip-bad").check()
    ui(page, "load").click()
    expect(ui(page, "row-count")).to_have_text("39")
    kept = program.read("/v1beta/datasetio/iterrows/d1")["data"]
    assert kept == [row for n, row in enumerate(rows(40)) if n != 16]


def test_D4_a_page_of_a_hundred_thousand_rows(tabs: Callable[..., Tab], console: Console) -> None:
    register(Program(console), "d4", rows(100_000))
    tab = tabs(console)
    for path in ("/datasets/d4/", "/datasets/d4/?after=50000", "/datasets/d4/rows/7/"):
        took = []
        for _ in range(5):
            page = tab.open(path)
            expect(ui(page, "row").first).to_be_visible()
            entry = page.evaluate("performance.getEntriesByType('navigation')[0].toJSON()")
            took.append(entry["responseEnd"] - entry["requestStart"])
        assert statistics.median(took) <= 400, (path, took)
        assert ui(page, "row").count() <= 50


def test_D5_what_is_exported_and_brought_back_is_equal(
    tabs: Callable[..., Tab], console: Console, tmp_path: Path
) -> None:
    program = Program(console)
    odd = [*rows(30), {"question": "ü\u0000\n", "answer": {"deep": [1, None, 2.5, 10**25]}, "further": None}]
    register(program, "d5", odd)
    tab = tabs(console)
    for kind in ("jsonl", "json", "parquet"):
        page = tab.open("/datasets/d5/")
        ui(page, "export").click()
        with page.expect_download() as download:
            ui(page, f"export-{kind}").click()
        file = tmp_path / download.value.suggested_filename
        download.value.save_as(file)
        page = tab.open("/datasets/new/?from=file")
        ui(page, "field-dataset_id").fill(f"d5-{kind}")
        ui(page, "file").set_input_files(file)
        ui(page, "upload").click()
        ui(page, "field-purpose").select_option(QA)  # some of these rows fit none
        ui(page, "load").click()
        expect(ui(page, "row-count")).to_have_text("31")
        assert program.read(f"/v1beta/datasetio/iterrows/d5-{kind}")["data"] == odd, kind


def test_rows_that_come_meanwhile_are_told_and_not_pushed(tabs: Callable[..., Tab], console: Console) -> None:
    program = Program(console)
    register(program, "live", rows(3))
    tab = tabs(console)
    page = tab.open("/datasets/live/")
    is_live(tab)
    program.ok(program.http.post("/v1beta/datasetio/append-rows/live", json={"rows": rows(12)}))

    expect(ui(page, "new-rows")).to_have_text("12 new")
    expect(ui(page, "row")).to_have_count(3)
    expect(ui(page, "row-count")).to_have_text("15")
    tab.audit("dataset-new-rows")
    page.keyboard.press(".")
    expect(ui(page, "row")).to_have_count(15)


def test_a_row_is_read_edited_and_deleted(tabs: Callable[..., Tab], console: Console) -> None:
    talk = [{"role": "user", "content": "Which pole?"}, {"role": "assistant", "content": "**11-204**"}]
    register(Program(console), "rows", [{"messages": talk}] * 3, "post-training/messages")
    tab = tabs(console)
    page = tab.open("/datasets/rows/")
    page.get_by_role("link", name="2", exact=True).click()
    expect(ui(page, "row-drawer").locator("strong")).to_have_text("11-204")
    tab.audit("dataset-row")
    ui(page, "edit-row").click()
    text = json.dumps({"messages": [*talk, {"role": "user", "content": "Thanks"}]})
    ui(page, "field-content").fill(text)
    tab.audit("dataset-row-edit")
    ui(page, "save-row").click()
    expect(ui(page, "said-user").last).to_contain_text("Thanks")
    ui(page, "delete-row").click()
    ui(page, "confirm-yes").click()
    expect(ui(page, "row-count")).to_have_text("2")


def test_a_turn_is_kept_from_its_chat(tabs: Callable[..., Tab], console: Console) -> None:
    program = Program(console)
    path = program.session()
    turn = program.turn(path, "say:Part 11-204 fits.")
    tab = tabs(console)
    page = tab.open(chat_path(path))
    ui(page, "keep-turn").click()
    expect(ui(page, "keep-row")).to_contain_text("Part 11-204 fits.")
    ui(page, "field-purpose").select_option(QA)
    expect(ui(page, "keep-row")).to_contain_text('"question"')
    tab.audit("keep-dialog")
    ui(page, "field-name").fill("from-chat")
    ui(page, "keep-send").click()
    expect(ui(page, "kept")).to_contain_text("1 row now")
    ui(page, "kept").get_by_role("link", name="from-chat").click()
    page.get_by_role("link", name="1", exact=True).click()
    page.get_by_role("link", name="Origin").click()
    ui(page, "origin-turn").click()
    expect(page.locator(f"#turn-{turn['turn_id']}")).to_be_visible()


def test_D3_a_dataset_with_another_purpose_is_not_offered_for_training_and_says_why(
    tabs: Callable[..., Tab], console: Console
) -> None:
    program = Program(console)
    register(program, "d3-questions", rows(3))
    register(program, "d3-talk", [{"messages": [{"role": "user", "content": "Hi"}]}], "post-training/messages")
    register(program, "d3-odd", [{"x": 1}], "post-training/messages")
    tab = tabs(console)
    page = tab.open("/datasets/d3-questions/")
    expect(ui(page, "use-evaluation")).to_have_text("For evaluation")
    expect(ui(page, "use-training")).to_contain_text("Not for training")
    expect(ui(page, "use-training")).to_contain_text("it is for questions and answers, not for training messages")
    tab.audit("dataset-uses")

    page = tab.open("/datasets/")
    ui(page, "filter").fill("d3")
    ui(page, "filter-use").select_option("training")
    expect(ui(page, "dataset-row")).to_have_count(1)
    expect(ui(page, "dataset-row")).to_contain_text("d3-talk")
    tab.audit("datasets-for-training")

    path = program.session()
    program.turn(path, "say:Good.")
    page = tab.open(chat_path(path))
    ui(page, "keep-turn").click()
    expect(ui(page, "keep-form")).to_contain_text("d3-odd (its rows do not fit its purpose)")
    offered = ui(page, "field-into").locator("option").all_inner_texts()
    assert any("d3-talk" in one for one in offered) and not any("d3-odd" in one for one in offered)
    tab.audit("keep-dialog-refused")


def test_an_empty_file_is_called_empty(tabs: Callable[..., Tab], console: Console, tmp_path: Path) -> None:
    file = tmp_path / "empty.csv"
    file.touch()
    page = tabs(console).open("/datasets/new/?from=file")
    ui(page, "field-dataset_id").fill("empty")
    ui(page, "file").set_input_files(file)
    ui(page, "upload").click()
    expect(page.get_by_text("The file is empty.", exact=True)).to_be_visible()
    expect(ui(page, "upload")).to_be_enabled()


def test_deleting_is_offered_for_selected_rows(tabs: Callable[..., Tab], console: Console) -> None:
    register(Program(console), "some", rows(3))
    page = tabs(console).open("/datasets/some/")
    expect(ui(page, "bulk")).to_be_hidden()
    page.get_by_label("Select row 2").check()
    expect(ui(page, "bulk")).to_be_visible()
    page.get_by_label("Select row 2").uncheck()
    expect(ui(page, "bulk")).to_be_hidden()
