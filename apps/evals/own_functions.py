"""Scoring functions of one's own: registered, changed, switched off and on, deleted. Plain database work."""

from typing import Any

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core.errors import BadRequest, Conflict
from apps.core.ids import why_unfit
from apps.core.spec import did_you_mean
from apps.evals import calls, functions, schemas
from apps.evals.models import ScoringFunction
from apps.evals.scoring.base import Scorer
from apps.evals.scoring.catalog import BUILT_IN

KIND = "scoring_function"


def register(
    asked: schemas.RegisterScoringFunctionRequest, actor: Principal, fails_below: float | None = None
) -> ScoringFunction:
    """Store a function of one's own, with its pass mark if it has one, and return it; called inside a write.

    The same again is no change. Raises Conflict for an id that means something else, BadRequest for values that do not
    fit the built-in function behind it. Before it, the caller has the expressions checked.
    """
    name = asked.scoring_fn_id
    if wrong := why_unfit(name):
        raise BadRequest(f"scoring_fn_id: {wrong}")
    if name in BUILT_IN:
        raise Conflict(f"'{name}' is a built-in scoring function; choose another id.")
    scorer = _behind(asked)
    fields: dict[str, Any] = {
        "description": asked.description,
        "return_type": asked.return_type.model_dump(),
        "provider_id": scorer.provider_id,
        "provider_scoring_fn_id": scorer.identifier,
        "params": _params(scorer, asked),
    }
    if fails_below is not None:  # the API knows no pass mark: who registers the same by it leaves it as it is
        fields["fails_below"] = fails_below
    row, is_new = ScoringFunction.objects.get_or_create(
        scoring_fn_id=name, defaults={**fields, "created_by_id": actor.user_id}
    )
    if is_new:
        audit.note(actor, "create", KIND, name, function=scorer.identifier)
    elif any(getattr(row, field) != value for field, value in fields.items()):
        raise Conflict(f"Scoring function '{name}' exists with other content; delete it first, or choose another id.")
    return row


def change(
    asked: schemas.RegisterScoringFunctionRequest, actor: Principal, fails_below: float | None
) -> ScoringFunction:
    """Give a registered function this description, pass mark and parameters, and return it; called inside a write.

    Evaluations that were started keep the parameters they began with. Raises NotFound, Conflict for a built-in one,
    BadRequest for parameters that do not fit what runs. Before it, the caller has the expressions checked.
    """
    scorer, row = _own(asked.scoring_fn_id, "changed")
    fields = {"description": asked.description, "params": _params(scorer, asked), "fails_below": fails_below}
    changed = [name for name, value in fields.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, fields[name])
    if changed:
        row.save(update_fields=changed)
        audit.note(actor, "update", KIND, row.scoring_fn_id, changed=changed)
    return row


def switch(identifier: str, enabled: bool, actor: Principal) -> None:
    """Switch a registered function on, or off: then no new run and no request is scored by it.

    Called inside a write. Raises NotFound, and Conflict for a built-in one.
    """
    _, row = _own(identifier, "switched off")
    if row.enabled != enabled:
        row.enabled = enabled
        row.save(update_fields=["enabled"])
        audit.note(actor, "enable" if enabled else "disable", KIND, identifier)


def unregister(identifier: str, actor: Principal) -> None:
    """Delete a registered function; called inside a write. Raises NotFound, and Conflict for a built-in one."""
    _, row = _own(identifier, "deleted")
    row.delete()
    calls.forget(identifier)
    audit.note(actor, "delete", KIND, identifier)


def _own(identifier: str, done: str) -> tuple[Scorer, ScoringFunction]:
    scorer, row = functions.find(identifier, locked=True)
    if row is None:
        raise Conflict(f"'{identifier}' is a built-in scoring function and cannot be {done}.")
    return scorer, row


def _params(scorer: Scorer, asked: schemas.RegisterScoringFunctionRequest) -> schemas.ScoringFnParams | None:
    return functions.merged(scorer, [asked.params], "params") if asked.params is not None else scorer.params


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
