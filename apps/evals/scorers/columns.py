"""The columns of a row that scoring functions read: in which order, under which words, and a sample of each."""

from typing import Any

from apps.evals.schemas import ScoringFnParams
from apps.evals.scoring.base import Scorer

Json = dict[str, Any]
LONG = ("generated_answer", "context", "prompt", "function", "kwargs", "ground_truth")
AS_JSON = ("instruction_id_list", "kwargs")  # the others are text in every row
JSON_TEXT = ("function", "ground_truth")  # and these are text that holds JSON
LABELS = {
    "input_query": "Question",
    "expected_answer": "Expected answer",
    "generated_answer": "Generated answer",
    "instruction_id_list": "Instructions",
    "kwargs": "Their parameters",
    "ground_truth": "Allowed calls",
    "function": "Functions",
    "id": "Row id",
}
OPTIONAL = {"basic::ifeval": ("kwargs",), "basic::bfcl": ("ground_truth", "language")}
SAMPLE = {
    "input_query": "Which city is the capital of France?",
    "expected_answer": "Paris",
    "generated_answer": "The capital of France is Paris.",
    "context": "France is a country in Europe. Its capital is Paris, on the river Seine.",
}
SAMPLES: dict[str, Json] = {
    "basic::equality": {"generated_answer": "Paris"},
    "basic::regex_parser_multiple_choice_answer": {"expected_answer": "B", "generated_answer": "Answer: B"},
    "basic::regex_parser_math_response": {
        "expected_answer": "\\frac{1}{2}",
        "generated_answer": "The final answer is $\\boxed{0.5}$.",
    },
    "basic::docvqa": {"expected_answer": '["12 May", "May 12"]', "generated_answer": "the 12 May."},
    "basic::ifeval": {
        "prompt": "Answer in lower case and use no comma.",
        "instruction_id_list": '["change_case:english_lowercase", "punctuation:no_comma"]',
        "kwargs": "[{}, {}]",
        "generated_answer": "paris is the capital of france",
    },
    "basic::bfcl": {
        "id": "simple_0",
        "language": "Python",
        "function": '[{"name": "get_weather", "parameters": {"type": "dict", "properties": {"city": '
        '{"type": "string"}}, "required": ["city"]}}]',
        "ground_truth": '[{"get_weather": {"city": ["Porto"]}}]',
        "generated_answer": '[get_weather(city="Porto")]',
    },
}


def columns_of(scorer: Scorer, params: ScoringFnParams | None) -> tuple[str, ...]:
    """Return the columns of a row a function reads with these parameters, those it can do without last."""
    needs = scorer.needed(params)
    first = [name for name in ("input_query", "prompt", "id", "context") if name in needs]
    rest = [name for name in needs if name not in first and name != "generated_answer"]
    last = [name for name in ("generated_answer",) if name in needs]
    return (*first, *rest, *OPTIONAL.get(scorer.identifier, ()), *last)


def samples_of(scorer: Scorer, params: ScoringFnParams | None) -> dict[str, str]:
    """Return what to try a function with, for each column it reads; empty where nothing is usual."""
    found = SAMPLE | SAMPLES.get(scorer.identifier, {})
    return {name: str(found.get(name, "")) for name in columns_of(scorer, params)}
