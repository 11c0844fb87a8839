"""Which scoring functions there are, built-in and registered; what each is in a run, and whom it asks there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from apps.core.errors import BadRequest, Conflict, NotBuiltIn, NotFound
from apps.core.spec import SpecModel, did_you_mean
from apps.evals import schemas
from apps.evals.models import ScoringFunction
from apps.evals.running import candidates, spending
from apps.evals.running.patience import Patience
from apps.evals.scoring import expressions, judging
from apps.evals.scoring.base import KINDS, Embed, Json, Judge, Scorer, Task, aggregate
from apps.evals.scoring.catalog import BUILT_IN
from apps.evals.scoring.running import Scorers
from apps.inference import chat, registry
from apps.inference.models import Model

Params = schemas.ScoringFnParams
EXPRESSIONS = ("parsing_regexes", "judge_score_regexes")
EMPTY_MEANS_ABSENT = (*EXPRESSIONS, "judge_model")


class Resolved(SpecModel):
    """What one function of a run is: the built-in one behind it, its parameters, and who may make vectors for it."""

    function: str
    params: Params
    embedding_model: str | None = None
    fails_below: float | None = None


def listed() -> list[schemas.ScoringFn]:
    """Return every function, built-in ones first."""
    return [built_in(scorer) for scorer in BUILT_IN.values()] + [told(row) for row in ScoringFunction.objects.all()]


def named(identifier: str) -> schemas.ScoringFn:
    """Return a function as the API tells it; raises NotFound naming the nearest."""
    scorer, row = find(identifier)
    return told(row) if row is not None else built_in(scorer)


def known(names: Sequence[str]) -> dict[str, schemas.ScoringFn]:
    """Return those of these functions that exist, by their names; one query, none where all are built in."""
    found = {name: built_in(BUILT_IN[name]) for name in names if name in BUILT_IN}
    if len(found) < len(names):
        rows = ScoringFunction.objects.filter(scoring_fn_id__in=names, provider_scoring_fn_id__in=list(BUILT_IN))
        found |= {row.scoring_fn_id: told(row) for row in rows}
    return found


def resolved(
    names: Sequence[str], given: Mapping[str, Params | None], where: str = "scoring_params"
) -> dict[str, Resolved]:
    """Return what each function of a run is, its own parameters overridden by those given; reads the database.

    Raises NotFound for an unknown function or judge, Conflict for a function that is switched off, BadRequest for
    parameters that do not fit, NotBuiltIn when a judge is needed and there is no model. That expressions can be used
    is for ``check_expressions`` to tell.
    """
    unknown = [name for name in given if name not in names]
    if unknown:
        raise BadRequest(
            f"{where}: '{unknown[0]}' is none of the functions of this run{did_you_mean(unknown[0], names)}"
        )
    return {name: _resolved(name, given.get(name), f"{where}.{name}") for name in names}


async def check_expressions(given: Mapping[str, Params | None], where: str = "scoring_params") -> None:
    """Raise BadRequest for expressions that cannot be used. It may take a moment: it is done before a write begins."""
    for name, params in given.items():
        await check_own_expressions(params, f"{where}.{name}")


async def check_own_expressions(params: Params | None, where: str = "params") -> None:
    """Raise BadRequest for expressions of one function that cannot be used; as ``check_expressions``."""
    for name in EXPRESSIONS:
        await expressions.check(getattr(params, name, []), f"{where}.{name}")


def as_json(found: Mapping[str, Resolved]) -> dict[str, Json]:
    """Return what ``resolved`` answered as it is kept with a run."""
    return {name: one.model_dump(mode="json") for name, one in found.items()}


def scorers(scoring: Mapping[str, Any], patience: Callable[[str], Patience] = Patience) -> Scorers:
    """Return the functions of a run, told as they are kept with it, ready to score rows.

    ``patience`` is how models that judge are waited for, made for each by its name in words.
    """
    kept = {name: Resolved.model_validate(one) for name, one in scoring.items()}
    models = {one.embedding_model for one in kept.values() if one.embedding_model}
    return Scorers(
        {name: (BUILT_IN[one.function], one.params) for name, one in kept.items()},
        _judge(patience),
        _embed(min(models), patience) if models else None,
    )


def judge_prompt(kept: Json, row: Json) -> str:
    """Return what a function, told as it is kept with a run, asks its judge about a row as scoring functions read it.

    Empty for one that has no template.
    """
    params = Resolved.model_validate(kept).params
    if not isinstance(params, schemas.LLMAsJudgeScoringFnParams) or not params.prompt_template:
        return ""
    return judging.prompt_of(Task(row, params, candidates.judge))


def aggregated(scoring: Mapping[str, Any], scores: Mapping[str, Sequence[Json]]) -> dict[str, Json]:
    """Return what the score rows of each function come to, by the aggregations of its parameters."""
    return {name: aggregate(scores[name], scoring[name]["params"]["aggregation_functions"]) for name in scoring}


def results(scoring: Mapping[str, Any], rows: Sequence[Mapping[str, Json]]) -> dict[str, schemas.ScoringResult]:
    """Return, for each function, its score rows of rows that were scored by all of them, and what they come to."""
    scores = {name: [one[name] for one in rows] for name in scoring}
    told = aggregated(scoring, scores)
    return {name: schemas.ScoringResult(score_rows=scores[name], aggregated_results=told[name]) for name in scoring}


def find(identifier: str, *, locked: bool = False) -> tuple[Scorer, ScoringFunction | None]:
    """Return what runs, and the row of a registered function; raises NotFound naming the nearest.

    A locked row is changed or deleted by nobody else until the transaction ends.
    """
    if identifier in BUILT_IN:
        return BUILT_IN[identifier], None
    rows = ScoringFunction.objects.select_for_update() if locked else ScoringFunction.objects.all()
    row = rows.filter(scoring_fn_id=identifier).first() if "\0" not in identifier else None
    if row is None or row.provider_scoring_fn_id not in BUILT_IN:
        known = [*BUILT_IN, *ScoringFunction.objects.values_list("scoring_fn_id", flat=True)]
        raise NotFound(f"Scoring function '{identifier}' not found{did_you_mean(identifier, known)}")
    return BUILT_IN[row.provider_scoring_fn_id], row


def merged(scorer: Scorer, levels: Sequence[Params | None], where: str) -> Params:
    """Return the function's parameters with each level's laid over them. Raises BadRequest."""
    values: Json = scorer.params.model_dump() if scorer.params is not None else {"type": scorer.takes[0]}
    for level in [one for one in levels if one is not None]:
        if level.type not in scorer.takes:
            takes = " or ".join(f"'{kind}'" for kind in scorer.takes)
            raise BadRequest(f"{where}: '{scorer.identifier}' takes parameters of type {takes}, not '{level.type}'")
        given = {name: value for name, value in level.model_dump(exclude_unset=True).items() if value is not None}
        values |= {name: one for name, one in given.items() if one or name not in EMPTY_MEANS_ABSENT}
        values["type"] = level.type
    kind = KINDS[values["type"]]
    try:
        params = kind.model_validate({name: value for name, value in values.items() if name in kind.model_fields})
    except ValidationError as error:
        raise BadRequest(f"{where}: '{scorer.identifier}' needs a judge_model and a prompt_template") from error
    _check(scorer, params, where)
    return params


def _check(scorer: Scorer, params: Params, where: str) -> None:
    for name in EXPRESSIONS:
        patterns = getattr(params, name, [])
        expressions.check_size(patterns, f"{where}.{name}")
        if scorer.most_expressions is not None and len(patterns) > scorer.most_expressions:
            raise BadRequest(f"{where}.{name}: '{scorer.identifier}' takes {scorer.most_expressions} at most")


def _resolved(name: str, given: Params | None, where: str) -> Resolved:
    scorer, row = find(name)
    if row is not None and not row.enabled:
        raise Conflict(f"Scoring function '{name}' is switched off. Switch it on on its page, or leave it out.")
    params = merged(scorer, [row.params if row is not None else None, given], where)
    embedding_model = _embedding_model() if scorer.without_vectors else None
    if scorer.asks_judge(has_vectors=embedding_model is not None):
        params = _judged(name, scorer, params, where)
    mark = row.fails_below if row is not None else None
    return Resolved(function=scorer.identifier, params=params, embedding_model=embedding_model, fails_below=mark)


def _judged(name: str, scorer: Scorer, params: Params, where: str) -> Params:
    """Return parameters that name who judges, which is checked, or chosen where nobody said."""
    if not isinstance(params, schemas.LLMAsJudgeScoringFnParams):
        return schemas.LLMAsJudgeScoringFnParams(
            judge_model=_default_judge(name), aggregation_functions=params.aggregation_functions
        )
    if scorer.needs_template and not params.prompt_template:
        raise BadRequest(f"{where}: '{scorer.identifier}' needs a prompt_template")
    _check_judge(params.judge_model, where)
    return params


def _check_judge(model_id: str, where: str) -> None:
    try:
        model = registry.named(model_id)
    except NotFound as error:
        raise NotFound(f"{error.detail} Name the judge by {where}.judge_model.") from error
    if model.model_type != "llm":
        raise BadRequest(f"{where}.judge_model: '{model_id}' is no chat model")


def _default_judge(name: str) -> str:
    model = chat.best_of(Model.objects.offered())
    if model is None:
        raise NotBuiltIn(f"'{name}' asks a model for its verdict, and there is none: add an inference provider.")
    return model.identifier


def _embedding_model() -> str | None:
    model = Model.objects.offered().embedder()
    return model.identifier if model is not None else None


def _judge(patience: Callable[[str], Patience]) -> Judge:
    known: dict[str, Patience] = {}  # by model: one may be dead and another live

    async def judge(model_id: str, prompt: str) -> str:
        patient = known.setdefault(model_id, patience(f"Judge '{model_id}'"))
        return await patient(lambda: candidates.judge(model_id, prompt))

    return judge


def _embed(model_id: str, patience: Callable[[str], Patience]) -> Embed:
    patient = patience(f"Model '{model_id}'")

    async def embed(texts: list[str]) -> list[list[float]]:
        target = await chat.find(model_id, "embedding")
        answer = await patient(lambda: chat.embed(target, {"input": texts}))
        spending.note(model_id, candidates.tokens_of(answer.get("usage"))[0], 0)
        return [row["embedding"] for row in answer["data"]]

    return embed


def built_in(scorer: Scorer) -> schemas.ScoringFn:
    """Return a built-in function as the API tells it."""
    return schemas.ScoringFn(
        identifier=scorer.identifier,
        provider_resource_id=scorer.identifier,
        provider_id=scorer.provider_id,
        description=scorer.description,
        return_type=schemas.ReturnType.model_validate({"type": scorer.return_type}),
        params=scorer.params,
    )


def told(row: ScoringFunction) -> schemas.ScoringFn:
    """Return a registered function as the API tells it; ``metadata`` has its pass mark, and that it is switched off."""
    metadata = {} if row.fails_below is None else {"fails_below": row.fails_below}
    return schemas.ScoringFn(
        identifier=row.scoring_fn_id,
        provider_resource_id=row.provider_scoring_fn_id,
        provider_id=row.provider_id,
        description=row.description,
        metadata=metadata if row.enabled else {**metadata, "enabled": False},
        return_type=schemas.ReturnType.model_validate(row.return_type),
        params=row.params,
    )
