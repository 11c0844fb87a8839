"""How scores are distributed, which number stands for them, which rows are bad; and what differs in two texts."""

from typing import Any

import pytest

from apps.evals import spread
from apps.evals.compare import word_diff


def rows(*scores: Any) -> list[dict[str, Any]]:
    return [{"score": score} for score in scores]


def test_right_and_wrong_are_both_drawn_also_when_one_never_happened() -> None:
    distribution = spread.of(rows(1.0, 1.0, True))

    assert distribution["bars"] == [["0", 0], ["1", 3]]
    assert (distribution["low"], distribution["high"], distribution["sd"], distribution["unscored"]) == (
        1.0,
        1.0,
        0.0,
        0,
    )


def test_many_values_are_drawn_by_tenths_of_a_scale() -> None:
    distribution = spread.of(rows(*range(101), None))

    assert [count for _, count in distribution["bars"]] == [10] * 9 + [11]
    assert (distribution["bars"][0][0], distribution["bars"][-1][0]) == ("0–10", "90–100")
    assert distribution["unscored"] == 1 and distribution["mean"] == 50


@pytest.mark.parametrize("scores", [[0.25], [0.2014, 0.8156], [0.05, 0.3, 0.6, 1.0], [at / 40 for at in range(41)]])
def test_shares_are_drawn_on_the_whole_scale_however_many_there_are(scores: list[float]) -> None:
    bars = spread.of(rows(*scores))["bars"]

    assert [label for label, _ in bars] == [
        "0–0.1", "0.1–0.2", "0.2–0.3", "0.3–0.4", "0.4–0.5", "0.5–0.6", "0.6–0.7", "0.7–0.8", "0.8–0.9", "0.9–1",
    ]  # fmt: skip
    assert sum(count for _, count in bars) == len(scores)
    assert [bars[min(9, int(value * 10 + 1e-9))][1] > 0 for value in scores] == [True] * len(scores)


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ((0, 10, 7), [str(at) for at in range(11)]), ((4, 6), ["4", "5", "6"]), ((-1, 1), ["−1", "0", "1"]),
        ((10, 10, 100), ["0–10", "90–100"]), ((0.5, 16.6), ["0–2", "18–20"]), ((-0.5, 0.5), ["−1–−0.8", "0.8–1"]),
        ((-3.5, -0.5), ["−5–−4.5", "−0.5–0"]), ((1e99, 0.5), ["0–1e+98", "9e+98–1e+99"]),
    ],
)  # fmt: skip
def test_a_scale_is_round_and_whole_numbers_near_each_other_have_a_bar_each(scores: Any, labels: list[str]) -> None:
    bars = spread.of(rows(*scores))["bars"]

    assert [bars[0][0], bars[-1][0]] == [labels[0], labels[-1]] and sum(count for _, count in bars) == len(scores)
    assert len(labels) == 2 or [label for label, _ in bars] == labels


@pytest.mark.parametrize(
    ("scores", "below"),
    [
        ([10, 10, 10, 10, 8, 7, 0, 0, 2, 12, 100, 5], 6), ([0.9, 0.2], 0.5), ([9, 9, 9, 0], 9), ([2, 8], 5), ([7], 7),
        ([100, 0, 10], 10), ([*range(11)], 5),
    ],
)  # fmt: skip
def test_a_score_is_low_below_the_middle_of_most_one_outlier_moves_nothing(scores: Any, below: float) -> None:
    assert spread.usual_below(spread.of(rows(*scores))) == below


def test_a_run_that_was_not_told_its_middle_has_that_of_its_range() -> None:
    assert spread.usual_below({"low": 0.0, "high": 10.0}) == 5 and spread.usual_below({}) == 0.5


def test_verdicts_are_counted_the_frequent_ones_by_name() -> None:
    distribution = spread.of(rows("B", "A", "A", None, *(f"odd {at}" for at in range(12))))

    assert not distribution["is_number"] and distribution["scored"] == 15
    assert ["A", 2] in distribution["bars"] and distribution["bars"][-1] == ["others", 4]
    assert sum(count for _, count in distribution["bars"]) == 15


def test_numbers_a_judge_wrote_as_text_are_numbers() -> None:
    assert spread.of(rows("4", "5", "5"))["bars"] == [["4", 1], ["5", 2]]
    assert spread.of(rows("nan", "1e999"))["is_number"] is False


def test_nothing_scored_has_nothing_to_draw() -> None:
    assert spread.of([]) == {"scored": 0, "unscored": 0, "bars": [], "is_number": False}
    assert spread.of(rows(None))["bars"] == []


@pytest.mark.parametrize(
    ("aggregated", "distribution", "told"),
    [
        ({"accuracy": {"accuracy": 0.5, "num_correct": 2.0, "num_total": 4}}, {}, (0.5, "accuracy", "2 of 4")),
        ({"median": {"median": 3.0}, "average": {"average": 2.5}}, {}, (2.5, "average", "")),
        ({"average": {"average": None}, "median": {"median": 1.0}}, {}, (1.0, "median", "")),
        ({"categorical_count": {"categorical_count": {"A": 1, "B": 3}}}, {}, (None, "count", "B 3 · A 1")),
        ({}, {"is_number": True, "mean": 0.25}, (0.25, "mean", "")),
        ({}, {}, (None, "", "")),
    ],
)  # fmt: skip
def test_one_number_stands_for_the_scores(aggregated: Any, distribution: Any, told: Any) -> None:
    found = spread.headline(aggregated, distribution)

    assert (found.value, found.label, found.words) == told


def test_the_other_sums_stand_beside_it() -> None:
    aggregated = {
        "median": {"median": 3.0},
        "average": {"average": 2.5},
        "categorical_count": {"categorical_count": {"2": 1, "3": 1}},
    }

    found = spread.further(aggregated, {})

    assert [(one.value, one.label, one.words) for one in found] == [(3.0, "median", ""), (None, "count", "2 1 · 3 1")]
    assert spread.further(aggregated, {"scored": 0}) == []


def test_rows_without_answer_or_score_are_the_worst() -> None:
    unanswered = spread.worst({"f": {"score": None}}, "away")
    unscored = spread.worst({"f": {"score": None, "error": "?"}, "g": {"score": 1.0}}, "")
    low = spread.worst({"f": {"score": -3}, "g": {"score": 1.0}}, "")
    words = spread.worst({"f": {"score": "A"}}, "")

    assert unanswered == unscored < low == -3 < words


def told(before: str, after: str) -> list[tuple[str, str]]:
    return [(part.kind, part.text) for part in word_diff.parts(before, after) or []]


def test_a_difference_is_told_word_by_word() -> None:
    assert told("It is 14 days.", "It is 30 days.") == [
        ("same", "It is"), ("del", " 14"), ("ins", " 30"), ("same", " days.")
    ]  # fmt: skip
    assert told("", "new") == [("ins", "new")]
    assert told("same", "same") == [("same", "same")]


@pytest.mark.parametrize(("before", "after"),
    [
        ("a b c d", "a x y d"), ("no", "yes it is"), ("a  b\nc", "b c a"), ("Paris", "It is Paris."),
        ("It is Paris", "Paris"), (" a", "a"), ("", "b a"), ("", ""), ("a ", "a"),
    ],
)  # fmt: skip
def test_both_texts_can_be_read_out_of_their_difference(before: str, after: str) -> None:
    parts = told(before, after)

    assert "".join(text for kind, text in parts if kind != "ins") == before
    assert "".join(text for kind, text in parts if kind != "del") == after


def test_very_long_texts_are_not_compared() -> None:
    assert word_diff.parts("a b " * 5_000, "b a " * 5_000) is None
    assert told("a " * 5_000 + "b", "a " * 5_000 + "c")[1:] == [("del", " b"), ("ins", " c")]  # they differ in a word


def test_a_word_between_two_long_changes_reads_as_changed() -> None:
    assert told("so some words a longer tale it", "so other things a wholly other one it") == [
        ("same", "so"), ("del", " some words a longer tale"), ("ins", " other things a wholly other one"),
        ("same", " it"),
    ]  # fmt: skip
