"""A growing text is split into what is finished and what may still change."""

import pytest

from apps.agents import growing


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("One line", ""),
        ("A paragraph.\n\nThe next", "A paragraph.\n\n"),
        ("- one\n- two\n- thr", "- one\n- two\n"),
        ("1. one\n   more\n2. tw", "1. one\n   more\n"),
        ("- one\n\n  ```\n- not an item\n", ""),
        ("```py\n- x\n- y\n", ""),
        ("Text before\n- one\n- two", "Text before\n- one\n"),
    ],
)
def test_what_is_finished(text: str, finished: str) -> None:
    assert growing.split(text) == (finished, text[len(finished) :])


def test_a_text_split_as_it_grows_is_split_as_one_that_is_there() -> None:
    text = "Intro.\n\n1. first\n2. second\n3. third\n\nAn end.\n\nAnother\n"
    done, tail = 0, ""
    for character in text:
        tail += character
        if character == "\n":
            finished, tail = growing.split(tail)
            done += len(finished)

    assert growing.split(text)[0] == text[:done]
