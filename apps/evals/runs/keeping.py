"""How rows of an evaluation become rows of a dataset: those that fit it, each once, with the run they came from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from apps.accounts.principals import Principal
from apps.core.errors import ConsoleError
from apps.core.fields import json_value
from apps.datasets import purposes, registry, rows, schemas
from apps.datasets.models import Dataset, Purpose, Row
from apps.evals.models import EvaluatedRow, Evaluation

Json = dict[str, Any]
CHUNK = 500
MOST = 50_000
LOOKED_BACK = 50_000  # rows of a dataset in which an earlier copy is looked for


class Chosen(Protocol):
    """The rows of an evaluation that are meant."""

    def rows(self, evaluation: Evaluation) -> Iterator[EvaluatedRow]:
        """Yield them in their order."""

    def look(self, evaluation: Evaluation, most: int) -> tuple[int, list[EvaluatedRow]]:
        """Return how many they are, and the first of them."""


@dataclass
class Added:
    """What became of the rows: how many went to which dataset, and how many were left out."""

    dataset: Dataset
    rows: int = 0
    left_out: int = 0

    def chunks(self, evaluation: Evaluation, chosen: Chosen) -> Iterator[tuple[list[str], list[Json]]]:
        """Yield texts and origins of the rows that are not there yet and fit; raises ConsoleError for too many."""
        known = _kept(self.dataset, evaluation.job.job_id)
        texts: list[str] = []
        origins: list[Json] = []
        for row in chosen.rows(evaluation):
            if row.position + 1 in known or purposes.problem(self.dataset.purpose, json_value(row.row)):
                self.left_out += 1
                continue
            texts.append(row.row)
            origins.append(_origin(evaluation, row))
            self.rows += 1
            if self.rows > MOST:
                raise ConsoleError(f"At most {MOST:,} rows are added at once. Choose fewer.", status=413)
            if len(texts) == CHUNK:
                yield texts, origins
                texts, origins = [], []
        if texts:
            yield texts, origins


def keep(
    evaluation: Evaluation, chosen: Chosen, into: Dataset | None, name: str, purpose: str, actor: Principal
) -> Added:
    """Add the rows to a dataset, a new one if none is given, and return what was done; called inside a write.

    Rows that are in it already from this evaluation are left out. Raises Conflict when a dataset of this name exists,
    ConsoleError when nothing is left.
    """
    added = Added(into or _new(name, purpose, actor))
    about = f"run {evaluation.pk} of {evaluation.benchmark_id}"
    source = rows.Source("evaluation", about[:200])
    chunks = added.chunks(evaluation, chosen)
    added.dataset = rows.append_chunks(added.dataset.dataset_id, chunks, actor, source)
    if not added.rows:
        out = added.left_out
        why = f"{out:,} are in it already, or do not fit it." if out else "No row of this run fails so."
        raise ConsoleError(f"Nothing was added: {why}", status=409)
    return added


def fitting(some: list[EvaluatedRow]) -> list[str]:
    """Return the purposes these rows are fit for."""
    values = [json_value(row.row) for row in some]
    return [str(one) for one in Purpose if all(purposes.problem(one, value) is None for value in values)]


def _origin(evaluation: Evaluation, row: EvaluatedRow) -> Json:
    told = {"kind": "evaluation", "job_id": evaluation.job.job_id, "row": row.position + 1, "trace_id": row.trace_id}
    return {name: value for name, value in told.items() if value}


def _kept(dataset: Dataset, job_id: str) -> set[int]:
    """Return the numbers of the rows of this evaluation the dataset holds."""
    end = dataset.next_position
    near = Row.objects.filter(dataset_id=dataset.pk, position__gte=end - LOOKED_BACK, position__lt=end)
    origins = near.filter(origin__contains=f'"{job_id}"').values_list("origin", flat=True)
    return {int(one["row"]) for one in origins if isinstance(one, dict) and one.get("kind") == "evaluation"}


def _new(name: str, purpose: str, actor: Principal) -> Dataset:
    asked = schemas.RegisterDatasetRequest.model_validate(
        {"purpose": purpose, "source": schemas.RowsDataSource(rows=[]), "dataset_id": name or None}
    )
    return registry.register_rows(registry.Request(asked, [], []), actor)
