"""A dataset that is deleted, or loses rows, while a request scores it: no answer passes for the whole one."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from apps.core import db
from apps.datasets import rows as dataset_rows
from apps.datasets.models import Dataset
from apps.evals import scored
from tests import build

BODY = {"dataset_id": "qa", "scoring_functions": {"basic::equality": None}, "save_results_dataset": True}
ROWS = [{"expected_answer": "2", "generated_answer": "2"}] * 6
Meanwhile = Callable[[Callable[[], Awaitable[Any]]], None]


@pytest.fixture
async def meanwhile(api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Return what lets something happen when the first two of six rows are scored."""
    source = {"type": "rows", "rows": ROWS}
    await api.post("/v1beta/datasets", json={"purpose": "eval/messages-answer", "dataset_id": "qa", "source": source})
    monkeypatch.setattr(dataset_rows, "CHUNK_ROWS", 2)
    score = scored._scores

    def happens(what: Callable[[], Awaitable[Any]]) -> None:
        left = [what]

        async def scores(*given: Any) -> Any:
            found = await score(*given)
            if left:
                await left.pop()()
            return found

        monkeypatch.setattr(scored, "_scores", scores)

    return happens


async def test_a_dataset_nobody_touches_is_scored_whole(api: httpx2.AsyncClient, meanwhile: Meanwhile) -> None:
    answer = await api.post("/v1/scoring/score-batch", json=BODY)

    assert len(answer.json()["results"]["basic::equality"]["score_rows"]) == 6


async def test_a_dataset_that_is_deleted_is_not_found(api: httpx2.AsyncClient, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: api.delete("/v1beta/datasets/qa"))

    answer = await api.post("/v1/scoring/score-batch", json=BODY)

    assert answer.status_code == 404 and "'qa' not found" in answer.json()["detail"]
    assert not await db.read(Dataset.objects.exists)


async def test_a_dataset_that_loses_rows_is_refused(api: httpx2.AsyncClient, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: db.write(dataset_rows.delete_rows, "qa", [4], build.actor()))

    answer = await api.post("/v1/scoring/score-batch", json=BODY)

    assert answer.status_code == 409 and "Rows of dataset 'qa' were deleted" in answer.json()["detail"]
    assert await db.read(Dataset.objects.count) == 1


async def test_rows_added_meanwhile_are_left_out(api: httpx2.AsyncClient, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: db.write(dataset_rows.append_rows, "qa", ['{"generated_answer": "3"}'], build.actor()))

    answer = await api.post("/v1/scoring/score-batch", json=BODY)

    assert len(answer.json()["results"]["basic::equality"]["score_rows"]) == 6
