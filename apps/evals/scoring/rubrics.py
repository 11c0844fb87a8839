"""The factuality family: a model reads the answer by a rubric and replies with JSON, which is counted into 0 to 1.

The ids are those of the functions known by them elsewhere; rubrics and prompts are our own.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apps.evals.schemas import BasicScoringFnParams
from apps.evals.scoring import rubric_prompts as prompts
from apps.evals.scoring.base import Json, RowError, Scorer, Task
from apps.evals.scoring.judging import values_of
from apps.evals.scoring.templates import fill

CHOICES = {"A": 0.4, "B": 0.6, "C": 1.0, "D": 0.0, "E": 1.0}
FACTS, LIKENESS = 0.75, 0.25  # what the facts and the likeness of the wording count for in answer-correctness
SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
FEEDBACK_TOLD = 2_000
NOTHING_FOUND = "The judge found nothing in the row that the score is a share of."
Verdict = tuple[float | None, Json]


@dataclass(frozen=True, slots=True)
class Rubric:
    """A prompt, and how the JSON it is answered with becomes a score and what is told with it."""

    prompt: str
    count: Callable[[Json, Task], Verdict]

    async def judge(self, task: Task) -> Verdict:
        """Return the verdict on a row; raises RowError for a reply that is not what was asked for."""
        reply = await task.judge(task.params.judge_model, fill(self.prompt, values_of(task)))
        value = object_in(reply)
        if value is None:
            raise RowError(f"The judge did not reply with the JSON it was asked for, but with: {_cut(reply)}")
        try:
            return self.count(value, task)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RowError(f"The judge's JSON lacks what was asked for ({error!r}): {_cut(reply)}") from error


def object_in(text: str) -> Json | None:
    """Return the first JSON object in a text; None when there is none."""
    decoder = json.JSONDecoder()
    at, tries = text.find("{"), 0
    while at >= 0 and tries < 50:
        try:
            value, _ = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at, tries = text.find("{", at + 1), tries + 1
            continue
        return value if isinstance(value, dict) else None
    return None


def cosine(one: list[float], other: list[float]) -> float:
    """Return how alike two vectors are, from 0 to 1."""
    length = math.sqrt(math.fsum(a * a for a in one) * math.fsum(b * b for b in other))
    return min(1.0, max(0.0, math.fsum(a * b for a, b in zip(one, other, strict=True)) / length)) if length else 0.0


def _cut(text: str) -> str:
    return text if len(text) <= FEEDBACK_TOLD else f"{text[:FEEDBACK_TOLD]}…"


def _rated(value: Json, task: Task) -> Verdict:
    rating = float(value["score"])
    if not 0 <= rating <= 1:
        raise ValueError("a score from 0 to 1")
    return rating, {"reason": value.get("reason")}


def _chosen(value: Json, task: Task) -> Verdict:
    choice = str(value["choice"]).strip().upper()
    return CHOICES[choice], {"choice": choice, "rationale": value.get("reason")}


def _share(name: str) -> Callable[[Json, Task], Verdict]:
    """Return a count of the entries whose verdict is 1 among those of a list."""

    def count(value: Json, task: Task) -> Verdict:
        entries = value[name]
        verdicts = [float(entry["verdict"]) >= 0.5 for entry in entries]
        return (sum(verdicts) / len(verdicts) if verdicts else None), {name: entries}

    return count


def _facts(value: Json, task: Task) -> Verdict:
    counts = {name: len(_list(value[name])) for name in ("both", "only_answer", "only_expected")}
    total = counts["both"] + 0.5 * (counts["only_answer"] + counts["only_expected"])
    return (counts["both"] / total if total else None), {name: value[name] for name in counts}


def _entities(value: Json, task: Task) -> Verdict:
    expected, found = ({str(one).casefold().strip() for one in _list(value[name])} for name in ("expected", "context"))
    return (len(expected & found) / len(expected) if expected else None), value


def _useful(value: Json, task: Task) -> Verdict:
    return float(float(value["verdict"]) >= 0.5), {"reason": value.get("reason")}


def _relevant(value: Json, task: Task) -> Verdict:
    sentences = [one for one in SENTENCE.findall(task.text("context")) if one.strip()]
    relevant = _list(value["sentences"])
    return (min(1.0, len(relevant) / len(sentences)) if sentences else None), {"sentences": relevant}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list")
    return value


async def _likeness(task: Task) -> Verdict:
    """Compare answer and expected answer by their vectors, or by a judge's eye where no model makes vectors."""
    if task.embed is None:
        return await Rubric(prompts.SIMILARITY, _rated).judge(task)
    one, other = await task.embed([task.text("expected_answer"), task.text("generated_answer")])
    return cosine(one, other), {"by": "embeddings"}


async def _correctness(task: Task) -> Verdict:
    facts, told = await Rubric(prompts.CORRECTNESS, _facts).judge(task)
    if facts is None or task.embed is None:
        return facts, told
    likeness, _ = await _likeness(task)
    return FACTS * facts + LIKENESS * (likeness or 0.0), {**told, "factuality": facts, "similarity": likeness}


async def _relevancy(task: Task) -> Verdict:
    """Compare the question with those the answer would answer; an answer that commits to nothing is not relevant."""
    if task.embed is None:
        return await Rubric(prompts.RELEVANCY, _rated).judge(task)
    asked = Rubric(prompts.QUESTIONS, lambda value, _: (0.0, {name: value[name] for name in ("questions", "evasive")}))
    _, told = await asked.judge(task)
    questions = [str(one) for one in _list(told["questions"]) if str(one).strip()]
    if told["evasive"] or not questions:
        return 0.0, told
    query, *vectors = await task.embed([task.text("input_query"), *questions])
    return math.fsum(cosine(query, vector) for vector in vectors) / len(vectors), told


def _scorer(name: str, description: str, judge: Callable[[Task], Any], *needs: str, **vectors: Any) -> Scorer:
    async def run(task: Task) -> Json:
        score, metadata = await judge(task)
        why = {} if score is not None else {"error": NOTHING_FOUND}
        return {"score": score, "metadata": metadata, **why}

    params = BasicScoringFnParams(aggregation_functions=["average"])
    identifier, kinds = f"braintrust::{name}", ("llm_as_judge",)
    return Scorer(identifier, description, run, params, needs, kinds=kinds, **vectors)


ASKED, EXPECTED, GENERATED, CONTEXT = "input_query", "expected_answer", "generated_answer", "context"
RUBRICS = (
    _scorer(
        "factuality", "Whether the answer's facts agree with those of the expected answer.",
        Rubric(prompts.FACTUALITY, _chosen).judge, ASKED, EXPECTED, GENERATED,
    ),
    _scorer(
        "answer-correctness", "How many facts answer and expected answer share, and how alike they are.",
        _correctness, ASKED, EXPECTED, GENERATED, without_vectors="facts alone count",
    ),
    _scorer(
        "answer-relevancy", "Whether the answer answers the question asked.",
        _relevancy, ASKED, GENERATED, without_vectors="its judge says how relevant the answer is",
    ),
    _scorer(
        "answer-similarity", "How alike answer and expected answer are.",
        _likeness, EXPECTED, GENERATED, without_vectors="its judge says how alike they are", vectors_suffice=True,
    ),
    _scorer(
        "faithfulness", "The share of the answer's statements that the context supports.",
        Rubric(prompts.FAITHFULNESS, _share("statements")).judge, ASKED, GENERATED, CONTEXT,
    ),
    _scorer(
        "context-entity-recall", "The share of the expected answer's names and numbers that the context holds.",
        Rubric(prompts.ENTITIES, _entities).judge, EXPECTED, CONTEXT,
    ),
    _scorer(
        "context-precision", "1 when the context was useful to arrive at the expected answer, else 0.",
        Rubric(prompts.PRECISION, _useful).judge, ASKED, EXPECTED, CONTEXT,
    ),
    _scorer(
        "context-recall", "The share of the expected answer's sentences that the context supports.",
        Rubric(prompts.RECALL, _share("sentences")).judge, ASKED, EXPECTED, CONTEXT,
    ),
    _scorer(
        "context-relevancy", "The share of the context's sentences that the question needs.",
        Rubric(prompts.RELEVANT, _relevant).judge, ASKED, CONTEXT,
    ),
)  # fmt: skip
