"""What a metric says: windows, buckets, matchers, and what hostile questions cost."""

import time
from typing import Any

import pytest
from django.db import connection

from apps.core.errors import BadRequest
from apps.telemetry import schemas
from apps.telemetry.metrics import points, series
from apps.telemetry.metrics.points import Point

pytestmark = pytest.mark.django_db
START = 1_700_000_000  # a multiple of 100 s, not of an hour


def given(*told: tuple[int, float], metric: str = "tokens", unit: str = "tokens", **labels: str) -> None:
    points.save([Point(metric, labels, unit, START + offset, value) for offset, value in told])


def asked(metric: str = "tokens", **fields: Any) -> list[schemas.MetricSeries]:
    request = {"start_time": START, "end_time": START + 100_000, "query_type": "range", **fields}
    return series.query(metric, schemas.QueryMetricsRequest.model_validate(request))


def values(found: list[schemas.MetricSeries]) -> list[list[tuple[int, float]]]:
    return [[(point.timestamp - START, point.value) for point in one.values] for one in found]


def matched(name: str, value: str, operator: str) -> set[str]:
    matcher = {"name": name, "value": value, "operator": operator}
    found = asked(label_matchers=[matcher])
    return {next((label.value for label in one.labels if label.name == "model"), "") for one in found}


def test_a_range_tells_every_point_in_order_of_time_with_both_ends_included() -> None:
    given((500, 3.0), (0, 1.0), (100, 2.0), (-1, 9.0), (501, 9.0), model="a")

    [found] = asked(end_time=START + 500)

    assert [(point.timestamp, point.value, point.unit) for point in found.values] == [
        (START, 1.0, "tokens"), (START + 100, 2.0, "tokens"), (START + 500, 3.0, "tokens"),
    ]  # fmt: skip
    assert (found.metric, [(one.name, one.value) for one in found.labels]) == ("tokens", [("model", "a")])


@pytest.mark.parametrize(("granularity", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86400)])
def test_buckets_begin_at_multiples_since_1970_and_empty_ones_are_left_out(granularity: str, seconds: int) -> None:
    told = [(0, 1.0), (10, 2.0), (seconds, 4.0), (5 * seconds, 8.0)]
    given(*told)
    expected: dict[int, float] = {}
    for offset, value in told:
        bucket = (START + offset) // seconds * seconds
        expected[bucket] = expected.get(bucket, 0) + value

    [found] = asked(granularity=granularity, end_time=START + 10 * seconds)

    assert {point.timestamp: point.value for point in found.values} == expected
    assert [point.timestamp for point in found.values] == sorted(expected)


def test_a_week_begins_where_the_epoch_began_one() -> None:
    given((0, 1.0))

    [found] = asked(granularity="1w")

    assert found.values[0].timestamp == START // 604_800 * 604_800


def test_buckets_before_1970_are_aligned_too() -> None:
    points.save([Point("tokens", {}, "", -1, 1.0), Point("tokens", {}, "", -60, 2.0), Point("tokens", {}, "", -61, 4)])

    [found] = asked(start_time=-1000, end_time=0, granularity="1m")

    assert [(point.timestamp, point.value) for point in found.values] == [(-120, 4.0), (-60, 3.0)]


def test_an_instant_is_one_sum_of_the_window_at_its_end() -> None:
    given((0, 1.0), (50, 2.0), (99_999, 4.0), model="a")
    given((70, 8.0), model="b")

    assert values(asked(query_type="instant")) == [[(100_000, 7.0)], [(100_000, 8.0)]]
    assert values(asked(query_type="instant", granularity="1h")) == [[(100_000, 7.0)], [(100_000, 8.0)]]


def test_without_an_end_the_window_ends_now() -> None:
    points.save([Point("tokens", {}, "", int(time.time()) - 5, 1.0), Point("tokens", {}, "", 2**40, 1.0)])

    [found] = series.query("tokens", schemas.QueryMetricsRequest(start_time=0, query_type="instant"))

    assert found.values[0].value == 1.0
    assert abs(found.values[0].timestamp - time.time()) < 5


def test_each_set_of_labels_and_each_unit_is_a_series_of_its_own() -> None:
    given((0, 1.0), model="a")
    given((0, 2.0), model="a", agent="x")
    given((0, 4.0), model="a", unit="s")

    found = asked()

    assert [({one.name: one.value for one in each.labels}, each.values[0].unit) for each in found] == [
        ({"agent": "x", "model": "a"}, "tokens"), ({"model": "a"}, "s"), ({"model": "a"}, "tokens"),
    ]  # fmt: skip


def test_an_unknown_metric_and_an_empty_window_tell_nothing() -> None:
    given((0, 1.0))

    assert asked("other") == []
    assert asked(start_time=START + 1, query_type="instant") == []
    assert asked(start_time=START + 1, granularity="1h") == []


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("=", "a", {"a"}),
        ("=", "", {""}),
        ("!=", "a", {"ab", "b.c", ""}),
        ("=~", "a", {"a"}),
        ("=~", "a.*", {"a", "ab"}),
        ("=~", "b|ab", {"ab"}),
        ("=~", ".*", {"a", "ab", "b.c", ""}),
        ("!~", "a.*", {"b.c", ""}),
        ("!~", ".+", {""}),
        ("=", "b.c", {"b.c"}),
        ("=~", r"b\.c", {"b.c"}),
    ],
)
def test_matchers_follow_the_rule_of_prometheus(operator: str, value: str, expected: set[str]) -> None:
    for model in ("a", "ab", "b.c"):
        given((0, 1.0), model=model)
    given((0, 1.0), agent="x")

    assert matched("model", value, operator) == expected


def test_several_matchers_must_all_fit() -> None:
    given((0, 1.0), model="a", agent="x")
    given((0, 2.0), model="a", agent="y")

    both = [{"name": "model", "value": "a"}, {"name": "agent", "value": "x|z", "operator": "=~"}]

    assert values(asked(label_matchers=both)) == [[(0, 1.0)]]


@pytest.mark.parametrize("pattern", ["(a", "a{1000}{1000}", "(?=x)", r"(a)\1", "*", "[z-a]", "((a{100}){100}){100}"])
def test_a_bad_pattern_is_refused_in_words(pattern: str) -> None:
    given((0, 1.0), model="a")

    with pytest.raises(BadRequest, match="cannot be read"):
        matched("model", pattern, "=~")


def test_a_pattern_that_explodes_elsewhere_costs_nothing() -> None:
    given((0, 1.0), model="a" * 900 + "!")
    begun = time.thread_time()

    assert matched("model", "(a|a)*(a+)+(a*)*b", "=~") == set()

    assert time.thread_time() - begun < 1.0


@pytest.mark.parametrize(
    "granularity", ["", "5", "m", "0s", "-1m", "1y", "5 m", "1m ", "1.5h", "٣m", "1M", "1" * 15 + "s"]
)
def test_a_granularity_that_is_none_is_refused(granularity: str) -> None:
    with pytest.raises(BadRequest, match="granularity"):
        asked(granularity=granularity)


def test_a_window_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(BadRequest, match="end_time is before start_time"):
        asked(end_time=START - 1)


def test_an_answer_of_too_many_points_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    given(*((offset, 1.0) for offset in range(6)), model="a")
    given(*((offset, 1.0) for offset in range(6)), model="b")
    monkeypatch.setattr(series, "MOST_POINTS", 11)

    for fields in ({}, {"granularity": "1s"}):
        with pytest.raises(BadRequest, match="shorter window, fewer series or a coarser granularity"):
            asked(**fields)
    assert len(asked(granularity="1m")) == 2


def test_an_answer_costs_two_queries(django_assert_num_queries: Any) -> None:
    for number in range(20):
        given((0, 1.0), (5, 2.0), model=str(number))

    with django_assert_num_queries(2):
        assert len(asked(granularity="1m")) == 20


def test_points_are_found_by_their_index() -> None:
    given((0, 1.0))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("EXPLAIN SELECT value FROM telemetry_metricpoint WHERE series_id = 1 AND time_s > 5")
        else:
            cursor.execute(
                "EXPLAIN QUERY PLAN SELECT value FROM telemetry_metricpoint WHERE series_id = 1 AND time_s > 5"
            )
        plan = str(cursor.fetchall())

    assert "point_series_time" in plan


def test_metrics_are_listed_with_their_units_and_labels() -> None:
    given((0, 1.0), model="a")
    given((0, 1.0), model="b", agent="x")
    given((0, 1.0), metric="other", unit="s")

    assert series.metrics() == [series.Metric("other", "s", 1), series.Metric("tokens", "tokens", 2)]
    assert series.label_values(series.matching("tokens", [])) == {"agent": ["x"], "model": ["a", "b"]}
