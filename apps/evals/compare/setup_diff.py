"""In what two runs differ before anything was scored: how the candidate is asked, which rows, how functions score."""

from collections.abc import Mapping
from typing import Any

from apps.core.content import text_of
from apps.evals.models import Evaluation
from apps.evals.schemas import ModelCandidate
from apps.inference.schemas import SamplingParams

LONGEST = 32  # characters of a value that is told


def words_of(base: Evaluation, other: Evaluation) -> list[str]:
    """Return what differs from the base, each in a few words: short values are told, of long ones the name only."""
    shared = [name for name in base.scoring if name in other.scoring]
    one, two = _told(base, shared), _told(other, shared)
    return [_words(name, one.get(name), two.get(name)) for name in {**one, **two} if one.get(name) != two.get(name)]


def _told(run: Evaluation, functions: list[str]) -> Mapping[str, Any]:
    candidate = run.config.eval_candidate
    if isinstance(candidate, ModelCandidate):
        said = candidate.system_message
        asked = {"model": candidate.model, "system message": [text_of(said.content)] if said else None}
        sampling: SamplingParams | None = candidate.sampling_params
    else:
        config = candidate.config.model_dump(mode="json", exclude_none=True, exclude={"sampling_params"})
        asked = {f"{name.replace('_', ' ')} of the agent": [value] for name, value in config.items() if value}
        sampling = candidate.config.sampling_params
    params = {
        f"{key.replace('_', ' ')} of {name}": value
        for name in functions
        for key, value in run.scoring[name]["params"].items()
    }
    return asked | _sampling(sampling) | {"dataset": run.dataset_id, "rows": run.row_total} | params


def _sampling(sampling: SamplingParams | None) -> dict[str, Any]:
    if sampling is None:
        return {}
    told = sampling.strategy.model_dump(exclude_none=True)
    if told.pop("type") == "greedy":
        told["temperature"] = 0.0
    set_ = sampling.model_dump(exclude_none=True, exclude={"strategy"})
    told |= {name: value for name, value in set_.items() if value}  # at most 0 tokens: no limit is set
    return {name.replace("_", " "): value for name, value in told.items()}


def _words(name: str, one: Any, two: Any) -> str:
    sides = [_value(side) for side in (one, two)]
    return name if None in sides else f"{name} {sides[0]} → {sides[1]}"


def _value(value: Any) -> str | None:
    """Return a value as it is told; None for one that is too long."""
    if value is None:
        return "not set"
    text = f"{value:,g}" if isinstance(value, int | float) else value if isinstance(value, str) else ""
    return text if 0 < len(text) <= LONGEST else None
