"""Functions that compare texts by their vectors name the model that makes them, wherever they are chosen or shown."""

import html
import json
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from apps.evals import costs, functions
from apps.evals.models import Benchmark
from apps.evals.schemas import LLMAsJudgeScoringFnParams
from apps.evals.scorers import fit, vectors
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


def embedder() -> None:
    """Give the server a model that makes vectors."""
    model = Model.objects.first()
    row = model.provider if model else build.provider()
    Model.objects.create(identifier="near/texts", provider=row, provider_resource_id="t", model_type="embedding")
    build.forget()


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
    embedder()

    found = functions.resolved([SIMILARITY, "braintrust::factuality"], {})

    assert [one.embedding_model for one in found.values()] == ["near/texts", None]
    assert [getattr(one.params, "judge_model", None) for one in found.values()] == [None, model]


def test_what_vectors_suffice_for_is_not_told_as_a_judges(web: Client, alike: Benchmark, model: str) -> None:
    forms = [f"/scorers/{SIMILARITY}/", "/evaluations/new/?benchmark=alike"]
    assert all("judge_model" in text(web, path) for path in forms)  # without vectors, a judge's eye
    embedder()

    pages = [text(web, path) for path in forms]
    assert not any("judge_model" in page for page in pages)
    assert "It compares by vectors" in pages[0] and "asks a judge" not in pages[0]
    told = " ".join(web.post("/evaluations/estimate/?benchmark=alike", {"models": [model]}).content.decode().split())
    assert "about 8 of the embedding model." in told and "judges" not in told
    made.benchmark("both", "qa", SIMILARITY, "braintrust::answer-correctness")
    told = " ".join(web.post("/evaluations/estimate/?benchmark=both", {"models": [model]}).content.decode().split())
    assert "about 8 of judges and 16 of the embedding model." in told


def test_tokens_of_vectors_are_told_as_those_of_the_embedding_model(web: Client, bench: Benchmark) -> None:
    one = made.evaluation([0.5, 0.75], functions=[SIMILARITY])
    took = {"near/texts": {"calls": 1, "input_tokens": 7, "output_tokens": 0, "uncounted": 0}}
    one.scoring[SIMILARITY]["embedding_model"] = "near/texts"
    one.judged = took
    one.save(update_fields=["scoring", "judged"])
    one.rows.update(judged=json.dumps(took))

    page = text(web, f"/evaluations/{one.job.job_id}/rows/1/")

    tile = " ".join(page.split('data-ui="judge-tokens">')[1].split("</small>")[0].split())
    assert tile == "embedding model 7 in"
    assert "<dt>Embedding model</dt>" in page and "<dt>Judges</dt>" not in page
    judge = {"some/judge": took["near/texts"] | {"output_tokens": 3}}
    assert costs.who_scored(one, took | judge) == "judges and embedding model"


def test_where_vectors_suffice_nobody_has_to_be_there_to_judge(db: None) -> None:
    embedder()

    found = functions.resolved([SIMILARITY], {})

    assert found[SIMILARITY].embedding_model == "near/texts"
    assert not fit.without_judge([functions.built_in(BUILT_IN[SIMILARITY])])


def test_the_judge_to_be_taken_is_named(web: Client, model: str) -> None:
    made.dataset()
    made.benchmark("facts", "qa", "braintrust::factuality")

    assert f"The one this server offers first: {model}</option>" in text(web, "/evaluations/new/?benchmark=facts")


@pytest.fixture
def alike(bench: Benchmark, model: str) -> Benchmark:
    """A benchmark that is scored by how alike answers are."""
    return made.benchmark("alike", "qa", SIMILARITY)


def test_the_model_is_named_where_the_function_is_chosen_and_shown(web: Client, alike: Benchmark, model: str) -> None:
    embedder()

    for path in PAGES:
        assert "Compares by the vectors of near/texts." in text(web, path), path


def test_what_is_done_without_such_a_model_is_said(web: Client, alike: Benchmark, model: str) -> None:
    for path in PAGES:
        page = html.unescape(text(web, path))
        assert "no embedding model to compare texts by their vectors: its judge says how alike they are." in page, path


def test_no_other_function_costs_a_query(django_assert_num_queries: Any, db: None) -> None:
    with django_assert_num_queries(0):
        assert vectors.words_of([functions.built_in(BUILT_IN["basic::equality"])]) == {}
