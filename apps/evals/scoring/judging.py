"""Functions that ask a model for its verdict by a template, and find the score in what it says."""

from apps.evals.schemas import LLMAsJudgeScoringFnParams
from apps.evals.scoring import expressions
from apps.evals.scoring.base import Json, Scorer, Task
from apps.evals.scoring.templates import PLACES, fill, places_in

NO_EXPRESSIONS = "There are no judge_score_regexes to find a score in the judge's words; they are kept as they are."
NOT_FOUND = "The judge's words hold no score that the expressions find."
GRADING = """\
You grade an answer to a question of fact against the answer that is known to be right. Look at what is claimed, not at
how it is worded.

Grade A (correct): the answer states everything the right answer asks for and contradicts none of it. Other wording,
letter case, small slips of spelling, further true detail and hedging around the right statement do not matter. A number
is right when it agrees with the right one in the digits that one gives.
Grade B (incorrect): some statement of the answer contradicts the right answer, even if the answer also hedges, names
several possibilities or is right in other parts.
Grade C (not attempted): the answer contradicts nothing, yet does not state what is asked for: it declines, asks back,
or leaves the decisive part out.

What the question itself settles need not be said again: to "In which city in France was she born?" the answer "Lyon" is
complete when the right answer is "Lyon, France".

Question: {input_query}
Right answer: {expected_answer}
Answer to grade: {generated_answer}

Reply with one letter and nothing else: A, B or C.
"""


def values_of(task: Task) -> dict[str, str]:
    """Return what the places of a template stand for in this row."""
    return {name: task.text(name) for name in PLACES if task.row.get(name) is not None}


def prompt_of(task: Task) -> str:
    """Return what a judge is asked about this row by the function's template."""
    return fill(task.params.prompt_template or "", values_of(task))


async def _judged(task: Task) -> Json:
    feedback = await task.judge(task.params.judge_model, prompt_of(task))
    patterns = task.params.judge_score_regexes
    score = await expressions.first_group(patterns, feedback) if patterns else None
    why = {} if score is not None else {"error": NOT_FOUND if patterns else NO_EXPRESSIONS}
    return {"score": score, "judge_feedback": feedback, **why}


BASE = Scorer(
    "llm-as-judge::base",
    "What a model says of the answer when it is asked by a template of your own; an expression finds its score.",
    _judged,
    None,
    PLACES,
    return_type="string",
    needs_template=True,
)
SIMPLEQA = Scorer(
    "llm-as-judge::405b-simpleqa",
    "A large model grades the answer to a question of fact: A correct, B incorrect, C not attempted.",
    _judged,
    LLMAsJudgeScoringFnParams(
        judge_model="meta-llama/Llama-3.1-405B-Instruct",
        prompt_template=GRADING,
        judge_score_regexes=expressions.trust(["(A|B|C)"]),
        aggregation_functions=["categorical_count"],
    ),
    places_in(GRADING),
    return_type="string",
)
