"""Whatever is in a row, scoring it gives a score row and raises nothing."""

import asyncio
import json
import math
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.evals.running import asked
from apps.evals.schemas import LLMAsJudgeScoringFnParams
from apps.evals.scoring import base
from apps.evals.scoring.catalog import BUILT_IN
from apps.evals.scoring.docvqa import normalised as document_answer
from apps.evals.scoring.ifeval_text import capital_words, paragraph_word, sentence_count
from apps.evals.scoring.math_text import boxed, cut
from apps.evals.scoring.math_text import normalised as math_answer
from apps.evals.scoring.math_value import value_of

JUDGED = LLMAsJudgeScoringFnParams(judge_model="m", prompt_template="{generated_answer}", judge_score_regexes=["(A)"])
COLUMNS = (
    "input_query", "question", "answer", "expected_answer", "generated_answer", "context", "instruction_id_list",
    "kwargs", "prompt", "id", "function", "ground_truth", "language", "messages", "chat_completion_input",
    "completion_input",
)  # fmt: skip
PIECES = [
    "\\boxed{", "\\frac", "}", "{", "=", "$", "^2", "12", "***", "f(a=1)", "keywords:existence", "Answer: B", "[]", "A",
    "\\text{",
]  # fmt: skip
texts = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
rows = st.dictionaries(st.sampled_from(COLUMNS), values | values.map(lambda value: json.dumps(value)), max_size=10)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows, values.map(str))
def test_no_function_raises_on_any_row(row: dict[str, Any], said: str) -> None:
    async def judge(model: str, prompt: str) -> str:
        return said

    async def all_scores() -> dict[str, Any]:
        shown = asked.shown(row, {})
        params = {
            name: scorer.params if scorer.params and "braintrust" not in name else JUDGED
            for name, scorer in BUILT_IN.items()
        }
        return {name: await base.score(BUILT_IN[name], shown, params[name], judge) for name in BUILT_IN}  # type: ignore[arg-type]

    for name, found in asyncio.run(all_scores()).items():
        assert "score" in found, name
        assert json.dumps(found)
        if found["score"] is None:
            assert found["error"], name
        base.aggregate([found], list(base.AGGREGATIONS))


@settings(max_examples=300, deadline=None)
@given(texts)
def test_no_text_is_too_odd(text: str) -> None:
    boxed(text)
    document_answer(text)
    assert sentence_count(text) >= 0
    assert capital_words(text) >= 0
    assert isinstance(paragraph_word(text), str)
    found = value_of(math_answer(cut(text)))
    assert found is None or math.isfinite(found)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["score", "weight", "error"]), values, max_size=3), max_size=6))
def test_any_score_rows_add_up(found: list[dict[str, Any]]) -> None:
    assert set(base.aggregate(found, list(base.AGGREGATIONS))) == set(base.AGGREGATIONS)


@settings(max_examples=200, deadline=None)
@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=50))
def test_a_fraction_is_worth_the_same_however_it_is_written(number: Any) -> None:
    sign, above, below = ("-" if number < 0 else ""), abs(number.numerator), number.denominator

    written = [f"{sign}\\frac{{{above}}}{{{below}}}", f"{sign}{above}/{below}", f"{sign}\\dfrac{{{above}}}{{{below}}}"]

    assert {value_of(math_answer(text)) for text in written} == {float(number)}


def test_a_row_that_lacks_a_column_is_told_which_it_has() -> None:
    async def judge(model: str, prompt: str) -> str:
        return ""

    scorer = BUILT_IN["basic::equality"]
    shown = asked.shown({"generated_answer": "x", "topic": "parts"}, {})
    found = asyncio.run(base.score(scorer, shown, scorer.params, judge))  # type: ignore[arg-type]

    assert found["error"] == "The row needs 'expected_answer'. Its columns: 'generated_answer', 'topic'."
