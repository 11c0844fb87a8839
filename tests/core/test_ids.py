"""Names for new things, and which names can be found again."""

import pytest

from apps.core.ids import free_name, why_unfit


@pytest.mark.parametrize(
    ("taken", "free"),
    [([], "bench"), (["bench-2", "other"], "bench"), (["bench"], "bench-2"), (["bench-2", "bench"], "bench-3")],
)
def test_a_free_name_is_the_first_that_is_not_taken(taken: list[str], free: str) -> None:
    assert free_name("bench", taken) == free


@pytest.mark.parametrize(
    "name", ["a", "suite::a/b", "日本 b", "a%2Fb", "a+b&c=d;e,f", "x" * 255, "..a", "v1.", "a/...", "'<>"]
)
def test_a_name_of_any_letters_is_an_id(name: str) -> None:
    assert why_unfit(name) == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "1 to 255"), (" ", "1 to 255"), ("x" * 256, "1 to 255"), ("a?b", "'?' or '#'"), ("a#b", "'?' or '#'"),
        (" a", "blanks"), ("a ", "blanks"), ("a\n", "control"), ("a\0b", "control"), ("half \ud800", "control"),
        ("..", "'..' between slashes"), (".", "'.' or"), ("a/../b", "'..' between slashes"), ("a/.", "'.' or"),
    ],
)  # fmt: skip
def test_a_name_that_no_address_leads_to_is_none(name: str, words: str) -> None:
    assert words in why_unfit(name)
