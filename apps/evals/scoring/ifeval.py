"""Instruction following: which of the instructions a prompt gives can be seen to be kept."""

import json
from contextlib import suppress
from typing import Any

from django.conf import settings

from apps.evals.schemas import BasicScoringFnParams
from apps.evals.scoring import pool
from apps.evals.scoring.base import Json, RowError, Scorer, Task


async def _followed(task: Task) -> Json:
    ids = _list(task.row["instruction_id_list"], "instruction_id_list")
    kwargs = _list(task.row.get("kwargs") or [], "kwargs")
    order = {
        "instructions": [str(one) for one in ids],
        "kwargs": [_kept(kwargs[at] if at < len(kwargs) else None) for at in range(len(ids))],
        "prompt": task.text("prompt"),
        "answer": task.text("generated_answer").strip(),
    }
    followed: list[bool] = await pool.run("follow", order, settings.SCORING_TIMEOUT_S)
    return {
        "score": sum(followed) / len(followed) if followed else 0.0,
        "weight": float(len(ids)),
        "followed": followed,
    }


def _list(value: Any, column: str) -> list[Any]:
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if not isinstance(value, list):
        raise RowError(f"'{column}' must be a list.")
    return value


def _kept(kwargs: Any) -> Json:
    """Return the arguments of one instruction that are given; files pad the others with nulls."""
    if isinstance(kwargs, str):
        try:
            kwargs = json.loads(kwargs)
        except (ValueError, RecursionError):
            kwargs = None
    return {name: value for name, value in kwargs.items() if value is not None} if isinstance(kwargs, dict) else {}


IFEVAL = Scorer(
    "basic::ifeval",
    "The share of a prompt's checkable instructions that the answer follows, weighted by their number.",
    _followed,
    BasicScoringFnParams(aggregation_functions=["weighted_average"]),
    ("instruction_id_list", "prompt", "generated_answer"),
)
