"""Checking an answer against a schema somebody else wrote: what is wrong is said, and nothing holds up the server."""

import time
from typing import Any

import pytest

from apps.agents import answers
from apps.agents.checking import objections


def nested(levels: int) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        shape = {"properties": {"a": shape}}
    return shape


DOUBLING = {
    "$ref": "#/$defs/d0",
    "$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {"type": "string"}},
}


@pytest.mark.parametrize(
    "shape",
    [
        {"properties": {"a": {"type": "string", "pattern": "(a+)+$"}}},
        {"patternProperties": {"(a+)+$": {"type": "string"}}, "additionalProperties": False},
        {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"pattern": "(a+)+$"}}},
        {"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "(a+)+$"}}},
        {"allOf": [{"$ref": "#"}]},
        {"$ref": "#"},
        {"$ref": "https://example.org/schema"},
        {"properties": {"a": {"pattern": "("}}},
        {"properties": 5},
        DOUBLING,
        nested(500),
    ],
)
def test_no_schema_holds_up_the_server_or_the_answer(shape: dict[str, Any]) -> None:
    begin = time.thread_time()

    assert objections(shape, {"a": "a" * 40 + "!", "a" * 40 + "!": 1}) == []
    assert time.thread_time() - begin < 2


def test_a_schema_that_refers_to_itself_is_checked_as_far_as_the_value_goes() -> None:
    tree = {"type": "object", "properties": {"name": {"type": "string"}, "child": {"$ref": "#"}}}

    assert objections(tree, {"name": "a", "child": {"name": "b"}}) == []
    assert objections(tree, {"name": "a", "child": {"name": 1}}) == ["child.name: 1 is not of type 'string'"]


def test_a_schema_with_odd_parts_still_makes_a_form() -> None:
    slots, _ = answers._slots({"properties": {"a": {"enum": 5}, "b": 7}, "required": 5})

    assert [slot.name for slot in slots] == ["a"]
