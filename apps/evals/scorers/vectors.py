"""Which model makes vectors for the scoring functions that compare texts by them, and how that is said."""

from collections.abc import Iterable

from apps.evals import schemas
from apps.evals.scoring.base import Scorer
from apps.evals.scoring.catalog import BUILT_IN
from apps.inference.models import Model


def model_for(scorers: Iterable[Scorer]) -> Model | None:
    """Return the model that makes vectors for those of the functions that compare by them; one query if one does."""
    return Model.objects.offered().embedder() if any(one.without_vectors for one in scorers) else None


def words_of(functions: Iterable[schemas.ScoringFn]) -> dict[str, str]:
    """Return by its id, for each function that compares by vectors, whose they are; one query if there is one."""
    behind = {one.identifier: BUILT_IN.get(str(one.provider_resource_id)) for one in functions}
    comparing = {name: one for name, one in behind.items() if one and one.without_vectors}
    if (model := model_for(comparing.values())) is not None:
        return dict.fromkeys(comparing, f"Compares by the vectors of {model.identifier}.")
    return {
        name: f"There is no embedding model to compare texts by their vectors: {one.without_vectors}."
        for name, one in comparing.items()
    }
