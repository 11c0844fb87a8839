"""Which scoring functions compare texts by their vectors, and which model makes those on this server."""

from collections.abc import Iterable

from apps.evals import schemas
from apps.inference.models import Model

# What each does where no model makes vectors.
WITHOUT = {
    "braintrust::answer-correctness": "facts alone count",
    "braintrust::answer-relevancy": "its judge says how relevant the answer is",
    "braintrust::answer-similarity": "its judge says how alike they are",
}


def words_of(functions: Iterable[schemas.ScoringFn]) -> dict[str, str]:
    """Return by its id, for each function that compares by vectors, whose they are; one query if there is one."""
    behind = {one.identifier: WITHOUT.get(str(one.provider_resource_id)) for one in functions}
    comparing = {name: without for name, without in behind.items() if without}
    if not comparing:
        return {}
    model = Model.objects.offered().embedder()
    if model is not None:
        return dict.fromkeys(comparing, f"Compares by the vectors of {model.identifier}.")
    return {
        name: f"There is no embedding model to compare texts by their vectors: {without}."
        for name, without in comparing.items()
    }
