"""What the model is shown of a conversation."""

from typing import Any

import pytest

from apps.agents import history


def user(content: Any, **more: Any) -> dict[str, Any]:
    """A person's message as it is stored."""
    return {"role": "user", "content": content, **more}


def inference(content: str = "", *calls: tuple[str, str]) -> dict[str, Any]:
    """A stored call to the model."""
    tool_calls = [{"call_id": call_id, "tool_name": "add", "arguments": arguments} for call_id, arguments in calls]
    return {
        "step_type": "inference",
        "model_response": {"role": "assistant", "content": content, "tool_calls": tool_calls},
    }


def execution(*call_ids: str) -> dict[str, Any]:
    """Stored answers of tools."""
    return {
        "step_type": "tool_execution",
        "tool_responses": [{"call_id": c, "tool_name": "add", "content": c} for c in call_ids],
    }


def test_a_turn_is_its_question_then_its_steps_in_order() -> None:
    steps = [inference("", ("c1", "{}")), execution("c1"), inference("done")]

    messages = history.turn_messages([user("hi")], [], steps)

    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[1]["tool_calls"][0]["id"] == "c1"
    assert messages[2] == {"role": "tool", "tool_call_id": "c1", "content": "c1"}


def test_calls_nobody_answered_are_left_out_with_their_empty_message() -> None:
    messages = history.turn_messages([user("hi")], [], [inference("", ("c1", "{}"))])

    assert messages == [{"role": "user", "content": "hi"}]


def test_only_the_answered_calls_of_a_message_are_kept() -> None:
    steps = [inference("", ("c1", "{}"), ("c2", "{}")), execution("c2")]

    messages = history.turn_messages([user("hi")], [], steps)

    assert [call["id"] for call in messages[1]["tool_calls"]] == ["c2"]


def test_context_is_read_once_and_not_repeated() -> None:
    message = user("question", context="background")

    now = history.turn_messages([message], [], [], with_context=True)
    later = history.turn_messages([message], [], [])

    assert now[0]["content"] == "question\n\nbackground"
    assert later[0]["content"] == "question"


def test_documents_are_joined_to_the_last_message_behind_a_blank_line() -> None:
    documents = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]

    messages = history.turn_messages([user("first"), user("last")], documents, [])

    assert [message["content"] for message in messages] == ["first", "last\n\none\ntwo"]


def test_documents_become_parts_of_a_message_that_has_parts() -> None:
    content = [{"type": "text", "text": "see"}, {"type": "image", "image": {"url": {"uri": "https://host/a.png"}}}]

    messages = history.turn_messages([user(content)], [{"type": "text", "text": "doc"}], [])

    assert messages[0]["content"][-1] == {"type": "text", "text": "doc"}
    assert messages[0]["content"][1] == {"type": "image_url", "image_url": {"url": "https://host/a.png"}}


@pytest.mark.parametrize(
    ("data", "kind"), [("iVBORw0KGgo=", "image/png"), ("/9j/4AAQ", "image/jpeg"), ("R0lGODdh", "image/gif")]
)
def test_image_bytes_become_a_data_address_of_their_kind(data: str, kind: str) -> None:
    content = history.to_openai([{"type": "image", "image": {"data": data}}])

    assert content[0]["image_url"]["url"] == f"data:{kind};base64,{data}"


def test_a_tool_message_that_a_step_answers_already_is_skipped() -> None:
    told = {"role": "tool", "call_id": "c1", "content": "again"}

    messages = history.turn_messages([user("hi"), told], [], [inference("", ("c1", "{}")), execution("c1")])

    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]


def test_a_block_of_a_shield_is_replayed_as_the_answer() -> None:
    step = {
        "step_type": "shield_call",
        "violation": {"violation_level": "error", "user_message": "No.", "metadata": {}},
    }
    warning = {
        "step_type": "shield_call",
        "violation": {"violation_level": "warn", "user_message": "Hm.", "metadata": {}},
    }

    assert history.turn_messages([user("x")], [], [step])[1] == {"role": "assistant", "content": "No."}
    assert len(history.turn_messages([user("x")], [], [warning])) == 1


def test_arguments_that_are_no_json_are_not_sent_back() -> None:
    steps = [inference("", ("c1", '{"a":')), execution("c1")]

    messages = history.turn_messages([user("x")], [], steps)

    assert messages[1]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_replace_puts_the_tools_where_the_instructions_ask_for_them() -> None:
    tools = [{"type": "function"}]

    replaced = history.system_message("Use {{function_definitions}}.", tools, "replace")
    appended = history.system_message("Use {{function_definitions}}.", tools, "append")

    assert replaced[0]["content"] == 'Use [{"type":"function"}].'
    assert "{{function_definitions}}" in appended[0]["content"]
