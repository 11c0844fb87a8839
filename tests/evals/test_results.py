"""What the rows of an evaluation come to together: the same however they are held, and in little memory."""

import tracemalloc
from typing import Any

import pytest

from apps.evals import results, spread
from apps.evals.models import EvaluatedRow
from tests.evals import made

pytestmark = pytest.mark.django_db
SCORES = ["A", "B", "!It is gone.", "A", "C", "A"]


@pytest.fixture(autouse=True)
def bench() -> None:
    """A benchmark to run."""
    made.dataset()
    made.benchmark()


@pytest.mark.parametrize("kinds", [0, 1, 2, 1_000])
def test_sums_are_the_same_however_many_alike_rows_are_held_once(kinds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    one = made.evaluation(SCORES, functions=["f", "g"])
    monkeypatch.setattr(results, "KINDS", kinds)

    told = results.sums(one.pk)

    assert (told["row_count"], told["failed_count"], told["input_tokens"], told["output_tokens"]) == (6, 1, 18, 24)
    assert told["spread"]["rows"] == 6 and told["spread"]["mean_ms"] == pytest.approx((20 + 21 + 23 + 24 + 25) / 5)
    for name in ("f", "g"):
        assert told["spread"]["functions"][name]["bars"] == [["A", 3], ["B", 1], ["C", 1]]
        assert told["aggregated"][name]["accuracy"]["num_total"] == 6


def test_many_rows_that_scored_alike_take_little_memory() -> None:
    one = made.evaluation([])
    scores = [
        '{"basic::equality": {"score": 1.0, "judge_feedback": "%s"}}' % ("word " * 50),
        '{"basic::equality": {"score": 0.0}}',
    ]
    rows = (
        EvaluatedRow(evaluation=one, position=at, row="{}", generation="{}", scores=scores[at % 2])
        for at in range(10_000)
    )
    EvaluatedRow.objects.bulk_create(rows, batch_size=2_000)
    results.sums(one.pk)

    tracemalloc.start()
    told = results.sums(one.pk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert told["spread"]["functions"]["basic::equality"]["scored"] == 10_000
    assert peak < 1_500_000  # a dictionary for each score would be 2.5 MB


def test_why_a_row_has_no_score_is_cut_before_it_is_added_up() -> None:
    long: dict[str, Any] = {"score": None, "error": "no " * 10_000}

    assert len(results.light(long)["error"]) == spread.LONGEST_WHY
