"""The one door to models: a model id becomes a target, a target answers.

What can be addressed is kept in memory: finding a model costs no query. Changes of this process are seen at once,
those of others within two seconds.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max

from apps.core import db
from apps.core.errors import BadRequest, NotFound
from apps.inference.catalog import CATALOG
from apps.inference.completions import Chunk
from apps.inference.models import Model
from apps.inference.providers.base import InferenceProvider
from apps.providers.instances import instance
from apps.providers.models import Provider

FRESH_S = 2.0
NAMED_IN_ERRORS = 12
PURPOSE = {"llm": "chat", "embedding": "embedding", "rerank": "reranking"}


@dataclass(frozen=True, slots=True)
class Target:
    """A model ready to be asked."""

    provider: InferenceProvider
    provider_id: str
    name: str
    identifier: str
    model_type: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Directory:
    stamp: Any
    rows: dict[str, Model]
    by_name: dict[str, list[Model]]
    looked_at: float


_known: _Directory | None = None
_changes = 0  # counts what this process changed, so that a directory read before a change is not kept after it


async def find(model_id: str, kind: str = "llm") -> Target:
    """Return the model of this id, or of this provider's own name when only one has it.

    Raises NotFound naming what exists, BadRequest when the model is of another kind, ProviderError when its provider
    is disabled or its settings cannot be used.
    """
    directory = await _directory()
    row = _resolve(directory, model_id)
    if row is None:
        directory = await _directory(again=True)
        row = _resolve(directory, model_id)
    if row is None:
        raise _unknown(directory, model_id, kind)
    if row.model_type != kind:
        raise BadRequest(f"Model '{row.identifier}' is for {PURPOSE[row.model_type]}, not for {PURPOSE[kind]}.")
    return Target(
        instance(row.provider), row.provider.provider_id, row.provider_resource_id, row.identifier, kind, row.metadata
    )


async def default() -> str | None:
    """Return the chat model to offer first: the best embedded one, else one of another provider; None without any."""
    best = best_of((await _directory()).rows.values())
    return best.identifier if best else None


def best_of(rows: Iterable[Model]) -> Model | None:
    """Return of some models the chat model to take when nobody has chosen; None when there is no chat model."""
    return min((row for row in rows if row.model_type == "llm"), key=_rank, default=None)


def stream(target: Target, body: dict[str, Any]) -> AsyncGenerator[Chunk]:
    """Return the chunks of the model's answer; close the iterator to cancel. Raises ProviderError while it runs."""
    return target.provider.chat({**body, "model": target.name})


async def complete(target: Target, body: dict[str, Any]) -> dict[str, Any]:
    """Return the model's whole answer; raises ProviderError."""
    return await target.provider.complete({**body, "model": target.name})


async def text_completion(target: Target, body: dict[str, Any]) -> dict[str, Any]:
    """Return how the model goes on with the text of ``body["prompt"]``; raises ProviderError, 404 when it cannot."""
    return await target.provider.text_completion({**body, "model": target.name})


async def embed(target: Target, body: dict[str, Any]) -> dict[str, Any]:
    """Return a vector for each text; raises ProviderError."""
    return await target.provider.embed({**body, "model": target.name})


def forget() -> None:
    """Look models up anew at the next call; whoever changes a model or a provider calls it."""
    global _known, _changes
    _changes += 1
    _known = None


async def _directory(*, again: bool = False) -> _Directory:
    global _known
    kept = _known
    if kept is not None and not again and time.monotonic() - kept.looked_at < FRESH_S:
        return kept
    before = _changes
    fresh = await asyncio.shield(db.read(_look, kept))
    if before == _changes:
        _known = fresh
    return fresh


def _look(kept: _Directory | None) -> _Directory:
    stamp = (
        Model.objects.aggregate(Max("updated_at"), Count("id")),
        Provider.objects.aggregate(Max("updated_at"), Count("id")),
    )
    now = time.monotonic()
    if kept is not None and kept.stamp == stamp:
        return _Directory(stamp, kept.rows, kept.by_name, now)
    rows = {row.identifier: row for row in Model.objects.offered()}
    by_name: dict[str, list[Model]] = {}
    for row in rows.values():
        by_name.setdefault(row.provider_resource_id, []).append(row)
    return _Directory(stamp, rows, by_name, now)


def _rank(row: Model) -> tuple[int, int]:
    """Order chat models for who has not chosen: the demo model only when nothing else is there."""
    names = [weights.name for weights in CATALOG]
    if row.is_demo:
        return len(names) + 1, row.pk
    embedded = row.provider.provider_type == "inline::llama-cpp" and row.provider_resource_id in names
    return names.index(row.provider_resource_id) if embedded else len(names), row.pk


def _resolve(directory: _Directory, model_id: str) -> Model | None:
    if model_id in directory.rows:
        return directory.rows[model_id]
    named = directory.by_name.get(model_id, [])
    return named[0] if len(named) == 1 else None


def _unknown(directory: _Directory, model_id: str, kind: str) -> NotFound:
    several = [row.identifier for row in directory.by_name.get(model_id, [])]
    if several:
        return NotFound(f"Model '{model_id}' is offered by several providers; name one of: {', '.join(several)}.")
    names = [row.identifier for row in directory.rows.values() if row.model_type == kind]
    more = f" and {len(names) - NAMED_IN_ERRORS} more" if len(names) > NAMED_IN_ERRORS else ""
    shown = f"{', '.join(names[:NAMED_IN_ERRORS])}{more}" if names else "none"
    return NotFound(f"Model '{model_id}' not found. Models for {PURPOSE[kind]}: {shown}.")
