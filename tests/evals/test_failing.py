"""Which rows of an evaluation fail, by any scorer or by one: their order, the rows alone, and those that are kept."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.datasets.models import Dataset
from apps.evals.models import Benchmark, Evaluation
from apps.evals.runs.failing import Failing
from apps.jobs.models import Status
from tests.evals import made, runs
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web
from tests.evals.test_slices import numbers

EQUAL, HOLDS = "basic::equality", "basic::subset_of"


@pytest.fixture
def two(bench: Benchmark) -> Evaluation:
    """A run that one scorer calls wrong throughout, and the other one right in half; its last row was not answered."""
    scores = {EQUAL: [0.0] * 4 + [None], HOLDS: [1.0, 0.0, 1.0, 0.0, None]}
    return runs.run([runs.row(f"Say {n}") for n in range(5)], ["yes"] * 4 + [None], scores, dataset_id="qa")


def order(web: Client, one: Evaluation, query: str) -> list[int]:
    return numbers(text(web, f"/evaluations/{one.job.job_id}/{query}"))


def test_rows_that_fail_more_scorers_come_first(web: Client, two: Evaluation) -> None:
    assert order(web, two, "?by=failures") == [5, 2, 4, 1, 3]
    assert order(web, two, f"?by=failures&scorer={EQUAL}") == [5, 1, 2, 3, 4]
    assert order(web, two, f"?by=failures&scorer={HOLDS}") == [5, 2, 4, 1, 3]


def test_the_failing_rows_stand_alone_by_one_scorer_or_by_any(web: Client, two: Evaluation) -> None:
    assert order(web, two, "?failing=1") == [1, 2, 3, 4, 5]
    assert order(web, two, f"?failing=1&scorer={HOLDS}") == [2, 4, 5]
    page = text(web, f"/evaluations/{two.job.job_id}/?failing=1&scorer={HOLDS}")
    assert f"failing {HOLDS}" in page and 'name="failing" value="1"' in page
    part = text(
        web, f"/evaluations/{two.job.job_id}/rows/4/?failing=1&by=failures&scorer={HOLDS}", **{"HX-Request": "true"}
    )
    assert "/rows/2/" in part and "/rows/3/" not in part


def test_the_head_of_a_column_sorts_low_first_then_high_first(web: Client, two: Evaluation) -> None:
    path, seen, heads = f"/evaluations/{two.job.job_id}/", [], []
    for _ in range(3):
        page = text(web, path)
        column = page.split('id="rows"')[1].split(f'title="{HOLDS}"')[1].split("</th>")[0]
        heads.append(re.findall(r'aria-sort="(\w+)"', column))
        seen.append(numbers(page))
        path = re.findall(r'href="([^"#]+)', column)[0].replace("&amp;", "&")

    assert heads == [[], ["ascending"], ["descending"]]
    assert seen == [[1, 2, 3, 4, 5], [5, 2, 4, 1, 3], [1, 3, 2, 4, 5]]


def test_any_score_has_a_place_and_paging_comes_past_all(
    web: Client, bench: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = [1, "0.25", True, None, "A", False, -2.5, "1e1", "nan", 0.1 + 0.2, "\0", [1], "1-2"]
    one = runs.run([runs.row("Say") for _ in told], ["yes"] * len(told), {"o'd d%s::é": told})
    monkeypatch.setattr("apps.evals.runs.grid.SIZE", 2)

    def walk(by: str) -> list[int]:
        seen, query = [], f"?by={by}&scorer=o'd d%25s::é"
        while query:
            page = text(web, f"/evaluations/{one.job.job_id}/{query}")
            seen += numbers(page)
            links = re.findall(r'href="[^"?]*([^"#]+)#rows" rel="next"', page)
            query = links[0].replace("&amp;", "&") if links else ""
        return seen

    assert walk("failures") == [4, 7, 6, 2, 10, 1, 3, 8, 5, 9, 11, 12, 13]
    assert walk("best") == [8, 1, 3, 10, 2, 6, 7, 4, 5, 9, 11, 12, 13]


@pytest.mark.parametrize("query", ["?by=best", "?by=failures&scorer=%0A", '?by=best&scorer=we"ird', "?scorer=gone"])
def test_nonsense_breaks_nothing(web: Client, two: Evaluation, query: str) -> None:
    assert len(order(web, two, query + "&failing=1&after=nan,1,2")) == 5


def keep(one: Evaluation) -> str:
    return f"/evaluations/{one.job.job_id}/keep/"


def test_the_rows_one_scorer_fails_are_kept(web: Client, two: Evaluation) -> None:
    page = text(web, f"/evaluations/{two.job.job_id}/?by=failures&scorer={HOLDS}")
    link = re.search(r'href="([^"]+/keep/[^"]*)"', page)
    assert link and "5 rows" in text(web, keep(two))

    page = text(web, link[1].replace("&amp;", "&"))

    assert "3 rows" in page and 'name="below" value="0.5"' in page
    web.post(keep(two), {"which": f"low:{HOLDS}", "below": "0.5", "name": "bad", "purpose": "eval/question-answer"})
    assert Dataset.objects.get(dataset_id="bad").row_count == 3


def test_the_number_follows_the_scorer(web: Client, bench: Benchmark) -> None:
    scores = {HOLDS: [1.0, 0.0, 1.0], "judge": [5, 3, 1]}
    one = runs.run([runs.row("Say") for _ in range(3)], ["yes"] * 3, scores)

    page = text(web, f"{keep(one)}?which=low:judge&was=low:{HOLDS}&below=0.5")

    assert 'name="below" value="3.0"' in page and "1 row<" in page
    assert "2 rows" in text(web, keep(one))  # each by its own number
    assert "2 rows" in text(web, f"{keep(one)}?which=low:judge&was=low:judge&below=4")


@pytest.mark.parametrize("which", ["low", "error", f"low:{HOLDS}"])
def test_rows_are_counted_without_being_read(
    web: Client, two: Evaluation, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.evals.runs.keep_form.FITTED", 1)
    monkeypatch.setattr(Failing, "rows", None)

    assert re.search(r">[135] rows?</span> of 5", text(web, f"{keep(two)}?which={which}"))


@pytest.mark.parametrize("which", ["nonsense", 'low:a"b', "=", "a=b"])
def test_a_way_to_fail_that_means_nothing_is_refused(web: Client, bench: Benchmark, which: str) -> None:
    one = runs.run([runs.row("Say")], ["yes"], {'a"b': [1.0]})

    answer = web.post(keep(one), {"which": which, "below": "0.5", "name": "bad", "purpose": "eval/question-answer"})

    assert answer.status_code == 422 and "0 rows" in answer.content.decode()


@pytest.mark.parametrize("number", ["nan", "inf", "much"])
def test_a_limit_that_is_no_number_is_refused_and_nothing_is_added(web: Client, two: Evaluation, number: str) -> None:
    wrong = {"which": f"low:{HOLDS}", "below": number, "name": "bad", "purpose": "eval/question-answer"}

    answer = web.post(keep(two), wrong)

    page = answer.content.decode()
    assert answer.status_code == 422 and 'id="id_below-e"' in page
    assert "3 rows" in page and not Dataset.objects.filter(dataset_id="bad").exists()


def test_the_name_of_another_dataset_is_refused_beside_its_field(web: Client, two: Evaluation) -> None:
    made.dataset("other")

    answer = web.post(keep(two), {"which": "low", "name": "other", "purpose": "eval/question-answer"})

    assert answer.status_code == 422
    assert "There is a dataset of this name" in answer.content.decode().partition('id="id_name-e"')[2]


def test_a_new_dataset_has_a_name_and_the_own_one_is_warned_of(web: Client, two: Evaluation) -> None:
    made.dataset("other")
    page = text(web, keep(two))
    assert 'name="name" value="bench-failing"' in page and "asked twice" not in page
    assert re.findall(r'<option value="(other|qa)"', page) == ["other", "qa"]

    assert "asked twice" in text(web, f"{keep(two)}?into=qa")
    assert "asked twice" not in text(web, f"{keep(two)}?into=other")
    web.post(keep(two), {"which": "low", "name": "", "purpose": "eval/question-answer"})
    assert Dataset.objects.get(dataset_id="bench-failing").row_count == 5
    assert 'value="bench-failing-2"' in text(web, keep(two))


def tile(page: str, name: str) -> str:
    part = page.split(f'data-ui="tile" data-name="{name}"')[1].split("</section>")[0]
    return " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", part, flags=re.S).split())


def test_a_tile_says_what_became_of_rows_without_a_score(web: Client, bench: Benchmark) -> None:
    average = {"function": "regex", "params": {"type": "basic", "aggregation_functions": ["average"]}}
    scoring = {HOLDS: runs.EQUALITY, "regex": average, "judge": average}
    lost = {"score": None, "judge_feedback": "A fine answer.", "error": "The judge's words hold no score."}
    scores = {HOLDS: [1.0, 0.0, None], "regex": [1.0, 0.0, None], "judge": [lost, lost, {"score": None, "error": "?"}]}
    one = runs.run([runs.row("Say") for _ in range(3)], ["yes"] * 3, scores, scoring=scoring)

    page = text(web, f"/evaluations/{one.job.job_id}/")

    assert "1 not scored, counted as wrong" in tile(page, HOLDS) and "0.33 accuracy" in tile(page, HOLDS)
    assert "1 not scored, left out" in tile(page, "regex")
    assert "– No row was scored The judge&#x27;s words hold no score." in tile(page, "judge")
    assert "hold no score" in text(web, f"/evaluations/{one.job.job_id}/rows/1/").split('data-ui="row-scores"')[1]


def test_a_run_without_an_answer_has_no_score_to_show(web: Client, bench: Benchmark) -> None:
    one = made.evaluation(["!away", "!away"])

    assert "– Nothing was answered" in tile(text(web, f"/evaluations/{one.job.job_id}/"), EQUAL)
    assert one.aggregated[EQUAL]["accuracy"]["accuracy"] == 0  # the API's result stays what it is


def test_the_numbers_of_a_run_that_goes_on_agree(web: Client, bench: Benchmark) -> None:
    one = made.evaluation([1.0, 0.0, 1.0], status=Status.IN_PROGRESS, row_total=30)
    one.job.progress = {"done": 4, "total": 30, "unit": "rows"}
    one.job.save(update_fields=["progress"])

    page = text(web, f"/evaluations/{one.job.job_id}/")

    assert "3 of 30 rows" in page and "4 of 30" not in page
    assert "3 rows so far" in tile(page, EQUAL)


def test_one_score_has_no_range(web: Client, bench: Benchmark) -> None:
    one = made.evaluation([0.5], status=Status.IN_PROGRESS, row_total=30)
    assert "sd" not in tile(text(web, f"/evaluations/{one.job.job_id}/"), EQUAL)

    two = made.evaluation([0.5, 0.25])
    assert "0.25 to 0.50 · sd 0.12" in tile(text(web, f"/evaluations/{two.job.job_id}/"), EQUAL)


def shown(page: str) -> list[str]:
    """Return the numbers of the rows a page shows."""
    return re.findall(r'id="r(\d+)"', page)


@pytest.fixture
def graded(bench: Benchmark) -> Evaluation:
    """A run whose judge gives 0 to 10, and once 100."""
    return made.evaluation([10.0, 8.0, 4.0, 0.0, 10.0, 100.0])


def test_which_number_makes_a_row_fail_is_shown_and_can_be_changed(web: Client, graded: Evaluation) -> None:
    path = f"/evaluations/{graded.job.job_id}/?failing=1"

    usual, higher = text(web, path), text(web, f"{path}&below=9")

    assert shown(usual) == ["3", "4"] and 'name="below" type="number" step="any" value="7"' in usual
    assert ">failing below 7<" in usual
    assert shown(higher) == ["2", "3", "4"] and ">failing below 9<" in higher
    search = higher.split('aria-label="Search rows"')[1].split("</form>")[0]
    assert '<input type="hidden" name="below" value="9">' in search
    assert shown(text(web, f"{path}&below=nan")) == shown(usual)
    assert "?below=9" in higher  # what the dialog for failing rows is asked for
    assert 'name="below" type' not in text(web, f"/evaluations/{graded.job.job_id}/")


def test_a_number_belongs_to_one_scorer(web: Client, two: Evaluation) -> None:
    path = f"/evaluations/{two.job.job_id}/?failing=1"

    assert 'name="below" type' not in text(web, path)
    one = text(web, f"{path}&scorer={EQUAL}&below=2")
    assert 'name="below" type="number" step="any" value="2"' in one and f"failing {EQUAL} below 2" in one
    choosing = one.split('data-ui="failing-by"')[0].rsplit("<form", 1)[1]
    assert 'name="below"' not in choosing
    assert f"scorer={HOLDS.replace(':', '%3A')}" in one
    assert not re.search(rf"scorer={HOLDS.replace(':', '%3A')}[^\"]*below", one)


def test_a_pass_mark_of_the_run_decides(web: Client, graded: Evaluation) -> None:
    graded.scoring[EQUAL]["fails_below"] = 9.0
    graded.save(update_fields=["scoring"])

    page = text(web, f"/evaluations/{graded.job.job_id}/?failing=1")

    assert shown(page) == ["2", "3", "4"] and 'value="9"' in page
