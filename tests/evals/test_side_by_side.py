"""Two answers beside each other: what is shown of them, marked, and counted where it is left out."""

import pytest

from apps.evals.compare import side_by_side
from apps.evals.compare.side_by_side import Answer

LONG = " ".join(f"word{n}" for n in range(500))


def told(answer: Answer, *, brief: bool = False) -> str:
    """Return an answer with [gone], {new}, <expected> and the count of what is left out."""
    around = {"del": "[{}]", "ins": "{{{}}}", "same": "{}", "plain": "{}"}
    shown = []
    for piece in answer.brief if brief else answer.pieces:
        text = f"<{piece.text}>" if piece.is_expected else piece.text
        shown.append(f"…{piece.left_out} {piece.kind}…" if piece.left_out else around[piece.kind].format(text))
    return "".join(shown)


def marked(before: str, after: str, expected: str = "") -> tuple[str, str, str]:
    one, two, why = side_by_side.of(before, after, expected)
    return told(one), told(two), why


def test_each_answer_shows_its_own_part_of_the_difference() -> None:
    assert marked("It is 14 days.", "It is 30 days.") == ("It is[ 14] days.", "It is{ 30} days.", "")
    assert marked("", "new") == ("", "new", "")


@pytest.mark.parametrize(
    ("before", "after", "expected", "shown"),
    [
        ("2 + 2 is 4.", "2 + 2 is 5.", "4", ("2 + 2 is[ ][<4>].", "2 + 2 is{ 5}.")),
        ("4 and 4", "4 and 5", "4", ("4 and[ ][<4>]", "<4> and{ 5}")),  # where it is gone, not where it stands anyway
        ("It is four.", "four", "four", ("[It is ]<four>[.]", "four")),  # all of an answer is not marked
        ("no", "yes", "", ("no", "yes")),
    ],
)
def test_the_expected_answer_is_marked_where_it_stands(
    before: str, after: str, expected: str, shown: tuple[str, str]
) -> None:
    assert marked(before, after, expected)[:2] == shown


def test_of_long_answers_what_is_around_the_changes_is_shown() -> None:
    one, two, why = side_by_side.of(LONG, LONG.replace("word250 ", "other "), "")

    assert why == "" and "[ word250]" in told(one) and "{ other}" in told(two)
    assert len("".join(piece.text for piece in one.pieces)) < 250
    assert [piece.kind for piece in one.pieces if piece.left_out] == ["same", "same"]
    assert sum(piece.left_out or len(piece.text) for piece in one.pieces) == len(LONG)
    assert one.whole == LONG[: side_by_side.WHOLE] and one.is_longer


def test_in_brief_a_long_answer_is_what_changed_with_a_few_words_around() -> None:
    text = LONG[:600]
    one, two, _ = side_by_side.of(text, text.replace("word40 ", "other "), "word2")
    same, _, _ = side_by_side.of("Short.", "Short!", "")

    assert "[ word40]" in told(one, brief=True) and "{ other}" in told(two, brief=True)
    assert len("".join(piece.text for piece in one.brief)) < 80 and not one.whole
    assert told(side_by_side.of(LONG, "no", "")[0], brief=True).startswith("word0 word1 ")
    assert same.brief == same.pieces


def test_a_change_at_the_end_is_not_cut_off() -> None:
    one, two, _ = side_by_side.of(f"{LONG} so 4", f"{LONG} so 5", "4")

    assert told(one).endswith("so[ ][<4>]") and told(two).endswith("so{ 5}")


def test_answers_that_share_little_are_shown_plainly() -> None:
    before = " ".join(f"before{n}" for n in range(200)) + " 42 " + "x " * 20
    after = " ".join(f"after{n}" for n in range(200))

    one, two, why = side_by_side.of(before, after, "42")

    assert why == side_by_side.REWRITTEN
    assert {piece.kind for piece in (*one.pieces, *two.pieces)} == {"plain"}
    assert told(one).startswith("before0 ") and "<42>" in told(one)


def test_what_is_too_long_to_compare_says_so() -> None:
    one, two, why = side_by_side.of("a b " * 5_000, "b a " * 5_000, "")

    assert why == side_by_side.TOO_LONG and one.is_longer and two.is_longer
    assert sum(len(piece.text) for piece in one.pieces) < 1_000
