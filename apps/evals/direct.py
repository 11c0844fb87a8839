"""Rows that come with a request: evaluated at once, answered together, stored nowhere."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from django.conf import settings

from apps.core import db
from apps.core.errors import BadRequest, TooLarge
from apps.core.fields import json_text
from apps.evals import asked, candidates, functions, schemas
from apps.evals.evaluating import Result, Run
from apps.evals.evaluation import wanted


async def evaluate(request: schemas.EvaluateRowsRequest) -> schemas.EvaluateResponse:
    """Return answers and scores of the rows, in their order.

    Raises NotFound (model, function), BadRequest for a row that asks nothing, and TooLarge for more rows than a
    request may bring.
    """
    config, rows = request.benchmark_config, request.input_rows
    if len(rows) > settings.EVAL_DIRECT_ROWS:
        raise TooLarge(
            f"{len(rows):,} rows are more than the {settings.EVAL_DIRECT_ROWS:,} a request may bring. "
            "Register them as a dataset with a benchmark, and start a job."
        )
    number = wanted(config, len(rows))
    for at, row in enumerate(rows[:number]):
        _check(at, row)
    scoring = await db.read(functions.resolved, request.scoring_functions, config.scoring_params)
    scorers = functions.scorers({name: params.model_dump(mode="json") for name, params in scoring.items()})
    ask = await candidates.ready(config.eval_candidate)
    work = Run(ask, scorers.score, list(scoring), candidates.at_once())
    results: dict[int, Result] = {}
    async with aclosing(work.results(_numbered(rows[:number]))) as done:  # type: ignore[type-var]
        async for result in done:
            results[result.position] = result
    ordered = [results[position] for position in sorted(results)]
    scores = {name: [result.scores[name] for result in ordered] for name in scoring}
    told = functions.aggregated({name: params.model_dump(mode="json") for name, params in scoring.items()}, scores)
    return schemas.EvaluateResponse(
        generations=[result.generation for result in ordered],
        scores={
            name: schemas.ScoringResult(score_rows=scores[name], aggregated_results=told[name]) for name in scoring
        },
    )


def _check(at: int, row: asked.Json) -> None:
    try:
        asked.messages_of(row)
    except BadRequest as error:
        raise BadRequest(f"input_rows.{at}: {error.detail}") from error


async def _numbered(rows: list[asked.Json]) -> AsyncIterator[tuple[int, str]]:
    for position, row in enumerate(rows):
        yield position, json_text(row)
