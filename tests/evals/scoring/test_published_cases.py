"""Scoring functions against verdicts that come from elsewhere; each file of cases says from where."""

import json
from typing import Any

import pytest

from apps.evals.scoring import math_response
from tests.evals.scoring.scoring_rows import cases, score

Json = dict[str, Any]


@pytest.mark.parametrize("case", cases("ifeval.json"), ids=lambda case: f"{case['instruction']}: {case['answer'][:30]}")
async def test_an_instruction_is_followed_or_not(case: Json) -> None:
    row = {
        "instruction_id_list": [case["instruction"]],
        "kwargs": [{**case["kwargs"], "unused": None}],
        "prompt": "p",
        "generated_answer": case["answer"],
    }

    found = await score("basic::ifeval", row)

    assert found == {"score": float(case["followed"]), "weight": 1.0, "followed": [case["followed"]]}


def test_every_instruction_has_cases_of_both_kinds() -> None:
    from apps.evals.scoring.ifeval_instructions import CHECKS

    seen = {(case["instruction"], case["followed"]) for case in cases("ifeval.json")}

    assert len(CHECKS) == 25
    assert seen == {(name, followed) for name in CHECKS for followed in (True, False)}


@pytest.mark.parametrize("case", cases("bfcl.json"), ids=lambda case: f"{case['id']} {case['generated_answer'][:60]}")
async def test_a_call_is_allowed_or_not(case: Json) -> None:
    found = await score("basic::bfcl", case)

    assert found["score"] == case["score"], found


@pytest.mark.parametrize("case", cases("math.json"), ids=lambda case: f"{case['expected_answer']} {case['score']:g}")
async def test_a_mathematical_answer_is_the_same_or_not(case: Json) -> None:
    boxed = {**case, "generated_answer": f"So the final answer is: $\\boxed{{{case['generated_answer']}}}$. Done."}

    assert (await score("basic::regex_parser_math_response", case))["score"] == case["score"]
    assert (await score("basic::regex_parser_math_response", boxed))["score"] == case["score"]


@pytest.mark.parametrize(
    "case", cases("docvqa.json"), ids=lambda case: f"{case['expected_answer']}: {case['generated_answer']}"
)
async def test_a_document_is_answered_or_not(case: Json) -> None:
    as_list = {**case, "expected_answer": json.loads(case["expected_answer"])}

    assert await score("basic::docvqa", case) == {"score": case["score"]}
    assert await score("basic::docvqa", as_list) == {"score": case["score"]}


LETTERS = [
    ("The best answer is B", "B", 1.0), ("Answer: C", "C", 1.0), ("answer :  d.", "d", 1.0), ("answer: d", "D", 0.0),
    ("Answer: E", "E", 0.0), ("I say B", "B", 0.0), ("Antwort: A", "A", 1.0), ("Réponse : B", "B", 1.0),
    ("Respuesta: C", "C", 1.0), ("Risposta: D", "D", 1.0), ("Resposta: A", "A", 1.0), ("Jawaban: B", "B", 1.0),
    ("Jibu: C", "C", 1.0), ("Àdáhùn: D", "D", 1.0), ("उत्तर: A", "A", 1.0), ("উত্তর: ব", "ব", 1.0),
    ("الإجابة: ب", "ب", 1.0), ("답변: B", "B", 1.0), ("정답：C", "C", 1.0),
    ("答え：Ａ", "Ａ", 1.0), ("答案：D", "D", 1.0),
    ("Ответ: A", "A", 1.0), ("Answer:\n\nB", "B", 1.0), ("Answer: A. No, Answer: B", "A", 1.0), ("", "A", 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "letter", "wanted"), LETTERS)
async def test_a_letter_is_found_in_many_languages(answer: str, letter: str, wanted: float) -> None:
    row = {"expected_answer": letter, "generated_answer": answer}

    assert await score("basic::regex_parser_multiple_choice_answer", row) == {"score": wanted}


@pytest.mark.parametrize(
    ("expected", "answer", "equal", "held"),
    [
        ("a", "a", 1.0, 1.0), ("a", "A", 0.0, 0.0), ("a", " a", 0.0, 1.0), ("", "", 1.0, 1.0), ("", "x", 0.0, 1.0),
        ("ab", "xaby", 0.0, 1.0), ("xaby", "ab", 0.0, 0.0), (42, "42", 1.0, 1.0), (True, "true", 1.0, 1.0),
        (1, True, 0.0, 0.0), ([1, "a"], '[1, "a"]', 1.0, 1.0),
    ],
)  # fmt: skip
async def test_equality_and_subset(expected: Any, answer: Any, equal: float, held: float) -> None:
    row = {"expected_answer": expected, "generated_answer": answer}

    assert await score("basic::equality", row) == {"score": equal}
    assert await score("basic::subset_of", row) == {"score": held}


MATH = [
    (r"First \boxed{3}, then \boxed{\frac{1}{2}}.", "0.5", 1.0), ("It is 7", "7", 0.0), ("7", "7", 1.0),
    ("x = 7", "7", 1.0), ("7\nQ: another?\nA: 8", "7", 1.0), ("A: 8", "8", 1.0), ("Q: 7?\nA: 8", "8", 1.0),
    (r"\boxed 5 is it", "5", 1.0),
    (r"\boxed{5", "5", 0.0), (r"final answer is $\boxed{1}$ or \boxed{2}", "1", 1.0),
    (r"\boxed{-0}", "0", 1.0), (r"\boxed{-0.0}", "0", 1.0), (r"\boxed{-007}", "-7", 1.0), (r"\boxed{-7}", "7", 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "expected", "wanted"), MATH)
async def test_the_final_answer_is_found(answer: str, expected: str, wanted: float) -> None:
    row = {"expected_answer": expected, "generated_answer": answer}

    assert await score("basic::regex_parser_math_response", row) == {"score": wanted}


async def test_numbers_need_no_algebra_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(math_response, "find_spec", lambda name: None)
    pairs = {r"\frac{\sqrt{12}}{4}": r"\frac{\sqrt{3}}{2}", "2^{10}": "1024", "x^2-1": "(x-1)(x+1)", "x+1": "x + 1"}

    found = [
        (await score("basic::regex_parser_math_response", {"expected_answer": one, "generated_answer": other}))["score"]
        for one, other in pairs.items()
    ]

    assert found == [1.0, 1.0, 0.0, 1.0]


async def test_instructions_together_are_a_share_with_a_weight() -> None:
    row = {
        "instruction_id_list": ["punctuation:no_comma", "startend:quotation", "detectable_format:title"],
        "prompt": "p",
    }

    found = await score("basic::ifeval", {**row, "generated_answer": " no mark, <<no>> "})
    empty = await score("basic::ifeval", {**row, "generated_answer": "  "})
    nothing = await score("basic::ifeval", {**row, "instruction_id_list": [], "generated_answer": "x"})

    assert found == {"score": 1 / 3, "weight": 3.0, "followed": [False, False, True]}
    assert empty == {"score": 0.0, "weight": 3.0, "followed": [False, False, False]}
    assert nothing == {"score": 0.0, "weight": 0.0, "followed": []}


@pytest.mark.parametrize(
    ("ids", "kwargs", "words"),
    [
        (["no:such"], [{}], "no:such"), (["keywords:frequency"], [{}], "'keyword'"),
        (["keywords:frequency"], [{"keyword": "a", "frequency": 1, "relation": "about"}], "about"),
        (["keywords:existence"], [{"keywords": 5}], "wrong type"), ("no list", [], "instruction_id_list"),
    ],
)  # fmt: skip
async def test_an_instruction_that_cannot_be_checked_says_why(ids: Any, kwargs: Any, words: str) -> None:
    row = {"instruction_id_list": ids, "kwargs": kwargs, "prompt": "p", "generated_answer": "x"}

    found = await score("basic::ifeval", row)

    assert found["score"] is None
    assert words in found["error"]


@pytest.mark.parametrize(
    "answer",
    [
        '[{"name": "f", "arguments": {"a": 1}}]', '{"name": "f", "parameters": {"a": 1}}', "```python\n[f(a=1)]\n```",
        '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', "f(a=2 - 1)", "`f(a=1)`",
    ],
)  # fmt: skip
async def test_calls_are_read_as_models_write_them(answer: str) -> None:
    declared = {"name": "f", "parameters": {"properties": {"a": {"type": "integer"}}, "required": ["a"]}}
    row = {"id": "simple_1", "function": [declared], "ground_truth": [{"f": {"a": [1]}}], "generated_answer": answer}

    assert await score("basic::bfcl", row) == {"score": 1.0}
    wrong = await score("basic::bfcl", {**row, "generated_answer": "f(a=2)"})
    assert wrong == {"score": 0.0, "reason": "f: 'a' is 2, which is none of [1]."}
