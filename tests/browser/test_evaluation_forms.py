"""The forms of benchmarks and evaluations say at once what does not fit, beside what it is about."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Tab
from tests.browser.rooms import ui
from tests.browser.test_evaluations import ROWS, register
from tests.processes import Console
from tests.program import Program


def test_scorers_say_whether_they_fit_as_soon_as_a_dataset_is_chosen(
    tabs: Callable[..., Tab], console: Console
) -> None:
    register(Program(console), "fits", ROWS)
    tab = tabs(console)
    page = tab.open("/benchmarks/new/")
    page.check("input[value='basic::ifeval']")

    page.select_option("[data-ui=field-dataset_id]", "fits-rows")

    expect(ui(page, "scorer-trouble").first).to_have_text("Needs the columns instruction_id_list, prompt.")
    expect(page.locator("input[value='basic::ifeval']")).to_be_checked()
    page.evaluate("scrollTo(0, 0)")
    tab.audit("benchmark-form-unfit")


def test_what_is_wrong_stands_at_its_field_until_it_is_mended(tabs: Callable[..., Tab], console: Console) -> None:
    register(Program(console), "wrongs", ROWS)
    tab = tabs(console)
    page = tab.open("/evaluations/new/?benchmark=wrongs")
    rows, told = page.locator("#id_num_examples"), page.locator("#id_num_examples-e")
    page.check("input[value='openai/fake']")

    rows.fill("0")
    expect(told).to_contain_text("greater than or equal to 1")
    expect(rows).to_have_attribute("aria-invalid", "true")
    expect(rows).to_have_attribute("aria-describedby", "id_num_examples-h id_num_examples-e")
    ui(page, "try").click()
    expect(ui(page, "trial-refused")).to_be_visible()
    expect(told).to_have_count(1)
    page.evaluate("scrollTo(0, 0)")  # what lies half under the sticky head is no target
    tab.audit("evaluation-form-wrong")
    rows.fill("2")
    expect(told).to_have_count(0)
    expect(rows).not_to_have_attribute("aria-invalid", "true")


def test_the_fields_of_sampling_follow_the_strategy(tabs: Callable[..., Tab], console: Console) -> None:
    register(Program(console), "samples", ROWS)
    page = tabs(console, java_script_enabled=False).open("/evaluations/new/?benchmark=samples")
    fields = [page.locator(f"#id_{name}") for name in ("temperature", "top_p", "top_k")]
    ui(page, "sampling").locator("summary").click()

    for strategy, there in (("greedy", ""), ("top_p", "temperature top_p"), ("top_k", "top_k")):
        page.select_option("#id_strategy", strategy)
        assert [field.get_attribute("name") for field in fields if field.is_visible()] == there.split(), strategy
