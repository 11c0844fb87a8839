"""Which scoring functions may not work: a dataset lacks their columns, or nobody on this server judges for them."""

from collections.abc import Sequence

from apps.core.fields import json_value
from apps.datasets import rows as dataset_rows
from apps.datasets.models import Dataset
from apps.evals.running import asked
from apps.evals.schemas import ScoringFn
from apps.evals.scorers.fields import must_bring
from apps.evals.scorers.health import Judges
from apps.evals.scoring.catalog import BUILT_IN

LOOKED_AT = 50  # rows that tell which columns a dataset has
FOUND = "context"  # no column of most datasets: what an agent found while it answered is one


def lacking(functions: Sequence[ScoringFn], dataset: Dataset | None) -> dict[str, str]:
    """Return by its id, for each function that reads columns none of the first rows has, which these are."""
    if dataset is None:
        return {}
    has = _columns(dataset)
    needed = {one.identifier: _needed(one) for one in functions}
    missing = {name: [column for column in columns if column not in has] for name, columns in needed.items()}
    return {name: _words(columns) for name, columns in missing.items() if columns}


def without_judge(functions: Sequence[ScoringFn]) -> dict[str, str]:
    """Return by its id, for each function whose judge this server does not have, who that is; one query."""
    judges = Judges()
    troubles = {one.identifier: judges.trouble(one) for one in functions}
    return {name: f"No judge. {why}" for name, (state, why) in troubles.items() if state == "no judge"}


def _columns(dataset: Dataset) -> set[str]:
    """Return the columns scoring functions find in the first rows, the answer that is to come among them."""
    found = {"generated_answer"}
    for text in dataset_rows.iterrows(dataset, 0, LOOKED_AT):
        found |= {name for name, value in asked.shown(json_value(text), {}).items() if value is not None}
    return found


def _needed(told: ScoringFn) -> tuple[str, ...]:
    """Return the columns a function reads; none of one that has no prompt yet, which is to name them."""
    scorer = BUILT_IN.get(str(told.provider_resource_id))
    return () if scorer is None or must_bring(told) else scorer.needed(told.params)


def _words(columns: list[str]) -> str:
    if columns == [FOUND]:
        return f"Needs the column {FOUND}, or an agent that finds it."
    return f"Needs the column{'s' if len(columns) > 1 else ''} {', '.join(columns)}."
