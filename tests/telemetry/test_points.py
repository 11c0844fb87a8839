"""Points of metrics: the series they belong to, and many at once."""

import math

import pytest

from apps.telemetry.metrics import points
from apps.telemetry.metrics.points import Point
from apps.telemetry.models import MetricPoint, MetricSeries

pytestmark = pytest.mark.django_db


def point(value: float = 1.0, metric: str = "calls", unit: str = "calls", time_s: int = 100, **labels: str) -> Point:
    return Point(metric, labels, unit, time_s, value)


def test_points_of_equal_labels_share_a_series_whatever_the_order_of_the_labels() -> None:
    points.save([Point("calls", {"a": "1", "b": "2"}, "calls", 5, 1.0)])
    points.save([Point("calls", {"b": "2", "a": "1"}, "calls", 6, 2.0)])

    series = MetricSeries.objects.get()
    assert series.labels == [["a", "1"], ["b", "2"]]
    assert list(series.points.order_by("time_s").values_list("time_s", "value")) == [(5, 1.0), (6, 2.0)]


def test_another_unit_metric_or_label_is_another_series() -> None:
    points.save([point(), point(unit="s"), point(metric="other"), point(model="x"), point(model="y"), point()])

    assert MetricSeries.objects.count() == 5
    assert MetricPoint.objects.count() == 6


def test_what_no_column_holds_is_left_out_and_the_rest_is_kept() -> None:
    points.save([point(math.nan), point(math.inf), point(time_s=2**63), point(3.0)])

    assert [found.value for found in MetricPoint.objects.all()] == [3.0]


def test_names_that_no_database_takes_are_made_ones_it_takes() -> None:
    points.save([point(metric="m" * 400, unit="u" * 100, label="a\0b\ud800")])

    series = MetricSeries.objects.get()
    assert (len(series.metric), len(series.unit), series.labels) == (255, 63, [["label", "ab?"]])


def test_a_batch_of_many_series_costs_few_queries(django_assert_max_num_queries: object) -> None:
    batch = [point(float(number), series=str(number % 1000)) for number in range(4000)]

    with django_assert_max_num_queries(30):  # type: ignore[operator]
        points.save(batch)

    assert (MetricSeries.objects.count(), MetricPoint.objects.count()) == (1000, 4000)


def test_nothing_is_saved_from_nothing() -> None:
    points.save([])

    assert not MetricSeries.objects.exists()
