"""How scoring functions do: switched off, without a judge, with errors lately, never used, or well."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.evals import calls, schemas
from apps.evals.calls import Lately
from apps.evals.scoring.catalog import BUILT_IN
from apps.inference import chat
from apps.inference.models import Model
from apps.providers.models import Health as ProviderHealth


@dataclass(frozen=True)
class Health:
    """The state of one function as pages show it, why it is so, and its calls of the last 24 hours."""

    state: str
    lately: Lately
    why: str = ""


class Judges:
    """The chat models there are, and who of them judges for a function; one query."""

    def __init__(self) -> None:
        offered = list(Model.objects.offered())
        self._has_vectors = any(one.model_type == "embedding" for one in offered)
        self._models = [one for one in offered if one.model_type == "llm"]
        self._by_id = {one.identifier: one for one in self._models}
        self._named = Counter(one.provider_resource_id for one in self._models)

    def trouble(self, told: schemas.ScoringFn) -> tuple[str, str]:
        """Return a state and the reason when a function's judge cannot be asked, else two empty texts."""
        scorer = BUILT_IN[str(told.provider_resource_id)]
        wanted = getattr(told.params, "judge_model", "")
        if not scorer.asks_judge(self._has_vectors) or (scorer.needs_template and not wanted):
            return "", ""  # nobody judges, or each run brings its judge
        model = self._find(wanted) if wanted else chat.best_of(self._models)
        if model is None:
            return "no judge", f"There is no chat model '{wanted}'." if wanted else "There is no chat model."
        if model.provider.health == ProviderHealth.ERROR:
            return "judge away", f"Its judge {model.identifier}: {model.provider.health_error}"
        return "", ""

    def _find(self, name: str) -> Model | None:
        if name in self._by_id or self._named[name] != 1:
            return self._by_id.get(name)
        return next(one for one in self._models if one.provider_resource_id == name)


def of(functions: Sequence[schemas.ScoringFn]) -> Mapping[str, Health]:
    """Return the health of each function by its id; three queries, whatever their number."""
    judges, lately = Judges(), calls.lately([one.identifier for one in functions])
    return {one.identifier: _health(one, lately[one.identifier], judges) for one in functions}


def _health(told: schemas.ScoringFn, lately: Lately, judges: Judges) -> Health:
    if not told.is_enabled:
        return Health("disabled", lately)
    state, why = judges.trouble(told)
    if state:
        return Health(state, lately, why)
    if lately.failed:
        return Health("errors lately", lately, lately.error)
    return Health("ok" if lately.called_at else "never used", lately)
