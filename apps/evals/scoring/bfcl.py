"""Function calling: the calls an answer makes, held against those that are allowed."""

from django.conf import settings

from apps.evals.schemas import BasicScoringFnParams
from apps.evals.scoring import pool
from apps.evals.scoring.base import Json, RowError, Scorer, Task


async def _called(task: Task) -> Json:
    row = task.row
    order = {name: row.get(name) for name in ("id", "function", "ground_truth", "language")}
    if not isinstance(order["id"], str):
        raise RowError("'id' must be text: it names the category, as in 'simple_12'.")
    order["answer"] = task.text("generated_answer")
    try:
        wrong: str = await pool.run("calls", order, settings.SCORING_TIMEOUT_S)
    except pool.Ended as error:  # what keeps a parser busy for so long, or breaks it, is no call
        wrong = str(error)
    return {"score": 0.0, "reason": wrong} if wrong else {"score": 1.0}


BFCL = Scorer(
    "basic::bfcl",
    "1 when the functions the answer calls, their arguments' types and values are allowed ones.",
    _called,
    BasicScoringFnParams(aggregation_functions=["accuracy"]),
    ("id", "function", "generated_answer"),
)
