"""What a row asks, by the first column that tells (SEMANTICS 4.3), and what scorers are shown."""

import json
from typing import Any

import pytest

from apps.core.errors import BadRequest
from apps.evals.running import asked

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "1"},
    {"role": "user", "content": "Two?"},
]


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"completion_input": "Say so", "question": "no"}, [{"role": "user", "content": "Say so"}]),
        ({"completion_input": json.dumps({"content": "In JSON"})}, [{"role": "user", "content": "In JSON"}]),
        ({"chat_completion_input": json.dumps(TALK), "question": "no"}, TALK),
        ({"chat_completion_input": TALK}, TALK),
        ({"messages": TALK}, TALK),
        ({"messages": json.dumps(TALK)}, TALK),
        ({"question": "Why?", "input_query": "no"}, [{"role": "user", "content": "Why?"}]),
        ({"input_query": "How?"}, [{"role": "user", "content": "How?"}]),
        ({"completion_input": "[1, 2]"}, [{"role": "user", "content": "[1, 2]"}]),
        ({"completion_input": "1e5"}, [{"role": "user", "content": "1e5"}]),
        ({"question": {"a": 1}}, [{"role": "user", "content": '{"a":1}'}]),
        ({"question": [{"type": "text", "text": 5}]}, [{"role": "user", "content": '[{"type":"text","text":5}]'}]),
        ({"completion_input": "half \ud800"}, [{"role": "user", "content": "half \ud800"}]),
        ({"question": 7}, [{"role": "user", "content": "7"}]),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
         [{"role": "user", "content": "a\nb"}]),
    ],
)  # fmt: skip
def test_the_first_column_that_tells_is_asked(row: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    assert asked.messages_of(row) == messages


CALLED = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "c1", "type": "function", "function": {"name": "t", "arguments": '{"a":1}'}}
]}  # fmt: skip
ANSWERED = {"role": "tool", "tool_call_id": "c1", "content": "r"}


@pytest.mark.parametrize(
    ("calling", "answer"),
    [
        (CALLED, ANSWERED),
        ({**CALLED, "content": None}, {**ANSWERED, "content": [{"type": "text", "text": "r"}]}),
        ({key: value for key, value in CALLED.items() if key != "content"}, ANSWERED),
        ({"role": "assistant", "content": "", "stop_reason": "end_of_message",
          "tool_calls": [{"call_id": "c1", "tool_name": "t", "arguments": '{"a":1}'}]},
         {"role": "tool", "call_id": "c1", "content": "r"}),
        ({"role": "assistant", "content": "",
          "tool_calls": [{"call_id": "c1", "tool_name": "t", "arguments": {"a": 1}, "arguments_json": None}]},
         {"role": "tool", "call_id": "c1", "content": "r"}),
        ({**CALLED, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "t", "arguments": {"a": 1}}}]},
         ANSWERED),
    ],
)  # fmt: skip
def test_calls_and_their_answers_are_sent_in_openais_form(calling: dict[str, Any], answer: dict[str, Any]) -> None:
    row = {"messages": [TALK[1], calling, answer, TALK[3]]}

    assert asked.messages_of(row) == [TALK[1], CALLED, ANSWERED, TALK[3]]
    assert asked.messages_of({"messages": json.dumps(row["messages"])}) == asked.messages_of(row)


def test_calls_nobody_answered_are_not_sent() -> None:
    other = {"id": "c2", "type": "function", "function": {"name": "t", "arguments": "{}"}}
    calling = {**CALLED, "tool_calls": [*CALLED["tool_calls"], other]}

    assert asked.messages_of({"messages": [TALK[1], calling, ANSWERED]}) == [TALK[1], CALLED, ANSWERED]
    assert asked.messages_of({"messages": [TALK[1], calling]}) == [TALK[1]]


def test_what_is_to_be_read_with_a_question_is_asked_with_it_and_names_stay() -> None:
    said = {"role": "user", "content": "u", "context": [{"type": "text", "text": "CTX"}], "name": "Ann"}

    assert asked.messages_of({"messages": [said]}) == [{"role": "user", "content": "u\n\nCTX", "name": "Ann"}]


@pytest.mark.parametrize(
    "row",
    [
        {}, {"answer": "only"}, {"messages": []}, {"messages": "no JSON"},
        {"messages": [{"role": "alien", "content": "x"}]},
        {"messages": [{"role": ["user"], "content": "x"}]}, {"messages": "\ud800"},
        {"messages": [{"role": "user"}]}, {"messages": [7]}, {"chat_completion_input": "{}"},
        {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
        {"messages": [{"role": "assistant", "content": 7}]},
        {"messages": [{"role": "user", "content": "a", "context": 7}]},
        {"messages": [TALK[1], {"role": "assistant", "tool_calls": 7}]},
        {"messages": [TALK[1], {"role": "assistant", "tool_calls": [7]}]},
        {"messages": [TALK[1], {"role": "assistant", "tool_calls": [{"function": "f"}]}]},
        {"messages": [TALK[1], {"role": "assistant", "tool_calls": [{"tool_name": "t", "arguments": "{}"}]}]},
        {"messages": [{"role": "assistant", "content": ""}]},
        {"messages": [{"role": "tool", "call_id": [1], "content": ""}]},
    ],
)  # fmt: skip
def test_a_row_that_asks_nothing_says_what_it_needs(row: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        asked.messages_of(row)


def test_scorers_see_the_row_with_the_answer_under_every_name() -> None:
    row = {"question": "Why?", "answer": "So.", "extra": 1}

    shown = asked.shown(row, {"generated_answer": "Because.", "context": "c"})

    assert shown == {
        "question": "Why?", "answer": "So.", "extra": 1, "input_query": "Why?", "expected_answer": "So.",
        "generated_answer": "Because.", "context": "c",
    }  # fmt: skip


def test_the_last_words_of_a_person_are_the_question_of_a_talk() -> None:
    shown = asked.shown({"messages": TALK, "expected_answer": "2", "answer": "no"}, {"generated_answer": "2"})

    assert shown["input_query"] == "Two?" and shown["expected_answer"] == "2"
