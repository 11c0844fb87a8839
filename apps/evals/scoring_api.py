"""Scoring functions and scoring: companion endpoints of the stable API."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router

from apps.accounts.auth import caller
from apps.core import db
from apps.core.answers import answer, nothing
from apps.core.fields import json_text
from apps.evals import functions, own_functions, schemas, scored

router = Router(tags=["Scoring"])
ONE = "/scoring-functions/{path:scoring_fn_id}"


@router.get("/scoring-functions", response=schemas.ListScoringFunctionsResponse)
async def list_scoring_functions(request: HttpRequest) -> HttpResponse:
    """List the scoring functions: the built-in ones, then those that were registered."""
    return answer(schemas.ListScoringFunctionsResponse(data=await db.read(functions.listed)))


@router.post("/scoring-functions")
async def register_scoring_function(request: HttpRequest, body: schemas.RegisterScoringFunctionRequest) -> HttpResponse:
    """Register a built-in function under another name, with parameters of its own.

    ``provider_scoring_fn_id`` names the built-in one; without it the kind of parameters decides.
    """
    await functions.check_own_expressions(body.params)
    await db.write(own_functions.register, body, caller(request))
    return nothing()


@router.get(ONE, response=schemas.ScoringFn)
async def get_scoring_function(request: HttpRequest, scoring_fn_id: str) -> HttpResponse:
    """Read a scoring function."""
    return answer(await db.read(functions.named, scoring_fn_id))


@router.delete(ONE)
async def unregister_scoring_function(request: HttpRequest, scoring_fn_id: str) -> HttpResponse:
    """Take a registered function away; built-in ones stay."""
    await db.write(own_functions.unregister, scoring_fn_id, caller(request))
    return nothing()


@router.post("/scoring/score", response=schemas.ScoreResponse)
async def score(request: HttpRequest, body: schemas.ScoreRequest) -> HttpResponse:
    """Score rows that come with the request; a row that cannot be scored says why in its place."""
    return _with_nulls(await scored.rows(body))


@router.post("/scoring/score-batch", response=schemas.ScoreBatchResponse)
async def score_batch(request: HttpRequest, body: schemas.ScoreBatchRequest) -> HttpResponse:
    """Score the rows of a dataset; with ``save_results_dataset`` a new dataset keeps them beside their scores."""
    return _with_nulls(await scored.dataset(body, caller(request)))


def _with_nulls(value: Any) -> HttpResponse:
    """Answer with the nulls of score rows: a score that is not there is told as null."""
    told = {name: one for name, one in value.model_dump(mode="json").items() if one is not None}
    return HttpResponse(json_text(told), content_type="application/json")  # rows may hold half a character
