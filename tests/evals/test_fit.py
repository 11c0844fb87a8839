"""Scorers that may not work with the chosen dataset, or have no judge on this server, say so and stay selectable."""

import re
from html import unescape
from typing import Any

from django.test import Client

from apps.evals.models import Benchmark
from tests.evals import made
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web

IFEVAL, SIMPLEQA, BASE = "basic::ifeval", "llm-as-judge::405b-simpleqa", "llm-as-judge::base"
NEEDS = "Needs the columns instruction_id_list, prompt."
CONTEXT = "Needs the column context, or an agent that finds it."


def troubles(page: str) -> dict[str, str]:
    """Return what is told beside each check box."""
    found = re.findall(r'value="([^"]+)"[^>]* aria-describedby="(fn-\d+-t)"', page)
    told = dict(re.findall(r'id="(fn-\d+-t)".*?<span>(.*?)</span>', page, flags=re.S))
    return {name: unescape(told[place]) for name, place in found}


def test_a_scorer_says_which_columns_it_lacks_as_soon_as_the_dataset_is_chosen(web: Client, model: str) -> None:
    made.dataset()
    made.dataset("follows", [{"prompt": "No comma.", "question": "Hi", "answer": "Hi", "instruction_id_list": []}])
    empty = text(web, "/benchmarks/new/")
    assert IFEVAL not in troubles(empty) and 'hx-vals="{&quot;act&quot;: &quot;choose&quot;}"' in empty

    sent = {"act": "choose", "dataset_id": "qa", "benchmark_id": "mine", "scoring_functions": [IFEVAL]}
    part = web.post("/benchmarks/new/", sent, headers={"HX-Request": "true"}).content.decode()

    assert part.lstrip().startswith("<fieldset") and not Benchmark.objects.exists()
    assert re.search(rf'value="{IFEVAL}" checked', part)
    told = troubles(part)
    assert told[IFEVAL] == NEEDS and told["braintrust::faithfulness"] == CONTEXT
    assert "basic::equality" not in told and BASE not in told
    page = web.post("/benchmarks/new/", sent | {"dataset_id": "follows"}).content.decode()  # without a script
    assert IFEVAL not in troubles(page) and 'name="benchmark_id" value="mine"' in page
    web.post("/benchmarks/new/", sent | {"act": ""})
    assert Benchmark.objects.get().scoring_functions == [IFEVAL]


def test_a_scorer_whose_judge_is_not_here_says_so(web: Client, model: str) -> None:
    made.dataset()

    told = troubles(text(web, "/benchmarks/new/?dataset=qa"))

    assert told[SIMPLEQA] == "No judge. There is no chat model 'meta-llama/Llama-3.1-405B-Instruct'."
    assert "braintrust::factuality" not in told


def test_without_a_chat_model_nobody_judges(web: Client, db: Any) -> None:
    made.dataset()

    assert troubles(text(web, "/benchmarks/new/?dataset=qa"))["braintrust::factuality"].startswith("No judge. ")


def test_the_form_of_an_evaluation_says_which_columns_are_missing(web: Client, model: str) -> None:
    made.dataset()
    made.benchmark("odd", "qa", "basic::equality", IFEVAL, BASE)

    page = text(web, "/evaluations/new/?benchmark=odd")

    groups = page.split('data-ui="scoring-function"')[1:]
    assert [NEEDS in group for group in groups] == [False, True, False]
