"""Pages of scoring functions: what there is, a row tried, one of one's own registered and deleted, who may."""

import html
import json
import re
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from django.test import Client

from apps.accounts.models import AuditLine
from apps.core import db
from apps.evals import functions, own_functions, schemas
from apps.evals.models import Benchmark, ScoringFunction
from apps.evals.scorers.try_form import TryForm
from apps.evals.scoring.catalog import BUILT_IN
from tests import build

MINE = "mine/letters"
FIELDS = {
    "provider_scoring_fn_id": "basic::regex_parser_multiple_choice_answer",
    "scoring_fn_id": MINE,
    "description": "My letters",
    "parsing_regexes": "Letter (.)\n\nIs it (.)",
    "aggregation_functions": ["average"],
}


def benchmark(name: str, *names: str) -> Benchmark:
    return Benchmark.objects.create(
        benchmark_id=name, dataset_id="d", scoring_functions=list(names), provider_id="p", provider_benchmark_id=name
    )


def asked(name: str, **fields: Any) -> schemas.RegisterScoringFunctionRequest:
    """Return the request that registers letters of one's own."""
    params = {"type": "regex_parser", "parsing_regexes": ["Letter (.)"], "aggregation_functions": ["average"]}
    told = {"scoring_fn_id": name, "description": "", "return_type": {"type": "number"}, "params": params} | fields
    return schemas.RegisterScoringFunctionRequest.model_validate(told)


def score_of(text: str) -> str:
    found = re.search(r'data-ui="try-score">([^<]*)<', text)
    assert found, re.findall(r'data-ui="try-(?:row-)?error">.*?</section>', text)
    return found[1]


def samples(name: str) -> dict[str, str]:
    """Return what the form begins with, as a browser would send it."""
    form = TryForm(told=functions.named(name), scorer=BUILT_IN[name])
    return {field.name: str(field.value() or "") for field in form}


def test_the_list_tells_every_function_and_who_uses_it(reader: Client, django_assert_max_num_queries: Any) -> None:
    benchmark("one", "basic::equality", "basic::subset_of")
    benchmark("two", "basic::equality")
    for n in range(30):
        own_functions.register(asked(f"mine/{n}"), build.actor())

    with django_assert_max_num_queries(11):
        text = reader.get("/scorers/?q=basic").content.decode()
    with django_assert_max_num_queries(11):
        text = reader.get("/scorers/").content.decode()

    rows = re.findall(r'<tr data-ui="scorer-row".*?</tr>', text, re.DOTALL)
    assert len(rows) == len(BUILT_IN) + 30
    assert "2 benchmarks" in next(row for row in rows if "basic::equality<" in row)
    assert "Never used" in rows[0] and "new-scorer" not in text


def test_the_list_is_filtered_by_words(reader: Client) -> None:
    judges = reader.get("/scorers/?q=judge").content.decode()
    none = reader.get("/scorers/?q=nothing+so").content.decode()

    assert judges.count('data-ui="scorer-row"') == 10  # answer-similarity compares by vectors
    assert "No scorer matches" in none


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_every_function_has_a_page(reader: Client, name: str) -> None:
    answer = reader.get(f"/scorers/{name}/")

    assert answer.status_code == 200
    assert html.escape(BUILT_IN[name].description, quote=True) in answer.content.decode()


@pytest.mark.parametrize("name", [name for name, one in BUILT_IN.items() if not one.asks_a_model])
def test_the_row_a_form_begins_with_scores(at_work: Client, name: str) -> None:
    text = at_work.post(f"/scorers/{name}/try/", samples(name)).content.decode()

    assert score_of(text) == "1.00"


def test_a_row_is_scored_as_the_api_scores_it(at_work: Client) -> None:
    wrong = samples("basic::equality") | {"generated_answer": "Lyon "}

    text = at_work.post("/scorers/basic::equality/try/", wrong).content.decode()

    assert score_of(text) == "0.00"
    code = re.search(r"-d &#x27;(.*?)&#x27;</div>|-d '(.*?)'</div>", text, re.DOTALL)
    assert code
    body = json.loads(html.unescape(code[1] or code[2]))
    assert body == {
        "input_rows": [{"expected_answer": "Paris", "generated_answer": "Lyon "}],
        "scoring_functions": {"basic::equality": None},
    }


async def test_the_code_of_a_page_works(api: httpx2.AsyncClient) -> None:
    form = TryForm(told=await db.read(functions.named, "basic::ifeval"), scorer=BUILT_IN["basic::ifeval"])

    answer = await api.post("/v1/scoring/score", json=form.request())

    assert answer.json()["results"]["basic::ifeval"]["score_rows"][0]["score"] == 1.0


def test_a_judge_is_asked_and_its_words_are_shown(at_work: Client, scripted: Any) -> None:
    model = scripted("Well. Score: 7")
    sent = samples("llm-as-judge::base")
    assert sent["judge_model"] == model

    text = at_work.post("/scorers/llm-as-judge::base/try/", sent).content.decode()

    assert score_of(text) == "7"
    assert "Well. Score: 7" in text


def test_a_judge_that_is_not_there_is_told(at_work: Client) -> None:
    sent = samples("braintrust::factuality")

    text = at_work.post("/scorers/braintrust::factuality/try/", sent).content.decode()

    assert "add an inference provider" in text and 'data-ui="try-score"' not in text


def test_what_is_missing_in_a_row_is_refused_beside_its_field(at_work: Client) -> None:
    answer = at_work.post(
        "/scorers/basic::ifeval/try/", {"instruction_id_list": "[", "prompt": "", "generated_answer": "x"}
    )

    text = answer.content.decode()
    assert answer.status_code == 422
    assert "This is no JSON" in text and 'id="id_prompt-e"' in text
    assert 'data-ui="try-score"' not in text


def test_a_part_answers_htmx_with_the_calls_as_they_stand_now(at_work: Client) -> None:
    at_work.post("/scorers/basic::equality/try/", samples("basic::equality"))

    answer = at_work.post("/scorers/basic::equality/try/", samples("basic::equality"), headers={"HX-Request": "true"})

    part = answer.content.decode()
    assert part.startswith('<section class="panel"') and "<h1" not in part
    health = part.partition('id="scorer-health"')[2]
    assert 'hx-swap-oob="true"' in health and "2 rows scored" in health and 'data-state="ok"' in health


def test_one_of_ones_own_is_registered_and_used(at_work: Client) -> None:
    answer = at_work.post("/scorers/new/", FIELDS)

    assert answer.status_code == 302, answer.content.decode()
    row = ScoringFunction.objects.get(scoring_fn_id=MINE)
    assert row.params.parsing_regexes == ["Letter (.)", "Is it (.)"]
    assert row.params.aggregation_functions == ["average"]
    assert answer["Location"] == f"/scorers/{MINE}/"
    text = at_work.get("/scorers/").content.decode()
    assert text.index(MINE) < text.index("basic::equality")
    tried = at_work.post(f"/scorers/{MINE}/try/", {"expected_answer": "C", "generated_answer": "Is it C"})
    assert score_of(tried.content.decode()) == "1.00"
    assert AuditLine.objects.filter(action="create", kind="scoring_function").count() == 1


def test_a_judge_of_ones_own(at_work: Client, model: str) -> None:
    answer = at_work.post(
        "/scorers/new/",
        {
            "provider_scoring_fn_id": "llm-as-judge::base", "scoring_fn_id": "mine/judge", "description": "",
            "judge_model": model, "prompt_template": "Good? {generated_answer}", "judge_score_regexes": r"(\d)",
            "aggregation_functions": ["average", "median"],
        },
    )  # fmt: skip

    assert answer.status_code == 302, answer.content.decode()
    params = ScoringFunction.objects.get().params
    assert (params.judge_model, params.prompt_template) == (model, "Good? {generated_answer}")
    assert params.aggregation_functions == ["average", "median"]
    page = at_work.get("/scorers/mine/judge/").content.decode()
    reads = re.search(r'class="s-needs">(.*?)</dd>', page, re.DOTALL)
    assert reads and re.findall(r"[a-z_]+_[a-z]+", reads[1]) == ["generated_answer"]
    assert 'name="generated_answer"' in page and 'name="expected_answer"' not in page


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"scoring_fn_id": "basic::equality"}, "scoring_fn_id", "is a built-in scoring function"),
        ({"scoring_fn_id": "a?b"}, "scoring_fn_id", "'?' or '#'"),
        ({"scoring_fn_id": ""}, "scoring_fn_id", "Give the scorer a name"),
        ({"parsing_regexes": "("}, "parsing_regexes", ""),
    ],
)
def test_what_the_api_refuses_stands_beside_its_field(at_work: Client, wrong: Any, field: str, words: str) -> None:
    answer = at_work.post("/scorers/new/", FIELDS | wrong)

    text = html.unescape(answer.content.decode())
    assert answer.status_code == 422
    told = re.search(rf'id="id_{field}-e".*?</div>', text, re.DOTALL)
    assert told and words in told[0], re.findall(r'class="help e".*?</p>', text, re.DOTALL)
    assert not ScoringFunction.objects.exists()


def test_the_form_shows_the_parameters_of_what_runs(at_work: Client) -> None:
    judge = at_work.get("/scorers/new/?runs=llm-as-judge::base").content.decode()
    plain = at_work.get("/scorers/new/?from=basic::equality").content.decode()

    assert 'name="prompt_template"' in judge
    assert 'name="prompt_template"' not in plain and 'name="parsing_regexes"' not in plain


def chosen(at_work: Client, runs: str, sent: dict[str, Any], **headers: str) -> str:
    """Choose something else that runs, and return the form as it is shown then."""
    answer = at_work.post("/scorers/new/", sent | {"provider_scoring_fn_id": runs}, headers=headers)
    assert answer.status_code == 200 and answer.headers["HX-Replace-Url"] == f"/scorers/new/?runs={quote(runs)}"
    return html.unescape(answer.content.decode())


def inputs(page: str) -> dict[str, str]:
    """Return what a form holds, as a browser would send it, but for boxes."""
    typed = dict(re.findall(r'<input type="(?:text|hidden)" name="(\w+)"(?: value="([^"]*)")?', page))
    return typed | dict(re.findall(r'<textarea name="(\w+)"[^>]*>\n?(.*?)</textarea>', page, re.DOTALL))


def test_what_was_typed_stays_when_something_else_runs_and_comes_back_with_its_field(at_work: Client) -> None:
    prompt = "Good? {generated_answer}"
    typed = {"scoring_fn_id": "mine/judge", "prompt_template": prompt, "filled_for": "llm-as-judge::base"}
    usual = {"judge_score_regexes": r"Score: (\d+)", "aggregation_functions": ["average"], "judge_model": ""}

    plain = chosen(at_work, "basic::equality", typed | usual, **{"HX-Request": "true"})
    again = chosen(at_work, "llm-as-judge::405b-simpleqa", inputs(plain))

    assert plain.startswith('<div class="stack" id="scorer-form"') and 'name="prompt_template"' in plain
    assert "<textarea" not in plain.partition("id_description")[2].partition("</textarea>")[2]
    held = inputs(again)
    assert (held["scoring_fn_id"], held["prompt_template"]) == ("mine/judge", prompt)
    assert held["judge_score_regexes"] == "(A|B|C)", "what nobody typed is what the other one begins with"
    assert 'data-unsaved="yes"' in again and not ScoringFunction.objects.exists()


def test_a_prompt_that_says_the_same_of_every_row_is_refused(at_work: Client, model: str) -> None:
    sent = {
        "provider_scoring_fn_id": "llm-as-judge::base", "scoring_fn_id": "mine/judge", "judge_model": model,
        "prompt_template": "Is {answer} good?", "judge_score_regexes": r"(\d)", "aggregation_functions": ["average"],
    }  # fmt: skip

    answer = at_work.post("/scorers/new/", sent)

    assert answer.status_code == 422 and not ScoringFunction.objects.exists()
    assert "the same of every row" in answer.content.decode().partition('id="id_prompt_template-e"')[2]


def test_a_prompt_that_was_stored_so_keeps_nobody_from_changing_the_rest(at_work: Client, model: str) -> None:
    params = {"type": "llm_as_judge", "judge_model": model, "prompt_template": "Well?", "judge_score_regexes": ["(.)"]}
    own_functions.register(asked("mine/judge", params=params), build.actor())
    kept = {"prompt_template": "Well?", "judge_score_regexes": "(.)", "judge_model": model}

    answer = at_work.post("/scorers/mine/judge/edit/", kept | {"description": "New words"})

    assert answer.status_code == 302, answer.content.decode()
    assert ScoringFunction.objects.get().description == "New words"


def test_a_copy_begins_with_the_others_parameters(at_work: Client) -> None:
    at_work.post("/scorers/new/", FIELDS)

    text = at_work.get(f"/scorers/new/?from={MINE}").content.decode()

    assert "Letter (.)" in text and "My letters" in text


def test_deleting_names_the_benchmarks_and_is_asked_once(at_work: Client) -> None:
    at_work.post("/scorers/new/", FIELDS)
    benchmark("alphabet", MINE)

    asked = at_work.get(f"/scorers/{MINE}/delete/").content.decode()
    done, again = (at_work.post(f"/scorers/{MINE}/delete/", {"once": "k"}) for _ in range(2))

    assert "alphabet" in asked and "cannot be run without" in asked
    assert done["Location"] == again["Location"] == "/scorers/"
    assert not ScoringFunction.objects.exists()
    assert AuditLine.objects.filter(action="delete", kind="scoring_function").count() == 1


def test_a_built_in_one_stays(at_work: Client) -> None:
    assert at_work.get("/scorers/basic::equality/delete/").status_code == 404
    at_work.post("/scorers/basic::equality/delete/")

    assert at_work.get("/scorers/basic::equality/").status_code == 200
    assert "delete-scorer" not in at_work.get("/scorers/basic::equality/").content.decode()


def test_a_viewer_reads_only(reader: Client) -> None:
    text = reader.get("/scorers/basic::equality/").content.decode()

    assert "try-send" not in text and "Operators can try" in text
    assert reader.post("/scorers/basic::equality/try/", {}).status_code == 403
    assert reader.get("/scorers/new/").status_code == 403
    assert reader.post("/scorers/x/delete/").status_code == 403
    assert reader.get("/scorers/nothing::here/").status_code == 404


def test_strangers_are_led_to_the_door(client: Client, people: Any) -> None:
    assert "/login/" in client.get("/scorers/")["Location"]
    assert "/login/" in client.get("/evaluations/compare/")["Location"]
