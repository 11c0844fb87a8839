"""Rows scored by several functions at once."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from apps.evals import schemas
from apps.evals.scoring.base import Embed, Json, Judge, Scorer, score


@dataclass(frozen=True, slots=True)
class Scorers:
    """Functions made ready for a run, by the name they were asked for, and whom they may ask."""

    functions: Mapping[str, tuple[Scorer, schemas.ScoringFnParams]]
    judge: Judge
    embed: Embed | None = None

    @property
    def ask_a_model(self) -> bool:
        """Whether scoring a row costs a call of a model."""
        return any(scorer.asks_a_model for scorer, _ in self.functions.values())

    async def score(self, row: Json) -> dict[str, Json]:
        """Return each function's score row of a row; never raises for what is in it."""
        rows = await asyncio.gather(
            *(score(scorer, row, params, self.judge, self.embed) for scorer, params in self.functions.values())
        )
        return dict(zip(self.functions, rows, strict=True))

    async def score_rows(self, rows: Iterable[Json], at_once: int) -> list[dict[str, Json]]:
        """Return the scores of rows in their order; a few rows are scored at the same time."""
        coming: Iterator[tuple[int, Json]] = enumerate(rows)
        found: dict[int, dict[str, Json]] = {}

        async def work() -> None:
            for number, row in coming:
                found[number] = await self.score(row)
                await asyncio.sleep(0)  # what is scored without waiting must not keep others waiting

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
        return [found[number] for number in range(len(found))]
