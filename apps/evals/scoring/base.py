"""What a scoring function is, how one row is scored by it, and what the scores of many rows come to.

Knows no database and no provider: the model that judges and the one that embeds are handed in as functions.
"""

import json
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from apps.core.errors import ConsoleError
from apps.evals import spread
from apps.evals.schemas import (
    BasicScoringFnParams,
    LLMAsJudgeScoringFnParams,
    RegexParserScoringFnParams,
    ScoringFnParams,
)
from apps.evals.scoring.templates import places_in

log = logging.getLogger(__name__)
Json = dict[str, Any]
Judge = Callable[[str, str], Awaitable[str]]  # model id and prompt → the model's answer
Embed = Callable[[list[str]], Awaitable[list[list[float]]]]  # texts → a vector for each
KINDS: dict[str, type[BasicScoringFnParams | RegexParserScoringFnParams | LLMAsJudgeScoringFnParams]] = {
    "basic": BasicScoringFnParams,
    "regex_parser": RegexParserScoringFnParams,
    "llm_as_judge": LLMAsJudgeScoringFnParams,
}
KIND_WORDS = {"basic": "compares", "regex_parser": "finds by expressions", "llm_as_judge": "asks a judge"}
COLUMNS_TOLD = 8
LONGEST_CATEGORY = 200  # an expression that finds all a judge says would make each answer one, of any length


class RowError(Exception):
    """Why a row has no score, in words for whoever reads the row."""


@dataclass(frozen=True, slots=True)
class Task:
    """One row to score, with all a function may use."""

    row: Json
    params: Any  # the function's own kind of ScoringFnParams
    judge: Judge
    embed: Embed | None = None

    def text(self, column: str) -> str:
        """Return a column as text: other values as their JSON, so that 42 equals what a model writes as 42."""
        value = self.row[column]
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Scorer:
    """A built-in scoring function."""

    identifier: str
    description: str
    run: Callable[[Task], Awaitable[Json]]
    params: ScoringFnParams | None  # None: there is no useful default, a run must bring its own
    needs: tuple[str, ...] = ("expected_answer", "generated_answer")  # columns; of a judge its prompt decides
    return_type: str = "number"
    kinds: tuple[str, ...] = ()  # other kinds of parameters it takes
    most_expressions: int | None = None
    needs_template: bool = False
    without_vectors: str = ""  # what it does where no model makes vectors; only who says so is given any
    vectors_suffice: bool = False  # and where one does, it asks no judge

    @property
    def takes(self) -> tuple[str, ...]:
        """The kinds of parameters it takes, the usual one first."""
        usual = self.params.type if self.params is not None else "llm_as_judge"
        return (usual, *self.kinds)

    def needed(self, params: ScoringFnParams | None) -> tuple[str, ...]:
        """Return the columns a row needs to be scored with these parameters: for a judge, those its prompt names."""
        prompt = getattr(params, "prompt_template", None) if self.takes[0] == "llm_as_judge" else None
        return places_in(prompt) if prompt else self.needs

    def missing(self, row: Json, params: ScoringFnParams | None) -> list[str]:
        """Return the columns a row lacks to be scored with these parameters."""
        return [column for column in self.needed(params) if row.get(column) is None]

    @property
    def asks_a_model(self) -> bool:
        """Whether a score costs a call of a model."""
        return "llm_as_judge" in self.takes

    def asks_judge(self, has_vectors: bool) -> bool:
        """Return whether it asks a model that chats, where a model makes vectors or none does."""
        return self.asks_a_model and not (has_vectors and self.vectors_suffice)

    @property
    def how(self) -> str:
        """How it comes to a score, in words."""
        if self.vectors_suffice:
            return "compares by vectors"
        return KIND_WORDS["llm_as_judge" if self.asks_a_model else self.takes[0]]

    @property
    def provider_id(self) -> str:
        """The family of functions it belongs to."""
        return self.identifier.partition("::")[0]


async def score(scorer: Scorer, row: Json, params: ScoringFnParams, judge: Judge, embed: Embed | None = None) -> Json:
    """Return the score row of one row: ``{"score": …, …}``, with ``error`` and no score for one that has none.

    Never raises for what is in the row, for what a judge answers, or for a judge that cannot be reached.
    """
    if missing := scorer.missing(row, params):
        filled = [name for name, value in row.items() if value not in (None, "")]
        has = ", ".join(f"'{name}'" for name in filled[:COLUMNS_TOLD]) or "none"
        return failed(f"The row needs {' and '.join(map(repr, missing))}. Its columns: {has}.")
    try:
        return await scorer.run(Task(row, params, judge, embed if scorer.without_vectors else None))
    except RowError as error:
        return failed(str(error))
    except ConsoleError as error:
        return failed(error.detail)
    except Exception as error:  # rows and judges' answers come from anywhere
        log.exception("%s could not score a row", scorer.identifier)
        return failed(f"The row cannot be scored: {type(error).__name__}: {error}"[:500])


def failed(why: str) -> Json:
    """Return the score row of a row that could not be scored."""
    return {"score": None, "error": why}


def aggregate(score_rows: Sequence[Json], functions: Sequence[str]) -> Json:
    """Return what the scores come to, by the name of each aggregation asked for."""
    return {name: AGGREGATIONS[name](score_rows) for name in functions}


def _accuracy(rows: Sequence[Json]) -> Json:
    correct = math.fsum(number for row in rows if (number := spread.number(row.get("score"))) is not None)
    return {"accuracy": correct / len(rows) if rows else None, "num_correct": correct, "num_total": len(rows)}


def _average(rows: Sequence[Json]) -> Json:
    numbers = _numbers(rows)
    return {"average": fmean(numbers) if numbers else None}


def _weighted_average(rows: Sequence[Json]) -> Json:
    pairs = [(number, _weight(row)) for row in rows if (number := spread.number(row.get("score"))) is not None]
    total = math.fsum(weight for _, weight in pairs)
    return {"weighted_average": math.fsum(number * weight for number, weight in pairs) / total if total else None}


def _median(rows: Sequence[Json]) -> Json:
    numbers = _numbers(rows)
    return {"median": median(numbers) if numbers else None}


def _categorical_count(rows: Sequence[Json]) -> Json:
    counts = Counter(_category(row["score"]) for row in rows if row.get("score") is not None)
    return {"categorical_count": dict(sorted(counts.items()))}


AGGREGATIONS: dict[str, Callable[[Sequence[Json]], Json]] = {
    "accuracy": _accuracy,
    "average": _average,
    "weighted_average": _weighted_average,
    "median": _median,
    "categorical_count": _categorical_count,
}


def _numbers(rows: Sequence[Json]) -> list[float]:
    return [number for row in rows if (number := spread.number(row.get("score"))) is not None]


def _weight(row: Json) -> float:
    weight = spread.number(row.get("weight"))
    return 1.0 if weight is None else weight


def _category(score: Any) -> str:
    text = score if isinstance(score, str) else json.dumps(score, ensure_ascii=False)
    return text if len(text) <= LONGEST_CATEGORY else f"{text[: LONGEST_CATEGORY - 1]}…"
