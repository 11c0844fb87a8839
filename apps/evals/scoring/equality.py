"""The two functions that compare text as it is."""

from apps.evals.schemas import BasicScoringFnParams
from apps.evals.scoring.base import Json, Scorer, Task

PARAMS = BasicScoringFnParams(aggregation_functions=["accuracy"])


async def _equal(task: Task) -> Json:
    return {"score": float(task.text("generated_answer") == task.text("expected_answer"))}


async def _holds(task: Task) -> Json:
    return {"score": float(task.text("expected_answer") in task.text("generated_answer"))}


EQUALITY = Scorer(
    "basic::equality",
    "1 when the answer is exactly the expected one, letter case and blanks included, else 0.",
    _equal,
    PARAMS,
)
SUBSET_OF = Scorer(
    "basic::subset_of",
    "1 when the answer holds the expected one as it is written, letter case included, else 0.",
    _holds,
    PARAMS,
)
