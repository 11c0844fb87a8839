"""Rows that have their answers already, scored: those of a request, or those of a dataset."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from django.conf import settings

from apps.accounts.principals import Principal
from apps.core import db
from apps.core.errors import Conflict, TooLarge
from apps.core.fields import json_text, json_value
from apps.core.ids import free_name, new_id
from apps.datasets import live, purposes, registry
from apps.datasets import rows as dataset_rows
from apps.datasets import schemas as dataset_schemas
from apps.datasets.models import Dataset
from apps.evals import calls, functions, schemas
from apps.evals.running import asked, candidates
from apps.evals.scoring.running import Scorers

Json = dict[str, Any]
Scoring = dict[str, Any]
MOST_BYTES = 100_000_000
IN_PARTS = "Send its rows to /v1/scoring/score some at a time"
JUDGED_SHARE = 10  # a function that asks a model takes this many times fewer rows in a request


async def rows(request: schemas.ScoreRequest) -> schemas.ScoreResponse:
    """Return the results of the rows of a request.

    Raises NotFound and BadRequest for functions and parameters that cannot be used, TooLarge for too many rows.
    """
    scoring, scorers = await _ready(request.scoring_functions)
    _check_size(len(request.input_rows), scorers, "Send them some at a time")
    scores = await _scores(request.input_rows, scorers)
    return schemas.ScoreResponse(results=functions.results(scoring, scores))


async def dataset(request: schemas.ScoreBatchRequest, actor: Principal) -> schemas.ScoreBatchResponse:
    """Return the results of a dataset's rows, kept as a new dataset if asked to; raises as ``rows`` does.

    Raises NotFound and Conflict when the dataset, or some of its rows, are deleted meanwhile: fewer scores than rows
    would pass for all of them.
    """
    scoring, scorers = await _ready(request.scoring_functions)
    source = await db.read(_readable, request.dataset_id)
    _check_size(source.row_count, scorers, IN_PARTS)
    if source.size_bytes > MOST_BYTES:
        raise TooLarge(
            f"Dataset '{source.dataset_id}' holds {source.size_bytes:,} bytes, more than the {MOST_BYTES:,} a request "
            f"may have scored. {IN_PARTS}."
        )
    scores: list[dict[str, Json]] = []
    texts: list[str] = []
    async for some in _chunks(source):
        found = await _scores(some, scorers)
        scores += found
        if request.save_results_dataset:
            texts += [json_text(_beside(row, one)) for row, one in zip(some, found, strict=True)]
    if len(scores) < source.row_count:
        await db.read(_readable, source.dataset_id)
        raise Conflict(f"Rows of dataset '{source.dataset_id}' were deleted while it was scored; ask again.")
    made = await _kept(source, texts, list(scoring), actor) if request.save_results_dataset else None
    return schemas.ScoreBatchResponse(dataset_id=made, results=functions.results(scoring, scores))


async def _ready(wanted: Mapping[str, schemas.ScoringFnParams | None]) -> tuple[Scoring, Scorers]:
    given = {name: params for name, params in wanted.items() if params is not None}
    found = await db.read(functions.resolved, list(wanted), given, "scoring_functions")
    await functions.check_expressions(given, "scoring_functions")
    scoring = functions.as_json(found)
    return scoring, functions.scorers(scoring)


def _check_size(count: int, scorers: Scorers, way_out: str) -> None:
    most = settings.SCORE_MAX_ROWS // (JUDGED_SHARE if scorers.ask_a_model else 1)
    if count > most:
        by = " by functions that ask a model" if scorers.ask_a_model else ""
        raise TooLarge(
            f"{count:,} rows are more than the {most:,} a request may have scored{by}. "
            f"{way_out}, or set SCORE_MAX_ROWS higher."
        )


async def _scores(some: list[Json], scorers: Scorers) -> list[dict[str, Json]]:
    found = await scorers.score_rows((asked.shown(row, {}) for row in some), candidates.at_once())
    await db.write(calls.keep, scorers.counting.take())
    return found


def _readable(dataset_id: str) -> Dataset:
    found = Dataset.objects.named(dataset_id)
    found.check_readable()
    return found


async def _chunks(source: Dataset) -> AsyncIterator[list[Json]]:
    position, left = 0, source.row_count
    while left > 0:
        texts, position = await db.read(dataset_rows.chunk_from, source, position, left)
        if not texts:
            return
        left -= len(texts)
        yield [json_value(text) for text in texts]


def _beside(row: Json, scores: Mapping[str, Json]) -> Json:
    """Return a row with its scores as further columns, named by function and value; what it had of a name stays."""
    columns = {f"{name}.{key}": value for name, one in scores.items() for key, value in one.items()}
    return row | {free_name(name, row): value for name, value in columns.items()}


async def _kept(source: Dataset, texts: list[str], names: list[str], actor: Principal) -> str:
    """Store scored rows as a new dataset and return its id."""
    request = registry.Request(
        dataset_schemas.RegisterDatasetRequest(
            dataset_id=f"{source.dataset_id[:200]}-scored-{new_id()[:8]}",
            purpose=source.purpose,  # type: ignore[arg-type]
            source=dataset_schemas.RowsDataSource(rows=[]),
            metadata={"scored_from": source.dataset_id, "scoring_functions": names},
        ),
        texts,
        [json_value(text) for text in texts[: purposes.LOOKED_AT]],
    )
    made = await db.write(registry.register_rows, request, actor)
    await live.changed(made)
    return made.dataset_id
