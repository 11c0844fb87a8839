"""Functions that compare texts by their vectors name the model that makes them, wherever they are chosen or shown."""

import html
import json
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from apps.evals import functions
from apps.evals.models import Benchmark
from apps.evals.schemas import LLMAsJudgeScoringFnParams
from apps.evals.scorers import vectors
from apps.evals.scoring.catalog import BUILT_IN
from apps.inference.models import Model
from tests import build
from tests.evals import made
from tests.evals.scoring.scoring_rows import says, score
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web

SIMILARITY = "braintrust::answer-similarity"
PAGES = (
    f"/scorers/{SIMILARITY}/",
    f"/scorers/new/?from={SIMILARITY}",
    "/benchmarks/new/",
    "/evaluations/new/?benchmark=alike",
)


COMPARING = [name for name, one in BUILT_IN.items() if one.without_vectors]


async def asked_for_vectors(name: str) -> bool:
    """Return whether a function asks for the vectors of texts where a model makes some."""
    row = dict.fromkeys(("input_query", "expected_answer", "generated_answer", "context"), "Ann.")
    counted = {"choice": "C", "score": 1, "verdict": 1, "evasive": False, "questions": ["Who?"], "statements": []}
    lists: dict[str, Any] = {
        name: ["Ann"] for name in ("both", "only_answer", "only_expected", "expected", "context", "sentences")
    }
    params = LLMAsJudgeScoringFnParams(judge_model="m", prompt_template="?", aggregation_functions=[])
    asked = []

    async def embed(texts: list[str]) -> list[list[float]]:
        asked.append(texts)
        return [[1.0]] * len(texts)

    await score(name, row, params, says(json.dumps(counted | lists))[0], embed)
    return bool(asked)


@pytest.mark.parametrize("name", COMPARING)
async def test_those_that_say_what_they_do_without_vectors_ask_for_them(name: str) -> None:
    assert await asked_for_vectors(name)


async def test_a_function_that_does_not_say_so_is_given_no_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILT_IN, SIMILARITY, replace(BUILT_IN[SIMILARITY], without_vectors=""))

    assert not await asked_for_vectors(SIMILARITY)


def test_a_run_keeps_the_model_of_vectors_for_those_that_compare_by_them(bench: Benchmark, model: str) -> None:
    row = Model.objects.get().provider
    Model.objects.create(identifier="near/texts", provider=row, provider_resource_id="t", model_type="embedding")

    found = functions.resolved([SIMILARITY, "braintrust::factuality"], {})

    assert [one.embedding_model for one in found.values()] == ["near/texts", None]


@pytest.fixture
def alike(bench: Benchmark, model: str) -> Benchmark:
    """A benchmark that is scored by how alike answers are."""
    return made.benchmark("alike", "qa", SIMILARITY)


def test_the_model_is_named_where_the_function_is_chosen_and_shown(web: Client, alike: Benchmark, model: str) -> None:
    Model.objects.create(
        identifier="near/texts", provider=Model.objects.get().provider, provider_resource_id="t", model_type="embedding"
    )
    build.forget()

    for path in PAGES:
        assert "Compares by the vectors of near/texts." in text(web, path), path


def test_what_is_done_without_such_a_model_is_said(web: Client, alike: Benchmark, model: str) -> None:
    for path in PAGES:
        page = html.unescape(text(web, path))
        assert "no embedding model to compare texts by their vectors: its judge says how alike they are." in page, path


def test_no_other_function_costs_a_query(django_assert_num_queries: Any, db: None) -> None:
    with django_assert_num_queries(0):
        assert vectors.words_of([functions.built_in(BUILT_IN["basic::equality"])]) == {}
