"""Scoring functions of one's own after they were registered: edited, switched off and on, how they do."""

import html
import json
import re

import httpx2
import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import AuditLine
from apps.core import db
from apps.core.errors import Conflict
from apps.evals import calls, evaluation, functions, own_functions, schemas
from apps.evals.models import ScorerUse, ScoringFunction
from apps.evals.scorers import health
from apps.evals.scoring.catalog import BUILT_IN
from apps.providers.models import Provider
from tests import build
from tests.evals import made
from tests.evals.conftest import config
from tests.evals.test_calls import counted
from tests.evals.test_scorer_pages import asked, score_of

MINE, PAGE = "mine/letters", "/scorers/mine/letters/"


def off() -> None:
    """Register one of one's own and switch it off."""
    with transaction.atomic():
        own_functions.register(asked(MINE), build.actor())
        own_functions.switch(MINE, False, build.actor())


def state_of(name: str) -> str:
    return health.of([functions.named(name)])[name].state


def test_description_and_parameters_are_edited(at_work: Client) -> None:
    own_functions.register(asked(MINE, description="Old"), build.actor())
    form = at_work.get(f"{PAGE}edit/").content.decode()
    sent = {"description": "New", "parsing_regexes": "Is it (.)", "aggregation_functions": ["median"]}

    answer = at_work.post(f"{PAGE}edit/", sent)

    assert "Old" in form and "Letter (.)" in form and 'name="scoring_fn_id"' not in form
    assert answer["Location"] == PAGE
    row = ScoringFunction.objects.get()
    assert (row.scoring_fn_id, row.description) == (MINE, "New")
    assert (row.params.parsing_regexes, row.params.aggregation_functions) == (["Is it (.)"], ["median"])
    line = AuditLine.objects.get(action="update", kind="scoring_function")
    assert line.detail == {"changed": ["description", "params"]}


def test_saving_what_it_is_changes_nothing(at_work: Client) -> None:
    own_functions.register(asked(MINE, description="Same"), build.actor())

    at_work.post(
        f"{PAGE}edit/",
        {"description": "Same", "parsing_regexes": "Letter (.)", "aggregation_functions": ["average"]},
    )

    assert not AuditLine.objects.filter(action="update").exists()


def test_what_is_refused_stands_beside_its_field(at_work: Client) -> None:
    own_functions.register(asked(MINE), build.actor())

    answer = at_work.post(f"{PAGE}edit/", {"description": "", "parsing_regexes": "("})

    assert answer.status_code == 422 and 'id="id_parsing_regexes-e"' in answer.content.decode()
    assert ScoringFunction.objects.get().params.parsing_regexes == ["Letter (.)"]


def test_a_judge_that_is_gone_stays_its_own_when_another_field_is_edited(at_work: Client) -> None:
    params = {"type": "llm_as_judge", "judge_model": "gone/judge", "prompt_template": "Good?"}
    own_functions.register(asked("mine/judge", params=params, return_type={"type": "string"}), build.actor())

    answer = at_work.post(
        "/scorers/mine/judge/edit/",
        {"description": "x", "prompt_template": "Well? {generated_answer}", "judge_score_regexes": r"(\d)"},
    )

    assert answer.status_code == 302, answer.content.decode()
    kept = ScoringFunction.objects.get().params
    assert (kept.judge_model, kept.prompt_template) == ("gone/judge", "Well? {generated_answer}")


def test_a_running_evaluation_keeps_what_it_began_with(at_work: Client, model: str) -> None:
    own_functions.register(asked(MINE), build.actor())
    made.dataset()
    made.benchmark("bench", "qa", MINE)
    run = evaluation.start("bench", schemas.BenchmarkConfig(**config(model)["benchmark_config"]), build.actor())

    at_work.post(f"{PAGE}edit/", {"description": "", "parsing_regexes": "Is it (.)"})
    at_work.post(f"{PAGE}switch/", {"enabled": "false"})

    run.refresh_from_db()
    assert run.scoring[MINE]["params"]["parsing_regexes"] == ["Letter (.)"]
    assert functions.scorers(run.scoring).functions[MINE]


def test_switched_off_it_is_offered_nowhere_and_its_benchmarks_say_so(at_work: Client, model: str) -> None:
    own_functions.register(asked(MINE), build.actor())
    made.dataset()
    made.benchmark("bench", "qa", MINE)

    at_work.post(f"{PAGE}switch/", {"enabled": "false"})

    assert f'value="{MINE}"' not in at_work.get("/benchmarks/new/").content.decode()
    assert 'data-state="disabled"' in at_work.get("/benchmarks/bench/").content.decode()
    form = at_work.get("/evaluations/new/?benchmark=bench").content.decode()
    assert "is switched off" in html.unescape(form)
    refused = at_work.post("/evaluations/new/?benchmark=bench", {"models": [model], "act": "start"})
    assert refused.status_code == 422 and "is switched off" in html.unescape(refused.content.decode())
    assert 'data-ui="try-off"' in at_work.get(PAGE).content.decode()
    with pytest.raises(Conflict, match="switched off"):
        functions.resolved([MINE], {})
    assert AuditLine.objects.filter(action="disable", kind="scoring_function").count() == 1

    at_work.post(f"{PAGE}switch/", {"enabled": "true"})

    tried = at_work.post(f"{PAGE}try/", {"expected_answer": "C", "generated_answer": "Letter C"})
    assert score_of(tried.content.decode()) == "1.00"


async def test_the_api_lists_what_is_switched_off_and_refuses_to_score_by_it(api: httpx2.AsyncClient) -> None:
    await db.write(off)
    body = {"input_rows": [{"expected_answer": "a", "generated_answer": "a"}], "scoring_functions": {MINE: None}}

    listed = (await api.get("/v1/scoring-functions")).json()["data"]
    refused = await api.post("/v1/scoring/score", json=body)

    assert {one["identifier"]: one["metadata"] for one in listed} == {name: {} for name in BUILT_IN} | {
        MINE: {"enabled": False}
    }
    assert refused.status_code == 409
    assert f"'{MINE}' is switched off. Switch it on" in refused.json()["detail"]


def test_built_in_ones_stay_as_they_are(at_work: Client) -> None:
    assert at_work.get("/scorers/basic::equality/edit/").status_code == 404
    at_work.post("/scorers/basic::equality/switch/", {"enabled": "false"})

    page = at_work.get("/scorers/basic::equality/").content.decode()
    assert "cannot be switched off" in html.unescape(page) and functions.named("basic::equality").is_enabled
    assert "switch-scorer" not in page and "edit-scorer" not in page


def test_a_viewer_changes_nothing(reader: Client) -> None:
    off()

    assert reader.get(f"{PAGE}edit/").status_code == 403
    assert reader.post(f"{PAGE}switch/", {"enabled": "true"}).status_code == 403
    assert "edit-scorer" not in reader.get(PAGE).content.decode()


def test_a_deleted_one_leaves_no_calls(at_work: Client) -> None:
    own_functions.register(asked(MINE), build.actor())
    calls.keep(counted(MINE, [0.1]))

    at_work.post(f"{PAGE}delete/")

    assert not ScorerUse.objects.exists()


def test_health_in_words(transactional_db: None) -> None:
    off()
    calls.keep(counted("basic::equality", [0.1, 0.2]))
    calls.keep(counted("basic::bfcl", [0.1], failed=1))

    assert state_of(MINE) == "disabled"
    assert state_of("basic::equality") == "ok"
    assert state_of("basic::bfcl") == "errors lately"
    assert state_of("basic::docvqa") == "never used"
    assert (state_of("braintrust::factuality"), state_of("llm-as-judge::base")) == ("no judge", "never used")
    assert state_of("llm-as-judge::405b-simpleqa") == "no judge"


def test_the_health_of_a_judge_is_that_of_its_provider(model: str) -> None:
    assert state_of("braintrust::factuality") == "never used"

    Provider.objects.update(health="error", health_error="connection refused")

    found = health.of([functions.named("braintrust::factuality")])["braintrust::factuality"]
    assert (found.state, found.why) == ("judge away", f"Its judge {model}: connection refused")


def test_list_and_page_tell_calls_errors_and_time(reader: Client) -> None:
    calls.keep(counted("basic::bfcl", [0.25] * 1_234, failed=3, error="The row's functions are no JSON"))

    listed = reader.get("/scorers/?q=bfcl").content.decode()
    page = reader.get("/scorers/basic::bfcl/").content.decode()

    [row] = re.findall(r'<tr data-ui="scorer-row".*?</tr>', listed, re.DOTALL)
    assert "1,234" in row and "3 failed" in row and "Errors lately" in row and re.search(r"2\d\d ms", row)
    assert "1,234 rows scored" in page and "The row’s functions" in page.replace("&#x27;", "’")


def test_json_that_is_none_is_refused_beside_its_field(at_work: Client) -> None:
    sent = {"id": "simple_0", "function": "[{", "ground_truth": "[]", "generated_answer": "[]"}

    text = at_work.post("/scorers/basic::bfcl/try/", sent).content.decode()

    assert 'id="id_function-e"' in text and "This is no JSON" in text


def test_the_answer_of_the_api_is_shown(at_work: Client) -> None:
    sent = {"expected_answer": "a", "generated_answer": "b"}

    text = at_work.post("/scorers/basic::equality/try/", sent).content.decode()

    found = re.search(r'data-ui="try-answer">(.*?)</div>', text, re.DOTALL)
    assert found
    told = json.loads(html.unescape(re.sub(r"<[^>]*>", "", found[1])))
    assert told["results"]["basic::equality"]["score_rows"] == [{"score": 0.0}]


def test_many_functions_of_ones_own_cost_the_pages_no_more_queries(at_work: Client) -> None:
    names = [f"mine::{number}" for number in range(6)]
    for name in names:
        own_functions.register(asked(name), build.actor())
    made.dataset()
    made.benchmark("one", "qa", *names[:1])
    made.benchmark("six", "qa", *names)

    def queries(path: str) -> int:
        with CaptureQueriesContext(connection) as seen:
            assert at_work.get(path).status_code == 200
        return len(seen)

    for path in ("/benchmarks/{}/", "/evaluations/new/?benchmark={}"):
        queries(path.format("one"))
        assert queries(path.format("six")) == queries(path.format("one"))


def test_a_pass_mark_is_set_changed_and_kept_with_a_run(at_work: Client, model: str) -> None:
    sent = {"provider_scoring_fn_id": "basic::equality", "scoring_fn_id": MINE, "fails_below": "7.5"}
    at_work.post("/scorers/new/", sent)
    assert 'data-ui="scorer-fails-below">7.5<' in at_work.get(f"/scorers/{MINE}/").content.decode()
    assert functions.named(MINE).metadata == {"fails_below": 7.5}
    same = asked(MINE, provider_scoring_fn_id="basic::equality", params=functions.named(MINE).params)
    own_functions.register(same, build.actor())  # the same by the API, which knows no pass mark
    assert functions.resolved([MINE], {})[MINE].fails_below == 7.5

    edit = f"/scorers/{MINE}/edit/"
    assert 'name="fails_below" value="7.5"' in at_work.get(edit).content.decode()
    assert 'name="fails_below" value="7.5"' in at_work.get(f"/scorers/new/?from={MINE}").content.decode()
    assert at_work.post(edit, {"aggregation_functions": ["accuracy"], "fails_below": "much"}).status_code == 422
    at_work.post(edit, {"aggregation_functions": ["accuracy"]})
    assert functions.resolved([MINE], {})[MINE].fails_below is None
