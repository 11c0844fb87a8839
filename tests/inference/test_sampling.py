"""What a call asks for, in the words of a chat-completions server."""

from typing import Any

import pytest

from apps.core.errors import BadRequest
from apps.inference.sampling import chat_parameters, grammar_of
from apps.inference.schemas import GrammarResponseFormat


@pytest.mark.parametrize(
    ("bnf", "text"),
    [
        ({"grammar": 'root ::= "a"'}, 'root ::= "a"'),
        ({"bnf": 'root ::= "a"'}, 'root ::= "a"'),
        ({"root": '"a" | "b"'}, 'root ::= "a" | "b"'),
        ({"root": 'root ::= "a"'}, 'root ::= "a"'),
    ],
)
def test_a_grammar_is_text_under_a_known_name(bnf: dict[str, Any], text: str) -> None:
    assert grammar_of(chat_parameters(None, GrammarResponseFormat(bnf=bnf))) == text


@pytest.mark.parametrize("bnf", [{}, {"grammar": 5}, {"other": "x"}, {"grammar": " "}])
def test_a_grammar_without_text_is_refused(bnf: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match=r"response_format\.bnf"):
        grammar_of(chat_parameters(None, GrammarResponseFormat(bnf=bnf)))


def test_free_text_has_no_grammar() -> None:
    assert grammar_of(chat_parameters(None, None)) is None
