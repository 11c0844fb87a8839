"""The first rows of a benchmark tried with candidates before a run is started: nothing of it is stored."""

import asyncio
from dataclasses import dataclass, field

from apps.core import db
from apps.core.errors import ConsoleError
from apps.core.fields import json_value
from apps.datasets import rows as dataset_rows
from apps.datasets.models import Dataset
from apps.evals import direct, schemas
from apps.evals.models import Benchmark
from apps.evals.running import asked, variants
from apps.evals.runs import grid
from apps.evals.runs.form import Candidate

ROWS = 3
MOST = 4  # candidates tried at once


@dataclass(frozen=True)
class Tried:
    """A row as one candidate answered it."""

    number: int
    question: str
    expected: str
    generated: str
    error: str
    cells: list[grid.Cell]


@dataclass(frozen=True)
class Trial:
    """What one candidate made of the rows, or why it could not be asked."""

    name: str
    variant: str  # how it is asked beyond the usual
    rows: list[Tried] = field(default_factory=list)
    error: str = ""


async def tried(benchmark: Benchmark, dataset: Dataset, some: list[Candidate]) -> list[Trial]:
    """Return what the first candidates make of the first rows; a candidate that cannot be asked says why."""
    texts = await db.read(dataset_rows.iterrows, dataset, 0, ROWS)
    values = [json_value(text) for text in texts]
    return list(await asyncio.gather(*(_one(benchmark, values, one) for one in some[:MOST])))


async def _one(benchmark: Benchmark, values: list[asked.Json], candidate: Candidate) -> Trial:
    config = candidate.config.model_copy(update={"num_examples": None})
    request = schemas.EvaluateRowsRequest(
        input_rows=values, scoring_functions=benchmark.scoring_functions, benchmark_config=config
    )
    variant = variants.words_of(config.eval_candidate)
    try:
        answer = await direct.evaluate(request)
    except ConsoleError as error:
        return Trial(candidate.name, variant, error=error.detail)
    return Trial(candidate.name, variant, [_tried(at, value, answer) for at, value in enumerate(values)])


def _tried(at: int, value: asked.Json, answer: schemas.EvaluateResponse) -> Tried:
    generation = answer.generations[at]
    return Tried(
        at + 1,
        asked.question_of(value)[: grid.CELL],
        grid.words_of(asked.expected_of(value))[: grid.CELL],
        grid.words_of(generation.get("generated_answer"))[: 4 * grid.CELL],
        str(generation.get("error") or ""),
        [grid.cell(name, result.score_rows[at]) for name, result in answer.scores.items()],
    )
