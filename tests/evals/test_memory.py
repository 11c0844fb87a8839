"""Rows are held by the size of their texts: a few long ones take no more memory than many short ones."""

import tracemalloc
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from apps.evals import results
from apps.evals.models import Evaluation
from apps.evals.running.evaluating import Result
from apps.evals.running.storing import Keeper
from apps.evals.runs import export_views
from tests.evals import runs

MB = 1_000_000
MOST = 60 * MB  # half of what the rows' texts take together
JUDGE = "mine::judge"


@pytest.fixture
def run(transactional_db: None) -> Evaluation:
    """A run of 40 rows with a megabyte of question, answer and judge's words each."""
    long = "x" * MB
    rows = [{"question": f"{at}{long}", "answer": "a"} for at in range(40)]
    told = [{"score": 1.0, "judge_feedback": f"{at}{long}"} for at in range(40)]
    return runs.run(rows, [f"{at}{long}" for at in range(40)], {JUDGE: told})


def peak(work: Callable[[], Any]) -> int:
    """Return how much memory some work takes at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@async_to_sync
async def told(run: Evaluation) -> None:
    async for _ in results.told(run):
        pass


def test_adding_up_telling_and_exporting_long_rows_takes_little_memory(run: Evaluation) -> None:
    assert peak(lambda: results.sums(run.pk)) < MOST / 3
    assert peak(lambda: told(run)) < MOST
    for kind in export_views.KINDS:
        parts = export_views._parts(kind, run, run.rows.all())
        assert peak(partial(deque, parts, maxlen=0)) < MOST, kind


def test_rows_are_read_more_at_a_time_while_they_are_short(transactional_db: None) -> None:
    count = 3_000
    one = runs.run([runs.row("q")] * count, ["a"] * count, {JUDGE: [1.0] * count})

    sizes = [len(some) for some in results.parts(one.rows.all(), "row", "scores")]

    assert sum(sizes) == count and sizes[0] == results.FIRST and max(sizes) == results.MOST and len(sizes) < 13


def test_long_results_are_stored_before_many_wait() -> None:
    keeper: Any = Keeper(Evaluation(row_total=9), None, 0)  # type: ignore[arg-type]
    keeper.take(Result(0, "short", {"generated_answer": "short"}, {}))
    assert not keeper.is_due

    keeper.take(Result(1, "q" * 2 * MB, {"generated_answer": "a" * 2 * MB}, {}))

    assert keeper.is_due
