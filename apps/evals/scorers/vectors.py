"""Which scoring functions compare texts by their vectors, and which model makes those on this server."""

from collections.abc import Iterable

from apps.evals import schemas
from apps.evals.scoring.catalog import BUILT_IN
from apps.inference.models import Model


def words_of(functions: Iterable[schemas.ScoringFn]) -> dict[str, str]:
    """Return by its id, for each function that compares by vectors, whose they are; one query if there is one."""
    behind = {one.identifier: BUILT_IN.get(str(one.provider_resource_id)) for one in functions}
    comparing = {name: one.without_vectors for name, one in behind.items() if one and one.without_vectors}
    if not comparing:
        return {}
    model = Model.objects.offered().embedder()
    if model is not None:
        return dict.fromkeys(comparing, f"Compares by the vectors of {model.identifier}.")
    return {
        name: f"There is no embedding model to compare texts by their vectors: {without}."
        for name, without in comparing.items()
    }
