"""The five aggregations, counted by hand."""

from typing import Any

import pytest

from apps.evals.scoring.base import AGGREGATIONS, aggregate

Rows = list[dict[str, Any]]


def of(*scores: Any) -> Rows:
    return [{"score": score} for score in scores]


CASES: list[tuple[str, Rows, Any]] = [
    ("accuracy", of(1.0, 0.0, 1.0, None), {"accuracy": 0.5, "num_correct": 2.0, "num_total": 4}),
    ("accuracy", [], {"accuracy": None, "num_correct": 0.0, "num_total": 0}),
    ("accuracy", of("1", "no"), {"accuracy": 0.5, "num_correct": 1.0, "num_total": 2}),
    ("average", of(1, 0.5, None), {"average": 0.75}),
    ("average", of("7", " 8 ", "high"), {"average": 7.5}),
    ("average", of(None, None), {"average": None}),
    ("average", [], {"average": None}),
    ("weighted_average", [{"score": 1.0, "weight": 3}, {"score": 0.0}], {"weighted_average": 0.75}),
    ("weighted_average", [{"score": 1.0, "weight": 0}], {"weighted_average": None}),
    ("weighted_average", [{"score": None, "weight": 9}, {"score": 0.5, "weight": 1}], {"weighted_average": 0.5}),
    ("weighted_average", [], {"weighted_average": None}),
    ("median", of(3, 1, None, 2), {"median": 2}),
    ("median", of("4", 1), {"median": 2.5}),
    ("median", of("x"), {"median": None}),
    ("categorical_count", of("B", "A", "B", None), {"categorical_count": {"A": 1, "B": 2}}),
    ("categorical_count", of(1.0, 0.0, 1.0), {"categorical_count": {"0.0": 1, "1.0": 2}}),
    ("categorical_count", of(True, "true"), {"categorical_count": {"true": 2}}),
    ("categorical_count", of("a" * 300, "a" * 400), {"categorical_count": {"a" * 199 + "…": 2}}),
    ("categorical_count", [], {"categorical_count": {}}),
    ("average", of(float("nan"), float("inf"), "nan", 1), {"average": 1}),
    ("average", of([1], {"a": 1}, 2), {"average": 2}),
    ("average", [{}, {"error": "none"}, {"score": 2}], {"average": 2}),
    ("accuracy", of(10**400, 1), {"accuracy": 0.5, "num_correct": 1.0, "num_total": 2}),
]


@pytest.mark.parametrize(("name", "rows", "wanted"), CASES)
def test_scores_come_to(name: str, rows: Rows, wanted: Any) -> None:
    assert aggregate(rows, [name]) == {name: wanted}


def test_none_asked_for_is_none_and_order_is_kept() -> None:
    assert aggregate(of(1), []) == {}
    assert list(aggregate(of(1), ["median", "accuracy"])) == ["median", "accuracy"]
    assert set(AGGREGATIONS) == {"accuracy", "average", "weighted_average", "median", "categorical_count"}
