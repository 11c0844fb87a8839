"""The path of a small line."""

from apps.console.sparks import spark


def test_a_line_goes_from_edge_to_edge_and_from_floor_to_top() -> None:
    found = spark([0, 5, 10], "Turns")

    assert found is not None
    assert found.line == "M0.0 26.0 L50.0 14.0 L100.0 2.0"
    assert found.area == "M0.0 26.0 L50.0 14.0 L100.0 2.0 L100.0 28 L0.0 28Z"


def test_a_gap_stays_a_gap_and_a_lone_point_can_be_seen() -> None:
    found = spark([1, None, 1], "Time")

    assert found is not None
    assert found.line == "M0.0 2.0 L1.0 2.0 M100.0 2.0 L101.0 2.0"


def test_nothing_to_see_is_no_line() -> None:
    assert spark([0, 0, 0], "Turns") is None
    assert spark([], "Turns") is None
    assert spark([None, None], "Turns") is None
    assert spark([None, 3, None], "Time") is None
