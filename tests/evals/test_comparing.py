"""Runs held against each other row by row: which rows are the same, what became of their scores, and the page."""

import csv
import io
import json
import re
import time
from itertools import pairwise
from typing import Any

import pytest
from django.test import Client
from pydantic_core import from_json

from apps.accounts.models import AuditLine
from apps.datasets.models import Dataset
from apps.datasets.rows import iterrows
from apps.evals import schemas
from apps.evals.compare import comparing, flips, setup_diff
from apps.evals.models import Evaluation
from apps.jobs.models import Status
from tests.evals import made, runs

FN = "basic::equality"
PAGE = "/evaluations/compare/"


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [runs.row(f"Question {n}?", f"answer {n}") for n in range(start, start + count)]


def simple(scores: list[Any], some: list[dict[str, Any]] | None = None, **fields: Any) -> Evaluation:
    """Return a run with these scores; a right answer is the expected one."""
    some = rows(len(scores)) if some is None else some
    answers = [one["answer"] if score else "something else" for one, score in zip(some, scores, strict=True)]
    return runs.run(some, answers, {FN: scores}, **fields)


def compared(base: Evaluation, other: Evaluation) -> comparing.Comparison:
    return comparing.compare(comparing.side(base), comparing.side(other))


def address(base: Evaluation, *others: Evaluation, **told: Any) -> str:
    query = [("base", base.job.job_id), *(("with", one.job.job_id) for one in others), *told.items()]
    return PAGE + "?" + "&".join(f"{name}={value}" for name, value in query)


@pytest.fixture
def page(client: Client, people: dict[str, Any]) -> Client:
    client.force_login(people["viewer"])
    return client


@pytest.fixture
def at_work(client: Client, people: dict[str, Any]) -> Client:
    client.force_login(people["operator"])
    return client


def shown(client: Client, path: str) -> list[tuple[str, str]]:
    """Return numbers and kinds of the rows a page lists."""
    text = client.get(path).content.decode()
    kinds = re.findall(r'data-ui="flip" data-kind="(\w+)"', text)
    numbers = re.findall(r'data-ui="flip-row">([\d,]+)<', text)
    return list(zip(numbers, kinds, strict=True))


def test_rows_of_the_same_content_are_compared(transactional_db: None) -> None:
    one = compared(simple([1.0, 0.0, 1.0, 0.0]), simple([1.0, 1.0, 0.0, 0.0]))

    outcome = one.outcomes[0]
    assert outcome.kinds == ["same", "better", "worse", "same"]
    assert (outcome.base.value, outcome.other.value, outcome.delta) == (0.5, 0.5, 0.0)
    assert flips.flipped(one, outcome) == [(1, 1), (2, 2)]


def test_rows_that_moved_are_found_and_the_rest_is_told(transactional_db: None) -> None:
    some = rows(4)
    one = compared(simple([1.0] * 4, some), simple([0.0] * 4, [some[2], some[1], runs.row("new"), some[0]]))

    assert one.pairs == [(0, 3), (1, 1), (2, 0)]
    assert (one.base_only, one.other_only) == (1, 1)


def test_equal_rows_are_each_paired_once(transactional_db: None) -> None:
    same = [runs.row("again")] * 3
    one = compared(simple([1.0, 1.0, 1.0], same), simple([1.0, 0.0], same[:2]))

    assert one.pairs == [(0, 0), (1, 1)]
    assert one.outcomes[0].other.value == 0.5
    assert one.outcomes[0].base.value == 1.0  # of the two rows both have


def test_a_row_that_was_edited_is_not_compared(transactional_db: None) -> None:
    edited = [*rows(1), runs.row("Question 1?", "another answer")]

    one = compared(simple([1.0, 1.0]), simple([1.0, 0.0], edited))

    assert one.pairs == [(0, 0)]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (0.0, 1.0, "better"), (1.0, 0.2, "worse"), (0.1 + 0.2, 0.3, "same"), ("3", "4", "better"), (True, 1, "same"),
        ("A", "B", "changed"), ("A", "A", "same"), ("A", 1.0, "changed"), (None, 1.0, "unscored"),
        (0.0, None, "unscored"), (None, None, "neither"),
    ],
)  # fmt: skip
def test_what_became_of_a_score(before: Any, after: Any, kind: str) -> None:
    assert comparing.kind(before, after) == kind


def test_verdicts_change_without_being_better(transactional_db: None) -> None:
    params = {"type": "llm_as_judge", "judge_model": "j", "aggregation_functions": ["categorical_count"]}
    scoring = {"grade": {"function": "llm-as-judge::base", "params": params}}
    made = [
        runs.run(rows(3), ["x"] * 3, {"grade": told}, scoring=scoring) for told in (["A", "B", "A"], ["A", "A", "C"])
    ]

    outcome = compared(*made).outcomes[0]

    assert outcome.counts == {"same": 1, "changed": 2}
    assert (outcome.delta, outcome.base.words) == (None, "A 2 · B 1")
    assert outcome.certainty.words == "verdicts have no order"


def test_a_function_only_one_run_has_is_not_compared(transactional_db: None) -> None:
    other = runs.run(rows(2), ["x"] * 2, {FN: [1.0, 1.0], "mine": [0.5, 0.7]})

    one = compared(simple([1.0, 0.0]), other)

    assert [(told.name, told.is_shared) for told in one.outcomes] == [(FN, True), ("mine", False)]
    assert one.outcome("mine") is one.outcomes[0]


def test_the_parts_of_a_bar_fill_it(transactional_db: None) -> None:
    outcome = compared(simple([0.0, 1.0, 1.0, 1.0]), simple([1.0, 0.0, 1.0, 1.0])).outcomes[0]

    parts = [(one["kind"], float(one["x"][:-1]), float(one["width"][:-1])) for one in outcome.bar]

    assert [kind for kind, _, _ in parts] == ["better", "same", "worse"]
    assert parts[-1][1] + parts[-1][2] == pytest.approx(100, abs=0.05)
    assert all(one[1] + one[2] < two[1] for one, two in pairwise(parts))


def test_the_numbers_equal_those_of_each_run(page: Client) -> None:
    base, other = simple([1.0, 0.0, 0.0, 1.0]), simple([1.0, 1.0, 1.0, 0.0])

    text = page.get(address(base, other)).content.decode()

    assert base.aggregated[FN]["accuracy"]["accuracy"] == 0.5
    assert other.aggregated[FN]["accuracy"]["accuracy"] == 0.75
    assert 'data-ui="base-score">0.50<' in text and 'data-ui="with-score">0.75<' in text
    assert 'data-ui="delta">+0.25<' in text
    assert "too few flipped to tell" in text


def test_the_page_lists_the_flipped_rows_the_address_asks_for(page: Client) -> None:
    base, other = simple([1.0, 0.0, 0.0, 1.0]), simple([1.0, 1.0, 1.0, 0.0])

    assert shown(page, address(base, other)) == [("2", "better"), ("3", "better"), ("4", "worse")]
    assert shown(page, address(base, other, show="worse")) == [("4", "worse")]
    assert shown(page, address(base, other, show="better")) == [("2", "better"), ("3", "better")]
    assert shown(page, address(base, other, show="sideways")) == shown(page, address(base, other))


def test_what_differs_between_the_answers_is_marked_where_it_stands(page: Client) -> None:
    some = rows(2)
    base = runs.run(some, ["It takes 14 days.", "No."], {FN: [1.0, 0.0]})
    other = runs.run(some, ["It takes <b>30</b> days.", "Yes, always"], {FN: [0.0, 1.0]})

    text = page.get(address(base, other)).content.decode()
    told = text.partition("</thead>")[2]

    assert "It takes<del> 14</del> days." in told
    assert "It takes<ins> &lt;b&gt;30&lt;/b&gt;</ins> days." in told
    assert ">Yes, always<" in told and "<ins>Yes" not in told  # nothing is in both: marks would say nothing


def test_a_line_shows_what_changed_and_an_open_one_all_of_it(page: Client) -> None:
    some = rows(1)
    words = " ".join(f"word{n}" for n in range(30))
    base = runs.run(some, [f"{words} no further {words}"], {FN: [0.0]})
    other = runs.run(some, [f"{words} yes further {words}"], {FN: [1.0]})

    line = page.get(address(base, other)).content.decode().partition('data-ui="after"')[2].partition("</td>")[0]
    brief, full = (
        line.partition(f"c-answer {kind}")[2].partition('<span class="c-')[0] for kind in ("c-brief", "c-full")
    )

    assert "<ins>" in brief and "word20" not in brief
    assert "<ins>" in full and "word20" in full


def test_a_functions_words_for_its_score_are_a_click_away(page: Client) -> None:
    base, other = simple([1.0]), simple([0.0])
    other.rows.update(scores=json.dumps({FN: {"score": 0.0, "judge_feedback": "Too short. Score: 0"}}))

    text = page.get(address(base, other)).content.decode()

    assert text.count('data-ui="said"') == 1 and "Too short. Score: 0" in text


def test_a_number_moved_by_a_row_of_one_run_alone_says_so(page: Client) -> None:
    base, other = simple([1.0, 0.0]), simple([1.0, None])
    moved = "1 row with a score in one run only moves that run's number."

    assert moved not in page.get(address(base, base)).content.decode()
    other.scoring[FN]["params"]["aggregation_functions"] = ["average"]
    other.save(update_fields=["scoring"])
    assert moved in " ".join(page.get(address(base, other)).content.decode().replace("&#x27;", "'").split())


def test_a_row_without_an_answer_says_so(page: Client) -> None:
    base = runs.run(rows(1), ["x"], {FN: [1.0]})
    other = runs.run(rows(1), [None], {FN: [None]})

    text = page.get(address(base, other)).content.decode()

    assert shown(page, address(base, other, show="unscored")) == [("1", "unscored")]
    assert "no answer: The model server did not answer." in text


def test_many_flipped_rows_are_paged(page: Client) -> None:
    base, other = simple([0.0] * 60), simple([1.0] * 60)

    first = shown(page, address(base, other))
    last = shown(page, address(base, other) + "&from=50")

    assert [len(first), first[0][0], first[-1][0]] == [25, "1", "25"]
    assert [number for number, _ in last] == [str(n) for n in range(51, 61)]
    assert shown(page, address(base, other) + "&from=99999") == last
    text = page.get(address(base, other) + "&from=25").content.decode()
    assert "26–50 of 60" in text and "from=50" in text


def test_what_cannot_be_compared_is_told(page: Client) -> None:
    some = rows(3)
    base = simple([1.0] * 3, some)
    params = {"type": "basic", "aggregation_functions": ["average"]}
    other = simple(
        [1.0] * 2, [some[0], runs.row("x")], dataset_id="others", status=Status.IN_PROGRESS,
        scoring={FN: {"function": FN, "params": params}},
    )  # fmt: skip

    text = page.get(address(base, other)).content.decode()

    assert "of different datasets, rows and others" in text
    assert f"1 row is the same in both and is compared; 2 are only in run {base.pk} and 1 is only" in text
    assert f"dataset rows → others, rows 3 → 2, aggregation functions of {FN}</span>" in text
    assert f"Run {other.pk} is not finished: 2 of 2 rows." in text
    assert 'hx-trigger="every 5s"' in text


def test_in_what_the_runs_differ_is_told_in_words(page: Client) -> None:
    base, same, other = simple([1.0]), simple([0.0]), simple([0.0])
    sampling = {"strategy": {"type": "top_p", "temperature": 0.7, "top_p": 0.9}, "max_tokens": 50}
    said = {"role": "system", "content": "Be brief."}
    candidate = {"type": "model", "model": "scripted/scripted", "sampling_params": sampling, "system_message": said}
    other.config = schemas.BenchmarkConfig.model_validate({"eval_candidate": candidate})
    other.save()

    text = page.get(address(base, same, other)).content.decode()

    assert "Asked and scored as the base is" in text
    told = "system message, temperature 0 → 0.7, top p not set → 0.9, max tokens not set → 50"
    assert set(setup_diff.words_of(base, other)) == set(told.split(", "))
    assert all(words in text for words in told.split(", "))


def test_what_the_runs_took_is_told_where_it_is_known_of_both(page: Client) -> None:
    base, other = simple([1.0, 0.0]), simple([1.0, 1.0])
    price = {"judges": {}, "candidate": {"input": "0", "output": "1000", "currency": "EUR"}}
    for run, tokens, took in ((base, 1_000, 400), (other, 3_000, 900)):
        Evaluation.objects.filter(pk=run.pk).update(input_tokens=10, output_tokens=tokens, prices=price)
        run.rows.update(duration_ms=took)
    base.rows.update(human=2.0)

    def facts() -> dict[str, list[str]]:
        rows = re.findall(r'data-fact="([^"]+)"(.*?)</tr>', page.get(address(base, other)).content.decode(), re.S)
        cells = {name: re.findall(r"<td[^>]*>(.*?)</td>", text, re.S) for name, text in rows}
        return {name: [" ".join(cell.split()) for cell in some] for name, some in cells.items()}

    told = facts()
    assert told["Cost"][:3] == ["at least 1.00 EUR", "at least 3.00 EUR", "+2.00 EUR"]
    assert told["Tokens"][:3] == ["1,010", "3,010", "+2,000"]
    assert told["Time per row"] == ["400 ms", "900 ms", "+500 ms", "of 2 rows"]
    assert "Human" not in told

    other.rows.filter(position=1).update(human=4.5)
    assert facts()["Human"] == ["2.00", "4.50", "+2.50", "of 1 row"]


def test_runs_without_a_common_row(page: Client) -> None:
    text = page.get(address(simple([1.0]), simple([1.0], rows(1, 7)))).content.decode()

    assert "No row is in both runs" in text


def test_five_runs_are_compared_and_more_are_left_out(page: Client, django_assert_max_num_queries: Any) -> None:
    made = [simple([float(n < at) for n in range(6)]) for at in range(6)]
    path = address(*made)

    with django_assert_max_num_queries(15):
        text = page.get(path).content.decode()

    assert text.count('data-ui="score-line"') == 4
    told = " ".join(text.partition('data-ui="left-out"')[2].partition("</span>")[0].split())
    assert "1 more is left out" in told and f">run {made[5].pk}</a>" in told
    assert text.count(">best<") == 1
    last = made[4].job.job_id
    assert len(shown(page, address(*made[:5], against=last))) == 4
    assert len(shown(page, address(*made[:5]))) == 1


def test_runs_that_are_left_out_stay_in_the_address_and_can_come_first(page: Client) -> None:
    made = [simple([float(n < at) for n in range(6)]) for at in range(7)]
    names = [one.job.job_id for one in made]
    text = page.get(PAGE + "?" + "&".join(f"with={name}" for name in names), follow=True).content.decode()
    assert all(text.count(f"with={name}") for name in names[1:]), "the first run is the base, and all others are kept"
    link = re.search(r'href="([^"]+)" data-ui="instead"', text)
    assert link

    turned = page.get(PAGE + link[1].replace("&amp;", "&")).content.decode()

    cards = re.findall(r'href="/evaluations/([^"/]+)/"', turned.partition('data-ui="notes"')[0])
    assert set(names[5:]) <= set(cards) and f">run {made[4].pk}</a>" in turned.partition('data-ui="left-out"')[2]


def test_one_run_alone_is_kept_as_the_base_and_others_are_asked_for(page: Client) -> None:
    one = simple([1.0])

    text = page.get(f"{PAGE}?pick=yes&run={one.job.job_id}", follow=True).content.decode()

    assert f'name="base" value="{one.job.job_id}"' in text
    simple([1.0])
    text = page.get(f"{PAGE}?pick=yes&run={one.job.job_id}", follow=True).content.decode()
    assert "Choose at least one run to hold against the base" in " ".join(text.split())


def test_a_base_that_is_best_is_marked_once(page: Client) -> None:
    text = page.get(address(*(simple([float(n < at) for n in range(6)]) for at in (4, 2, 1)))).content.decode()

    assert text.count(">best<") == 1 and '0.67 <span class="tag">best</span>' in text


def test_another_run_becomes_the_base(page: Client) -> None:
    base, other = simple([1.0, 0.0]), simple([1.0, 1.0])

    text = page.get(address(base, other)).content.decode()
    link = re.findall(r'href="([^"]+)" aria-label="Set run', text)[0].replace("&amp;", "&")

    assert shown(page, PAGE + link) == [("2", "worse")]


def test_what_is_missing_in_the_address_is_asked_for(page: Client) -> None:
    base, other = simple([1.0]), simple([0.0])
    elsewhere = simple([0.0], benchmark_id="another")

    any_ = page.get(PAGE).content.decode()
    of_one = page.get(f"{PAGE}?base={base.job.job_id}").content.decode()
    of_all = page.get(f"{PAGE}?base={base.job.job_id}&of=all").content.decode()

    of_bench = page.get(f"{PAGE}?benchmark=bench").content.decode()

    assert any_.count('data-ui="take-base"') == 3
    assert set(re.findall(r'name="run" value="([^"]+)"', of_bench)) == {base.job.job_id, other.job.job_id}
    assert re.findall(r'name="with" value="([^"]+)"', of_one) == [other.job.job_id]
    assert re.findall(r'name="with" value="([^"]+)"', of_all) == [elsewhere.job.job_id, other.job.job_id]


def test_of_runs_chosen_in_a_list_the_oldest_is_the_base(page: Client) -> None:
    base, other = simple([1.0]), simple([0.0])

    answer = page.get(f"{PAGE}?run={other.job.job_id}&run={base.job.job_id}")

    assert answer["Location"] == address(base, other)
    assert page.get(f"{PAGE}?run={other.job.job_id}")["Location"] == address(other)


@pytest.mark.parametrize("query", ["?base=none", "?base=none&with=x", "?run=none"])
def test_runs_that_are_not_there(page: Client, query: str) -> None:
    assert page.get(PAGE + query).status_code == 404


def test_the_export_has_every_compared_row(page: Client) -> None:
    base, other = simple([1.0, 0.0, 1.0]), simple([1.0, 1.0], rows(2))
    third = simple([0.0, 0.0, 1.0])

    answer = page.get(address(base, other, third).replace(PAGE, f"{PAGE}export.csv"))
    lines = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]

    assert lines[0][:3] == ["row", "input", "expected"] and len({len(line) for line in lines}) == 1
    assert lines[2][:5] == ["2", "Question 1?", "answer 1", "something else", "0.0"]
    assert lines[2][5:] == ["answer 1", "1.0", "better", "something else", "0.0", "same"]
    assert lines[3][5:] == ["", "", "", "answer 2", "1.0", "same"]
    assert page.get(f"{PAGE}export.csv").status_code == 404


def test_worse_rows_go_to_a_dataset(at_work: Client) -> None:
    base, other = simple([1.0, 1.0, 0.0]), simple([0.0, 0.0, 1.0])
    path = address(base, other).replace(PAGE, f"{PAGE}keep/")

    dialog = at_work.get(path).content.decode()
    made = at_work.post(path, {"name": "worse", "purpose": "eval/question-answer", "into": ""})
    again = at_work.post(path, {"name": "", "into": "worse"})

    assert "2 rows" in dialog and "Question 0?" in dialog
    assert made.status_code == 302, made.content.decode()
    dataset = Dataset.objects.get(dataset_id="worse")
    assert [from_json(text)["question"] for text in iterrows(dataset, 0, 9)] == ["Question 0?", "Question 1?"]
    assert again.status_code == 422 and "Nothing was added" in again.content.decode()
    assert "worse" in set(AuditLine.objects.values_list("object_id", flat=True))


def test_the_worse_rows_are_those_of_the_run_and_the_function_that_are_shown(at_work: Client) -> None:
    base = runs.run(rows(3), ["x"] * 3, {FN: [1.0, 1.0, 1.0], "mine": [1.0, 1.0, 1.0]})
    other = runs.run(rows(3), ["x"] * 3, {FN: [1.0, 1.0, 1.0], "mine": [1.0, 1.0, 1.0]})
    third = runs.run(rows(3), ["x"] * 3, {FN: [1.0, 0.0, 1.0], "mine": [0.0, 1.0, 0.0]})
    path = address(base, other, third, against=third.job.job_id, scorer="mine").replace(PAGE, f"{PAGE}keep/")

    at_work.post(path, {"name": "worse", "purpose": "eval/question-answer", "into": ""})

    kept = iterrows(Dataset.objects.get(dataset_id="worse"), 0, 9)
    assert [from_json(text)["question"] for text in kept] == ["Question 0?", "Question 2?"]


def test_a_viewer_adds_nothing(page: Client) -> None:
    path = address(simple([1.0]), simple([0.0]))

    assert 'data-ui="keep-worse"' not in page.get(path).content.decode()
    assert page.get(path.replace(PAGE, f"{PAGE}keep/")).status_code == 403


def test_ten_thousand_rows_are_quick_and_cost_the_same_queries(
    page: Client, django_assert_max_num_queries: Any
) -> None:
    some = rows(10_000)
    base = simple([float(n % 2) for n in range(10_000)], some)
    other = simple([float(n % 3 == 0) for n in range(10_000)], some)
    path = address(base, other, now="yes")
    page.get(path)

    began = time.perf_counter()
    with django_assert_max_num_queries(12):
        text = page.get(path).content.decode()
    took = time.perf_counter() - began
    print(f"10,000 rows: {took * 1000:.0f} ms")

    assert text.count('data-ui="flip"') == 25
    assert "of 10,000" in text
    assert took < 3


def test_many_rows_are_compared_once_the_page_is_there(page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "LATE", 3)
    few, base, other = simple([1.0]), simple([1.0, 0.0]), simple([0.0, 0.0])

    late = page.get(address(base, other, show="worse")).content.decode()
    link = re.findall(r'hx-get="([^"]+)"', late.partition("<main")[2])[0].replace("&amp;", "&")

    assert 'data-ui="late"' in late and "score-line" not in late and f'href="{link}"'.replace("&", "&amp;") in late
    assert shown(page, PAGE + link) == [("1", "worse")]
    assert "now=yes" in link and "now=yes" not in page.get(PAGE + link).content.decode().partition("<main")[2]
    assert 'data-ui="late"' not in page.get(address(few, base)).content.decode()


def test_a_comparison_opens_on_a_function_that_flipped_rows(page: Client) -> None:
    base, other = (
        made.evaluation(scores, functions=["basic::equality", "basic::subset_of"]) for scores in ([0.0], [0.0])
    )
    told = {"basic::equality": {"score": 0.0}, "basic::subset_of": {"score": 1.0}}
    other.rows.update(scores=json.dumps(told))

    about = page.get(address(base, other)).content.decode().partition('data-ui="flips-about">')[2][:80]

    assert about.startswith("subset_of") and "1 of 1" in about


def test_too_few_runs_are_asked_for_again(page: Client) -> None:
    base, _ = simple([1.0]), simple([0.0])

    assert 'data-ui="too-few"' not in page.get("/evaluations/compare/").content.decode()
    assert "Choose at least two runs." in page.get("/evaluations/compare/?pick=yes").content.decode()
    chosen = page.get(f"/evaluations/compare/?base={base.job.job_id}&pick=yes").content.decode()
    assert "Choose at least one run to hold against the base." in chosen
