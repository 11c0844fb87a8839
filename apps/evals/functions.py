"""Which scoring functions there are, built-in and registered, and what a run of one is told. Plain database work."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core.errors import BadRequest, Conflict, NotBuiltIn, NotFound
from apps.core.spec import SpecModel, did_you_mean
from apps.evals import candidates, schemas
from apps.evals.models import ScoringFunction
from apps.evals.patience import Patience
from apps.evals.scoring import expressions
from apps.evals.scoring.base import KINDS, Embed, Json, Judge, Scorer, aggregate
from apps.evals.scoring.catalog import BUILT_IN
from apps.evals.scoring.running import Scorers
from apps.inference import chat, registry
from apps.inference.models import Model

Params = schemas.ScoringFnParams
LONGEST_ID = 255
UNUSABLE = re.compile(r"[\0-\x1f\x7f?#]|^\s|\s$")
EMPTY_MEANS_ABSENT = ("parsing_regexes", "judge_score_regexes", "judge_model")


class Resolved(SpecModel):
    """What one function of a run is: the built-in one behind it, its parameters, and who may make vectors for it."""

    function: str
    params: Params
    embedding_model: str | None = None


def listed() -> list[schemas.ScoringFn]:
    """Return every function, built-in ones first."""
    return [_built_in(scorer) for scorer in BUILT_IN.values()] + [_told(row) for row in ScoringFunction.objects.all()]


def named(identifier: str) -> schemas.ScoringFn:
    """Return a function as the API tells it; raises NotFound naming the nearest."""
    scorer, row = _find(identifier)
    return _told(row) if row is not None else _built_in(scorer)


def register(asked: schemas.RegisterScoringFunctionRequest, actor: Principal) -> ScoringFunction:
    """Store a function of one's own and return it; called inside a write.

    The same again is no change. Raises Conflict for an id that means something else, BadRequest for values that do not
    fit the built-in function behind it.
    """
    name = asked.scoring_fn_id
    if not name.strip() or len(name) > LONGEST_ID or UNUSABLE.search(name):
        raise BadRequest(f"scoring_fn_id: must be 1 to {LONGEST_ID} characters, none of them '?', '#' or a control one")
    if name in BUILT_IN:
        raise Conflict(f"'{name}' is a built-in scoring function; choose another id.")
    scorer = _behind(asked)
    fields = {
        "description": asked.description,
        "return_type": asked.return_type.model_dump(),
        "provider_id": scorer.provider_id,
        "provider_scoring_fn_id": scorer.identifier,
        "params": _merged(scorer, [asked.params], "params") if asked.params is not None else scorer.params,
    }
    row, is_new = ScoringFunction.objects.get_or_create(
        scoring_fn_id=name, defaults={**fields, "created_by_id": actor.user_id}
    )
    if is_new:
        audit.note(actor, "create", "scoring_function", name, function=scorer.identifier)
    elif any(getattr(row, field) != value for field, value in fields.items()):
        raise Conflict(f"Scoring function '{name}' exists with other content; delete it first, or choose another id.")
    return row


def unregister(identifier: str, actor: Principal) -> None:
    """Delete a registered function; raises NotFound, and Conflict for a built-in one."""
    _, row = _find(identifier)
    if row is None:
        raise Conflict(f"'{identifier}' is a built-in scoring function and cannot be deleted.")
    row.delete()
    audit.note(actor, "delete", "scoring_function", identifier)


def resolved(
    names: Sequence[str], given: Mapping[str, Params | None], where: str = "scoring_params"
) -> dict[str, Resolved]:
    """Return what each function of a run is, its own parameters overridden by those given; reads the database.

    Raises NotFound for an unknown function or judge, BadRequest for parameters that do not fit, NotBuiltIn when a
    judge is needed and there is no model.
    """
    unknown = [name for name in given if name not in names]
    if unknown:
        raise BadRequest(
            f"{where}: '{unknown[0]}' is none of the functions of this run{did_you_mean(unknown[0], names)}"
        )
    return {name: _resolved(name, given.get(name), f"{where}.{name}") for name in names}


def scorers(scoring: Mapping[str, Any]) -> Scorers:
    """Return what ``resolved`` answered, kept as JSON meanwhile, ready to score rows."""
    kept = {name: Resolved.model_validate(one) for name, one in scoring.items()}
    models = {one.embedding_model for one in kept.values() if one.embedding_model}
    return Scorers(
        {name: (BUILT_IN[one.function], one.params) for name, one in kept.items()},
        _judge(),
        _embed(min(models)) if models else None,
    )


def aggregated(scoring: Mapping[str, Any], scores: Mapping[str, Sequence[Json]]) -> dict[str, Json]:
    """Return what the score rows of each function come to, by the aggregations of its parameters."""
    return {name: aggregate(scores[name], scoring[name]["params"]["aggregation_functions"]) for name in scoring}


def _find(identifier: str) -> tuple[Scorer, ScoringFunction | None]:
    if identifier in BUILT_IN:
        return BUILT_IN[identifier], None
    row = ScoringFunction.objects.filter(scoring_fn_id=identifier).first() if "\0" not in identifier else None
    if row is None or row.provider_scoring_fn_id not in BUILT_IN:
        known = [*BUILT_IN, *ScoringFunction.objects.values_list("scoring_fn_id", flat=True)]
        raise NotFound(f"Scoring function '{identifier}' not found{did_you_mean(identifier, known)}")
    return BUILT_IN[row.provider_scoring_fn_id], row


def _behind(asked: schemas.RegisterScoringFunctionRequest) -> Scorer:
    """Return the built-in function a registered one runs: the one it names, else the usual one for its parameters."""
    usual = {"llm_as_judge": "llm-as-judge::base", "regex_parser": "basic::regex_parser_multiple_choice_answer"}
    wanted = asked.provider_scoring_fn_id
    if wanted in (None, asked.scoring_fn_id):
        wanted = usual.get(asked.params.type) if asked.params is not None else None
        if wanted is None:
            raise BadRequest("provider_scoring_fn_id: name the built-in function that is to run, as 'basic::equality'")
    scorer = BUILT_IN.get(str(wanted))
    if scorer is None:
        raise BadRequest(
            f"provider_scoring_fn_id: no built-in function is '{wanted}'{did_you_mean(str(wanted), BUILT_IN)}"
        )
    if asked.provider_id not in (None, scorer.provider_id):
        raise BadRequest(f"provider_id: '{scorer.identifier}' is of provider '{scorer.provider_id}'")
    return scorer


def _merged(scorer: Scorer, levels: Sequence[Params | None], where: str) -> Params:
    """Return the function's parameters with each level's laid over them; checked. Raises BadRequest."""
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
    for name in ("parsing_regexes", "judge_score_regexes"):
        patterns = getattr(params, name, [])
        expressions.check(patterns, f"{where}.{name}")
        if scorer.most_expressions is not None and len(patterns) > scorer.most_expressions:
            raise BadRequest(f"{where}.{name}: '{scorer.identifier}' takes {scorer.most_expressions} at most")


def _resolved(name: str, given: Params | None, where: str) -> Resolved:
    scorer, row = _find(name)
    params = _merged(scorer, [row.params if row is not None else None, given], where)
    if not scorer.asks_a_model:
        return Resolved(function=scorer.identifier, params=params)
    if isinstance(params, schemas.LLMAsJudgeScoringFnParams):
        if scorer.needs_template and not params.prompt_template:
            raise BadRequest(f"{where}: '{scorer.identifier}' needs a prompt_template")
        _check_judge(params.judge_model, where)
    else:
        params = schemas.LLMAsJudgeScoringFnParams(
            judge_model=_default_judge(name), aggregation_functions=params.aggregation_functions
        )
    return Resolved(function=scorer.identifier, params=params, embedding_model=_embedding_model())


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
    model = Model.objects.offered().filter(model_type="embedding").first()
    return model.identifier if model is not None else None


def _judge() -> Judge:
    patience: defaultdict[str, Patience] = defaultdict(Patience)  # by model: one may be dead and another live

    async def judge(model_id: str, prompt: str) -> str:
        return await patience[model_id](lambda: candidates.judge(model_id, prompt))

    return judge


def _embed(model_id: str) -> Embed:
    patience = Patience()

    async def embed(texts: list[str]) -> list[list[float]]:
        target = await chat.find(model_id, "embedding")
        answer = await patience(lambda: chat.embed(target, {"input": texts}))
        return [row["embedding"] for row in answer["data"]]

    return embed


def _built_in(scorer: Scorer) -> schemas.ScoringFn:
    return schemas.ScoringFn(
        identifier=scorer.identifier,
        provider_resource_id=scorer.identifier,
        provider_id=scorer.provider_id,
        description=scorer.description,
        return_type=schemas.ReturnType.model_validate({"type": scorer.return_type}),
        params=scorer.params,
    )


def _told(row: ScoringFunction) -> schemas.ScoringFn:
    return schemas.ScoringFn(
        identifier=row.scoring_fn_id,
        provider_resource_id=row.provider_scoring_fn_id,
        provider_id=row.provider_id,
        description=row.description,
        return_type=schemas.ReturnType.model_validate(row.return_type),
        params=row.params,
    )
