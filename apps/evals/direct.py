"""Rows that come with a request: evaluated at once, answered together, stored nowhere."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from django.conf import settings

from apps.core import db
from apps.core.errors import BadRequest, TooLarge
from apps.core.fields import json_text
from apps.evals import calls, functions, schemas
from apps.evals.evaluation import wanted
from apps.evals.running import asked, candidates
from apps.evals.running.evaluating import Result, Row, Run


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
    scoring = functions.as_json(await db.read(functions.resolved, request.scoring_functions, config.scoring_params))
    await functions.check_expressions(config.scoring_params)
    scorers = functions.scorers(scoring)
    ask = await candidates.ready(config.eval_candidate)
    work = Run(ask, scorers.score, list(scoring), await candidates.asked_at_once(config.eval_candidate))
    results: dict[int, Result] = {}
    async with aclosing(work.results(_numbered(rows[:number]))) as done:  # type: ignore[type-var]
        async for result in done:
            results[result.position] = result
    await db.write(calls.keep, scorers.counting.take())
    ordered = [results[position] for position in sorted(results)]
    return schemas.EvaluateResponse(
        generations=[result.generation for result in ordered],
        scores=functions.results(scoring, [result.scores for result in ordered]),
    )


def _check(at: int, row: asked.Json) -> None:
    try:
        asked.messages_of(row)
    except BadRequest as error:
        raise BadRequest(f"input_rows.{at}: {error.detail}") from error


async def _numbered(rows: list[asked.Json]) -> AsyncIterator[Row]:
    for position, row in enumerate(rows):
        yield Row(position, json_text(row))
