"""How tests score: one row by one function, with a judge that answers from a list."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from apps.evals.schemas import ScoringFnParams
from apps.evals.scoring import base
from apps.evals.scoring.catalog import BUILT_IN

Json = dict[str, Any]


def cases(name: str) -> list[Json]:
    """Return the published cases of a file: inputs and the verdict they must have."""
    found: list[Json] = json.loads((Path(__file__).parent / "cases" / name).read_text())["cases"]
    return found


async def score(
    name: str, row: Json, params: ScoringFnParams | None = None, judge: Any = None, embed: Any = None
) -> Json:
    """Return the score row of a row."""
    scorer = BUILT_IN[name]
    wanted = params or scorer.params
    assert wanted is not None
    return await base.score(scorer, row, wanted, judge or silent, embed)


async def silent(model: str, prompt: str) -> str:
    """Answer nothing."""
    return ""


def says(*answers: str) -> tuple[Callable[[str, str], Awaitable[str]], list[tuple[str, str]]]:
    """Return a judge that gives these answers in turn, and the list of what it was asked."""
    left, asked = list(answers), []

    async def judge(model: str, prompt: str) -> str:
        asked.append((model, prompt))
        return left.pop(0)

    return judge, asked
