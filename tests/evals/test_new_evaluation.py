"""The form of a new evaluation: what it asks, refuses, keeps, tries and starts."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.datasets.models import Dataset
from apps.evals import evaluation, schemas
from apps.evals.models import Benchmark, Evaluation, Schedule
from apps.jobs.models import Job, Status
from tests import build
from tests.evals import made
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web


def test_an_evaluation_is_started_for_each_candidate(web: Client, bench: Benchmark, model: str, agent: Any) -> None:
    form = text(web, "/evaluations/new/?benchmark=bench")
    assert model in form and str(agent.agent_id) in form

    sent = {
        "models": [model],
        "agents": [agent.agent_id],
        "num_examples": "3",
        "system_message": "Short.",
        "times": "1",
    }
    answer = web.post("/evaluations/new/?benchmark=bench", {**sent, "strategy": "top_p", "temperature": "0.5"})

    assert answer.headers["Location"] == "/evaluations/?benchmark=bench"
    one, two = Evaluation.objects.order_by("id")
    assert (one.row_total, two.row_total) == (3, 3)
    candidate = one.config.eval_candidate
    assert candidate.system_message.content == "Short." and candidate.sampling_params.strategy.temperature == 0.5
    assert two.config.eval_candidate.type == "agent"
    assert one.job.status == two.job.status == Status.SCHEDULED


def test_who_came_by_a_key_is_named(web: Client, model: str, bench: Benchmark) -> None:
    candidate = {"type": "model", "model": model, "sampling_params": {"strategy": {"type": "greedy"}}}
    config = schemas.BenchmarkConfig.model_validate({"eval_candidate": candidate})
    one = evaluation.start("bench", config, build.actor(name="key nightly"))

    assert "by key nightly<" in text(web, f"/evaluations/{one.job.job_id}/")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"models": []}, "Choose at least one"), ({"models": ["nobody/none"]}, "not one of the available"),
        ({"num_examples": "0"}, "greater than or equal to 1"), ({"times": "6"}, "less than or equal to 5"),
        ({"strategy": "top_k"}, "top_k"),
    ],
)  # fmt: skip
def test_a_run_with_bad_values_starts_nothing(
    web: Client, bench: Benchmark, model: str, wrong: dict[str, Any], words: str
) -> None:
    answer = web.post("/evaluations/new/?benchmark=bench", {"models": [model], **wrong})

    assert answer.status_code == 422 and words in answer.content.decode()
    assert not Evaluation.objects.exists() and not Job.objects.exists()


def test_parameters_are_asked_for_only_where_the_function_takes_them(web: Client, model: str) -> None:
    made.dataset()
    made.benchmark("plain", "qa", "basic::equality")
    made.benchmark("judged", "qa", "llm-as-judge::base", "basic::regex_parser_math_response", "braintrust::factuality")

    plain = text(web, "/evaluations/new/?benchmark=plain")
    assert "judge_model" not in plain and "regexes" not in plain
    judged = text(web, "/evaluations/new/?benchmark=judged")
    fields = ("p0_judge_model", "p0_prompt_template", "p0_judge_score_regexes", "p1_parsing_regexes", "p2_judge_model")
    assert all(f'name="{field}"' in judged for field in fields) and "p2_prompt_template" not in judged

    bad = {"p0_judge_model": model, "p0_prompt_template": "{generated_answer}", "p0_judge_score_regexes": "("}
    refused = web.post("/evaluations/new/?benchmark=judged", {"models": [model], **bad})
    assert refused.status_code == 422 and 'id="id_p0_judge_score_regexes-e"' in refused.content.decode()


def test_what_a_judge_needs_is_required_and_there_from_the_beginning(web: Client, model: str) -> None:
    made.dataset()
    made.benchmark("judged", "qa", "basic::equality", "llm-as-judge::base")
    path = "/evaluations/new/?benchmark=judged"

    page = text(web, path)
    assert f'<option value="{model}" selected>' in page and "How good is the answer" in page
    assert re.search(r'for="id_p1_prompt_template">Prompt</label>', page)
    refused = web.post(path, {"models": [model]})
    assert refused.status_code == 422 and "prompt_template and" not in refused.content.decode()
    assert all(f'id="id_p1_{name}-e"' in refused.content.decode() for name in ("judge_model", "prompt_template"))
    given = {"p1_judge_model": model, "p1_prompt_template": "{generated_answer}", "p1_judge_score_regexes": "(\\d)"}
    web.post(path, {"models": [model], **given})
    kept = Evaluation.objects.get().config.scoring_params
    assert list(kept) == ["llm-as-judge::base"] and kept["llm-as-judge::base"].judge_score_regexes == ["(\\d)"]
    assert "Every run must bring a judge" in text(web, "/benchmarks/new/?dataset=qa")


def test_a_prompt_that_says_the_same_of_every_row_is_refused_before_anything_starts(web: Client, model: str) -> None:
    made.dataset()
    made.benchmark("judged", "qa", "llm-as-judge::base")
    prompt = {"p0_judge_model": model, "p0_prompt_template": "How good is {answer}?", "p0_judge_score_regexes": "(.)"}

    for act in ("start", "try", "schedule"):
        answer = web.post("/evaluations/new/?benchmark=judged", {"models": [model], "act": act, **prompt})
        told = answer.content.decode().partition('id="id_p0_prompt_template-e"')[2]
        assert answer.status_code == 422 and "the same of every row" in told, act
    assert not Evaluation.objects.exists() and not Schedule.objects.exists()
    estimate = web.post("/evaluations/estimate/?benchmark=judged", {"models": [model], **prompt}).content.decode()
    assert "the same of every row" in estimate


def test_who_came_to_schedule_finds_a_form_that_schedules(web: Client, bench: Benchmark, model: str) -> None:
    made.benchmark("other")
    assert 'href="/evaluations/new/?benchmark=bench&amp;schedule=1"' in text(web, "/benchmarks/bench/")
    path = "/evaluations/new/?benchmark=bench&schedule=1"

    page = text(web, path)
    refused = web.post(path, {"act": "schedule", "every": "day", "first_at": "2026-03-23T06:00"}).content.decode()
    again = web.post(path, {"models": [model], "benchmark": "other", "every": "week"}, headers={"HX-Request": "true"})

    for shown in (page, refused, again.content.decode()):
        assert "<h1>Schedule evaluations</h1>" in shown
        assert re.findall(r'<button [^>]*value="(start|try|schedule)"', shown)[0] == "schedule"
        assert 'value="start"' not in shown
    assert again.headers["HX-Replace-Url"] == "/evaluations/new/?benchmark=other&schedule=1"
    assert "<h1>New evaluation</h1>" in text(web, "/evaluations/new/?benchmark=bench")


def test_a_judge_that_is_away_must_be_another_one(web: Client, model: str) -> None:
    made.dataset()
    made.benchmark("facts", "qa", "llm-as-judge::405b-simpleqa")

    page = text(web, "/evaluations/new/?benchmark=facts")
    assert "is not on this server" in page
    web.post("/evaluations/new/?benchmark=facts", {"models": [model], "p0_judge_model": model})

    assert Evaluation.objects.get().scoring["llm-as-judge::405b-simpleqa"]["params"]["judge_model"] == model


def test_another_benchmark_keeps_what_was_entered(web: Client, model: str) -> None:
    made.dataset()
    made.benchmark("one", "qa", "basic::equality", "llm-as-judge::base")
    made.benchmark("two", "qa", "llm-as-judge::base")
    sent = {
        "models": [model], "num_examples": "3", "system_message": ["Short.", "Long."], "top_k": "7",
        "p1_prompt_template": "Mine {generated_answer}", "every": "hour", "benchmark": "two", "act": "start",
    }  # fmt: skip

    answer = web.post("/evaluations/new/?benchmark=one", sent, headers={"HX-Request": "true"})

    page = answer.content.decode()
    assert answer.status_code == 200 and not Evaluation.objects.exists()
    assert answer.headers["HX-Replace-Url"] == "/evaluations/new/?benchmark=two"
    assert re.search(rf'value="{model}"[^>]* checked', page) and 'name="num_examples" value="3"' in page
    assert all(one in page for one in (">\nShort.<", ">\nLong.<", ">\nMine {generated_answer}<", 'value="7"'))
    assert re.search(r'name="p0_prompt_template"[^>]*>\nMine', page) and 'data-unsaved="yes"' in page


def test_several_system_messages_make_several_candidates(web: Client, model: str, bench: Benchmark) -> None:
    path = "/evaluations/new/?benchmark=bench"
    sent = {"models": [model], "system_message": ["", "Be brief.", " ", "Be brief."], "num_examples": "2"}

    added = web.post(path, {**sent, "act": "add"}).content.decode()
    assert added.count('name="system_message"') == 5 and added.count("autofocus") == 1
    assert "2 runs" in web.post("/evaluations/estimate/?benchmark=bench", sent).content.decode()
    tried = web.post(path, {**sent, "act": "try"}, headers={"HX-Request": "true"}).content.decode()
    assert re.findall(r'data-ui="trial-variant">([^<]*)<', tried) == ["“Be brief.”"]
    assert "Tried with 2 candidates." in tried
    web.post(path, sent)

    assert list(Evaluation.objects.order_by("id").values_list("variant", flat=True)) == ["", "“Be brief.”"]
    many = {"models": [model], "system_message": [str(at) for at in range(21)]}
    refused = web.post(path, many)
    assert refused.status_code == 422 and "These are 21 runs" in refused.content.decode()


def test_a_benchmark_without_its_dataset_cannot_be_run_and_leads_on(web: Client, model: str, bench: Benchmark) -> None:
    Dataset.objects.all().delete()

    page = text(web, "/evaluations/new/?benchmark=bench")

    assert "dataset &#x27;qa&#x27; does not exist" in page and "/benchmarks/new/?copy=bench" in page
    for name in ("start-evaluation", "try", "make-schedule"):
        assert re.search(rf'<button[^>]* data-ui="{name}"[^>]* disabled', page)
    for act in ("start", "try"):
        refused = web.post("/evaluations/new/?benchmark=bench", {"models": [model], "act": act})
        assert refused.status_code == 422 and not Evaluation.objects.exists()


def test_the_estimate_counts_calls_of_candidates_and_judges(web: Client, model: str) -> None:
    made.dataset()
    made.benchmark("judged", "qa", "basic::equality", "braintrust::factuality")

    sent = {"models": [model], "num_examples": "5", "times": "2"}
    page = web.post("/evaluations/estimate/?benchmark=judged", sent).content.decode()

    assert "2 runs" in page and "of 5 rows" in page and "10 calls" in page and "about 10 of judges" in page
    wrong = web.post("/evaluations/estimate/?benchmark=judged", sent | {"times": "500"}).content.decode()
    assert "500 runs" not in wrong
    assert "less than or equal to 5" in wrong and 'href="#id_times"' in wrong


def test_three_rows_are_tried_without_keeping_anything(web: Client, model: str) -> None:
    made.dataset("qa", [{"question": "yes", "answer": "yes"}, {"question": "no", "answer": "other"}] * 3)
    made.benchmark()

    page = web.post("/evaluations/new/?benchmark=bench", {"models": [model], "act": "try"}).content.decode()

    assert page.count('data-ui="tried-row"') == 3 and "1.00" in page and "0.00" in page
    assert not Evaluation.objects.exists()
    part = web.post(
        "/evaluations/new/?benchmark=bench", {"act": "try"}, headers={"HX-Request": "true"}
    ).content.decode()
    assert "<h1" not in part and "Choose at least one" in part and "Not tried" in part


def test_the_only_model_is_chosen_from_the_start_unless_an_agent_is_meant(
    web: Client, bench: Benchmark, model: str
) -> None:
    path, chosen = "/evaluations/new/?benchmark=bench", re.compile(rf'value="{model}"[^>]* checked')
    page = text(web, path)
    assert chosen.search(page) and 'data-ui="no-agent"' in page and 'href="/agents/new/"' in page

    one = build.agent(model=model)
    page = text(web, f"{path}&agent={one.agent_id}")
    assert not chosen.search(page) and 'data-ui="no-agent"' not in page
    build.model(build.provider("other"), "another")
    build.forget()
    assert not chosen.search(text(web, path))


def test_fields_of_another_strategy_say_nothing(web: Client, bench: Benchmark, model: str) -> None:
    sent = {"models": [model], "temperature": "99", "top_k": "0", "top_p": "7"}

    refused = web.post("/evaluations/new/?benchmark=bench", {**sent, "strategy": "top_k"}).content.decode()
    assert 'id="id_top_k-e"' in refused and 'id="id_temperature-e"' not in refused
    assert web.post("/evaluations/new/?benchmark=bench", {**sent, "strategy": "greedy"}).status_code == 302
    assert Evaluation.objects.get().config.eval_candidate.sampling_params.strategy.type == "greedy"


def test_what_the_estimate_and_a_trial_refuse_comes_with_its_field(web: Client, bench: Benchmark, model: str) -> None:
    sent = {"models": [model], "num_examples": "0"}

    estimate = web.post("/evaluations/estimate/?benchmark=bench", sent).content.decode()
    tried = web.post(
        "/evaluations/new/?benchmark=bench", {**sent, "act": "try"}, headers={"HX-Request": "true"}
    ).content.decode()

    for page in (estimate, tried):
        wrong = page.split("<template data-wrong>")[1].split("</template>")[0]
        assert re.findall(r'id="([^"]+)"', wrong) == ["id_num_examples-e"] and "greater than or equal to 1" in wrong
