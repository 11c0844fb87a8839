"""Functions that ask a model: what it is asked, and what becomes of what it says."""

import json
from typing import Any

import pytest

from apps.core.errors import ProviderError
from apps.evals import functions
from apps.evals.running import candidates, patience
from apps.evals.schemas import LLMAsJudgeScoringFnParams
from apps.evals.scoring.catalog import BUILT_IN
from apps.evals.scoring.rubrics import RUBRICS, cosine, object_in
from apps.evals.scoring.templates import fill, places_in
from tests.evals.scoring.scoring_rows import says, score

ROW = {
    "input_query": "Who?",
    "expected_answer": "Ann",
    "generated_answer": "Ann did.",
    "context": "Ann was there. Bob left.",
}
JUDGED = LLMAsJudgeScoringFnParams(judge_model="m/judge", aggregation_functions=["average"])


def test_templates_are_filled_literally() -> None:
    template = "{input_query} {expected_answer} {generated_answer} {} {x} {input_query.__class__} {{input_query}} {0}"
    values = {"input_query": "{expected_answer}", "expected_answer": "E", "generated_answer": "\\1 {x}"}

    filled = fill(template, values)

    assert filled == "{expected_answer} E \\1 {x} {} {x} {input_query.__class__} {{expected_answer}} {0}"
    assert places_in(template) == ("input_query", "expected_answer", "generated_answer")


async def test_the_judge_is_asked_by_the_template_and_its_score_is_found() -> None:
    judge, asked = says("Fine. Score: 7 of 9")
    params = LLMAsJudgeScoringFnParams(
        judge_model="m/judge",
        prompt_template="Rate {generated_answer} for {input_query} against {expected_answer}.",
        judge_score_regexes=[r"Points: (\d)", r"Score: (\d)"],
    )

    found = await score("llm-as-judge::base", ROW, params, judge)

    assert asked == [("m/judge", "Rate Ann did. for Who? against Ann.")]
    assert found == {"score": "7", "judge_feedback": "Fine. Score: 7 of 9"}


@pytest.mark.parametrize(
    ("expressions", "why"),
    [([r"Score: (\d)"], "hold no score that the expressions find"), ([], "no judge_score_regexes")],
)
async def test_a_judge_without_a_score_says_why_beside_its_words(expressions: list[str], why: str) -> None:
    judge, _ = says("I would rather not.")
    params = LLMAsJudgeScoringFnParams(judge_model="m", prompt_template="?", judge_score_regexes=expressions)

    found = await score("llm-as-judge::base", ROW, params, judge)

    assert (found["score"], found["judge_feedback"]) == (None, "I would rather not.") and why in found["error"]


@pytest.mark.parametrize(
    ("prompt", "missing"),
    [
        ("Polite? {generated_answer}", ""), ("Well?", ""), ("{expected_answer}?", "'expected_answer'"),
        ("{context} {generated_answer} {expected_answer}", "'expected_answer' and 'context'"),
    ],
)  # fmt: skip
async def test_a_judge_needs_the_columns_its_prompt_names(prompt: str, missing: str) -> None:
    judge, asked = says("Score: 7")
    params = LLMAsJudgeScoringFnParams(judge_model="m", prompt_template=prompt, judge_score_regexes=[r"Score: (\d)"])

    found = await score("llm-as-judge::base", {"input_query": "Who?", "generated_answer": "Ann."}, params, judge)

    assert len(asked) == (not missing)
    assert found["score"] == (None if missing else "7")
    assert found.get("error", "").startswith(f"The row needs {missing}." if missing else "")


@pytest.mark.parametrize(("said", "grade"), [("A", "A"), ("Grade: C", "C"), ("it is wrong", None)])
async def test_simpleqa_grades(said: str, grade: str | None) -> None:
    judge, asked = says(said)

    found = await score("llm-as-judge::405b-simpleqa", ROW, judge=judge)

    assert found["score"] == grade
    model, prompt = asked[0]
    assert "405B" in model
    assert all(text in prompt for text in ("Question: Who?", "Right answer: Ann", "Answer to grade: Ann did."))


async def test_a_judge_that_cannot_be_reached_is_the_rows_error() -> None:
    async def judge(model: str, prompt: str) -> str:
        raise ProviderError("The model server is gone.")

    for scorer in BUILT_IN.values():
        if scorer.asks_a_model:
            params = scorer.params if scorer.params and scorer.params.type == "llm_as_judge" else JUDGED
            assert await score(scorer.identifier, ROW, params, judge) == {
                "score": None,
                "error": "The model server is gone.",
            }


FOUND: list[tuple[str, Any, Any]] = [
    ("factuality", {"reason": "same", "choice": "C"}, 1.0),
    ("factuality", {"choice": " a "}, 0.4),
    ("factuality", {"choice": "B"}, 0.6),
    ("factuality", {"choice": "D"}, 0.0),
    ("factuality", {"choice": "E"}, 1.0),
    ("answer-correctness", {"both": ["x", "y"], "only_answer": ["z"], "only_expected": ["w"]}, 2 / 3),
    ("answer-correctness", {"both": [], "only_answer": [], "only_expected": []}, None),
    ("answer-relevancy", {"score": 0.25}, 0.25),
    ("answer-similarity", {"score": 1}, 1.0),
    ("faithfulness", {"statements": [{"statement": "a", "verdict": 1}, {"statement": "b", "verdict": 0}]}, 0.5),
    ("faithfulness", {"statements": []}, None),
    ("context-entity-recall", {"expected": ["Ann", "1900"], "context": ["ann ", "Bob"]}, 0.5),
    ("context-precision", {"verdict": 1}, 1.0),
    ("context-precision", {"verdict": 0}, 0.0),
    ("context-recall", {"sentences": [{"sentence": "a", "verdict": 1}]}, 1.0),
    ("context-relevancy", {"sentences": ["Ann was there."]}, 0.5),
    ("context-relevancy", {"sentences": []}, 0.0),
]


@pytest.mark.parametrize(("name", "said", "wanted"), FOUND)
async def test_a_rubric_counts_what_the_judge_found(name: str, said: Any, wanted: Any) -> None:
    judge, asked = says(f"Here it is:\n```json\n{json.dumps(said)}\n```")

    found = await score(f"braintrust::{name}", ROW, JUDGED, judge)

    assert found["score"] == wanted and ("error" in found) == (wanted is None)
    assert isinstance(found["metadata"], dict)
    assert asked[0][0] == "m/judge"
    scorer = BUILT_IN[f"braintrust::{name}"]
    assert all(str(ROW[column]) in asked[0][1] for column in scorer.needs)
    assert "{" + scorer.needs[0] + "}" not in asked[0][1]


@pytest.mark.parametrize(
    "said", ["no JSON", "[]", "{}", '{"choice": "Z"}', '{"choice": ["A"]}', "{{{{{{{" * 200, '{"a":' * 9000]
)
@pytest.mark.parametrize("scorer", RUBRICS, ids=lambda scorer: scorer.identifier)
async def test_a_reply_that_is_not_what_was_asked_for_is_the_rows_error(scorer: Any, said: str) -> None:
    judge, _ = says(said)

    found = await score(scorer.identifier, ROW, JUDGED, judge)

    assert found["score"] is None
    assert "judge" in found["error"]


async def test_vectors_are_compared_where_a_model_makes_them() -> None:
    async def embed(texts: list[str]) -> list[list[float]]:
        return [[1.0, 0.0] if "Ann" in text or "Who" in text else [0.0, 1.0] for text in texts]

    questions = json.dumps({"questions": ["Who?", "Why?"], "evasive": False})
    evades = json.dumps({"questions": ["Who?"], "evasive": True})
    facts = json.dumps({"both": ["x"], "only_answer": ["z"], "only_expected": ["w"]})

    alike = await score("braintrust::answer-similarity", ROW, JUDGED, says()[0], embed)
    relevant = await score("braintrust::answer-relevancy", ROW, JUDGED, says(questions)[0], embed)
    evasive = await score("braintrust::answer-relevancy", ROW, JUDGED, says(evades)[0], embed)
    correct = await score("braintrust::answer-correctness", ROW, JUDGED, says(facts)[0], embed)

    assert alike == {"score": 1.0, "metadata": {"by": "embeddings"}}
    assert (relevant["score"], evasive["score"]) == (0.5, 0.0)
    assert correct["score"] == 0.75 * 0.5 + 0.25


def test_cosine_and_objects() -> None:
    assert cosine([0, 0], [1, 1]) == 0.0
    assert cosine([1, 0], [-1, 0]) == 0.0
    assert cosine([2, 2], [1, 1]) == pytest.approx(1.0)
    assert object_in('a {b} {"c": {"d": 1}} {"e": 2}') == {"c": {"d": 1}}
    assert object_in("none") is None


@pytest.mark.parametrize("reply", ['{"questions": "one", "evasive": 0}', '{"questions": null, "evasive": 0}'])
async def test_a_judge_whose_json_has_other_types_costs_its_row_alone(reply: str) -> None:
    judge, _ = says(reply)

    async def embed(texts: list[str]) -> list[list[float]]:
        return [[1.0]] * len(texts)

    found = await score("braintrust::answer-relevancy", ROW, JUDGED, judge, embed)

    assert found["score"] is None and "cannot be scored" in found["error"]


async def test_vectors_that_do_not_fit_together_cost_their_row_alone() -> None:
    async def embed(texts: list[str]) -> list[list[float]]:
        return [[1.0], [1.0, 2.0]]

    found = await score("braintrust::answer-similarity", ROW, JUDGED, None, embed)

    assert found["score"] is None and found["error"]


async def test_a_judge_that_fails_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    async def failing(model_id: str, prompt: str) -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ProviderError("too often", status=429)
        return "Score: 5"

    monkeypatch.setattr(patience, "TRIES_S", (0.001, 0.001))
    monkeypatch.setattr(candidates, "judge", failing)
    params = {"type": "llm_as_judge", "judge_model": "m", "prompt_template": "?", "judge_score_regexes": [r"(\d)"]}
    scorers = functions.scorers({"mine": {"function": "llm-as-judge::base", "params": params}})

    assert (await scorers.score(ROW))["mine"]["score"] == "5" and tries == 3
