"""Answers to mathematical questions: the same number or expression, however it is written."""

import re
from importlib.util import find_spec

from django.conf import settings

from apps.evals.schemas import RegexParserScoringFnParams
from apps.evals.scoring import expressions, math_text, pool
from apps.evals.scoring.base import Json, RowError, Scorer, Task
from apps.evals.scoring.math_value import value_of

FINAL = r"(?is)final answer is:?\s*\$\s*\\boxed\{(.*?)\}\s*\$"
INTEGER = re.compile(r"-?\d+")
ALGEBRA = re.compile(r"[\\^+\-*/(){}\d]")
WORD = re.compile(r"[^\W\d_]{4,}")
COMMAND = re.compile(r"\\[a-zA-Z]+")
LONGEST = 300


async def _right(task: Task) -> Json:
    text = math_text.cut(task.text("generated_answer"))
    patterns = task.params.parsing_regexes
    found = await expressions.first_group(patterns, text) if patterns else None
    answer = found if found is not None else (math_text.boxed(text) or text)
    return {
        "score": float(await _same(math_text.normalised(task.text("expected_answer")), math_text.normalised(answer)))
    }


async def _same(expected: str, answer: str) -> bool:
    """Return whether two normalised answers are equal: as text, as numbers to three digits, or by algebra.

    Whole numbers must be equal in every digit.
    """
    if expected == answer:
        return True
    if INTEGER.fullmatch(expected) and INTEGER.fullmatch(answer):
        return _signed(expected) == _signed(answer)
    numbers = value_of(expected), value_of(answer)
    if numbers[0] is not None and numbers[1] is not None:
        return f"{numbers[0]:z.2e}" == f"{numbers[1]:z.2e}"  # z: -0 is 0
    if not (_is_algebra(expected) and _is_algebra(answer) and find_spec("math_verify")):
        return False
    order = {"expected": expected, "answer": answer}
    try:
        equal: bool = await pool.run("same", order, settings.SCORING_TIMEOUT_S)
    except RowError:  # too hard, or no mathematics after all: then the texts decide, and they differ
        return False
    return equal


def _signed(integer: str) -> tuple[bool, str]:
    """Return whether a whole number is below zero, and its digits: it may have more than Python reads."""
    digits = integer.lstrip("-0")
    return bool(digits) and integer[0] == "-", digits


def _is_algebra(text: str) -> bool:
    """Return whether a text can be an expression: words would be read as products of their letters."""
    return len(text) <= LONGEST and bool(ALGEBRA.search(text)) and not WORD.search(COMMAND.sub(" ", text))


MATH_RESPONSE = Scorer(
    "basic::regex_parser_math_response",
    "1 when the final answer, by default what stands in the last box, is the same number or expression as expected.",
    _right,
    RegexParserScoringFnParams(parsing_regexes=expressions.trust([FINAL]), aggregation_functions=["accuracy"]),
    most_expressions=1,
)
