"""What sets candidates of one name apart: how they are asked, in words, and everything about them as a fingerprint."""

import hashlib
import json
from typing import Any

from apps.core.content import text_of
from apps.evals import schemas
from apps.inference.schemas import SamplingParams

SAID = 80  # characters of a system message that are told
LONGEST = 255


def words_of(candidate: schemas.EvalCandidate) -> str:
    """Return how a candidate is asked beyond the usual: what it is told first, and its sampling; "" for the usual."""
    asked = candidate if isinstance(candidate, schemas.ModelCandidate) else candidate.config
    sampling: SamplingParams | None = asked.sampling_params
    return " · ".join([*_said(system_of(candidate)), *_sampling(sampling)])[:LONGEST]


def system_of(candidate: schemas.EvalCandidate) -> str:
    """Return what a candidate is told before each row: its system message, or an agent's instructions."""
    if isinstance(candidate, schemas.ModelCandidate):
        return text_of(candidate.system_message.content) if candidate.system_message else ""
    return candidate.config.instructions or ""


def fingerprint_of(candidate: schemas.EvalCandidate) -> str:
    """Return 16 characters that are the same for candidates that are asked the same way, and differ for others."""
    told = json.dumps(candidate.model_dump(mode="json", exclude_none=True), sort_keys=True)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _said(text: str) -> list[str]:
    words = " ".join(text.replace("\0", "").split())
    if not words:
        return []
    return [f"“{words}”" if len(words) <= SAID else f"“{words[: SAID - 1].rstrip()}…”"]


def _sampling(sampling: SamplingParams | None) -> list[str]:
    if sampling is None:
        return []
    told: dict[str, Any] = sampling.strategy.model_dump(exclude_none=True)
    kind = told.pop("type")
    parts = [] if kind == "greedy" else [f"{name.replace('_', ' ')} {_number(value)}" for name, value in told.items()]
    if sampling.max_tokens:
        parts.append(f"at most {sampling.max_tokens:,} tokens")
    if sampling.repetition_penalty != 1:
        parts.append(f"repetition penalty {sampling.repetition_penalty:g}")
    if sampling.stop:
        parts.append("stops early")
    return parts


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"  # whole ones may be larger than a float can be
