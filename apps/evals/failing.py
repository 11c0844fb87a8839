"""Rows of an evaluation that went badly: which they are, and how they become rows of a dataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from apps.accounts.principals import Principal
from apps.core.errors import ConsoleError
from apps.datasets import purposes, registry, rows, schemas
from apps.datasets.models import Dataset, Purpose, Row
from apps.evals import spread
from apps.evals.models import EvaluatedRow, Evaluation

Json = dict[str, Any]
CHUNK = 500
MOST = 50_000
LOOKED_BACK = 50_000  # rows of a dataset in which an earlier copy is looked for
ERROR, LOW = "error", "low"


@dataclass(frozen=True, slots=True)
class Failing:
    """What makes a row a failing one: no answer, a score below a number, or a verdict (``function=verdict``)."""

    which: str
    below: float = 0.5

    def rows(self, evaluation: Evaluation) -> Iterator[EvaluatedRow]:
        """Yield them in their order."""
        found = EvaluatedRow.objects.filter(evaluation=evaluation.pk).order_by("position")
        if self.which == ERROR:
            found = found.exclude(error="")
        elif self.which == LOW:
            found = found.filter(worst__lt=self.below)
        else:
            found = found.filter(error="")
        name, _, verdict = self.which.rpartition("=")
        for row in found.iterator(CHUNK):
            if not name or _verdict(row, name) == verdict:
                yield row


def _verdict(row: EvaluatedRow, name: str) -> str:
    score = (from_json(row.scores).get(name) or {}).get("score")
    return "" if score is None else str(score)[: spread.LONGEST_LABEL]


def choices(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return the ways to say which rows fail that mean something for this evaluation."""
    lies = evaluation.spread.get("functions", {})
    found = [(LOW, "With a score below a number, or without an answer"), (ERROR, "Without an answer")]
    for name, one in lies.items():
        if not one.get("is_number"):
            found += [(f"{name}={label}", f"{name} said {label}") for label, _ in one.get("bars", [])]
    return found


def usual_below(evaluation: Evaluation) -> float:
    """Return the number under which a score is low if nobody says: the middle of what was scored, 0.5 for shares."""
    told = [one for one in evaluation.spread.get("functions", {}).values() if "high" in one]
    high = max((one["high"] for one in told), default=1.0)
    low = min((one["low"] for one in told), default=0.0)
    return 0.5 if 0 <= low <= high <= 1 else round((low + high) / 2, 4)


def fitting(some: list[EvaluatedRow]) -> list[str]:
    """Return the purposes these rows are fit for."""
    values = [from_json(row.row) for row in some]
    return [str(one) for one in Purpose if all(purposes.problem(one, value) is None for value in values)]


@dataclass
class Added:
    """What became of failing rows: how many went to which dataset, and how many were left out."""

    dataset: Dataset
    rows: int = 0
    left_out: int = 0

    def chunks(self, evaluation: Evaluation, failing: Failing) -> Iterator[tuple[list[str], list[Json]]]:
        """Yield texts and origins of the rows that are not there yet and fit; raises ConsoleError for too many."""
        known = _kept(self.dataset, evaluation.job.job_id)
        texts: list[str] = []
        origins: list[Json] = []
        for row in failing.rows(evaluation):
            if row.position + 1 in known or purposes.problem(self.dataset.purpose, from_json(row.row)):
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
    evaluation: Evaluation, failing: Failing, into: Dataset | None, name: str, purpose: str, actor: Principal
) -> Added:
    """Add the rows to a dataset, a new one if none is given, and return what was done; called inside a write.

    Rows that are in it already from this evaluation are left out. Raises ConsoleError when nothing is left.
    """
    added = Added(into or _new(name, purpose, actor))
    about = f"run {evaluation.pk} of {evaluation.benchmark_id}"
    source = rows.Source("evaluation", about[:200])
    chunks = added.chunks(evaluation, failing)
    added.dataset = rows.append_chunks(added.dataset.dataset_id, chunks, actor, source)
    if not added.rows:
        out = added.left_out
        why = f"{out:,} are in it already, or do not fit it." if out else "No row of this run fails so."
        raise ConsoleError(f"Nothing was added: {why}", status=409)
    return added


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
