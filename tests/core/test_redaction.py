"""What is secret by its schema or its name is hidden; everything else is left as it was."""

import json
from typing import Any

import pytest

from apps.core.redaction import HIDDEN, has_secrets, hide, without, without_credentials

PASSWORD = {"type": "string", "format": "password"}
WRITE_ONLY = {"type": "string", "writeOnly": True}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "value", "shown"),
    [
        (of(key=PASSWORD, city={"type": "string"}), {"key": "s3cret", "city": "Rome"}, {"key": HIDDEN, "city": "Rome"}),
        (of(key=WRITE_ONLY), {"key": 123456}, {"key": HIDDEN}),
        (of(to=of(key=PASSWORD)), {"to": {"key": "s3cret", "user": "ana"}}, {"to": {"key": HIDDEN, "user": "ana"}}),
        (of(keys={"type": "array", "items": PASSWORD}), {"keys": ["one1", "two2"]}, {"keys": [HIDDEN, HIDDEN]}),
        (of(pair={"prefixItems": [{}, PASSWORD]}), {"pair": ["ana", "s3cret"]}, {"pair": ["ana", HIDDEN]}),
        (of(key={"anyOf": [PASSWORD, {"type": "null"}]}), {"key": "s3cret"}, {"key": HIDDEN}),
        (of(key={"$ref": "#/$defs/a~1b"}) | {"$defs": {"a/b": PASSWORD}}, {"key": "s3cret"}, {"key": HIDDEN}),
        (of() | {"additionalProperties": PASSWORD}, {"any": "s3cret"}, {"any": HIDDEN}),
        (of() | {"patternProperties": {"^k": PASSWORD}}, {"key": "s3cret"}, {"key": HIDDEN}),
        (of(bag=WRITE_ONLY), {"bag": {"a": ["s3cret"]}}, {"bag": HIDDEN}),
    ],
)  # fmt: skip
def test_marked_values_are_hidden_at_any_depth(schema: Any, value: Any, shown: Any) -> None:
    text, secrets = hide(json.dumps(value), schema)

    assert json.loads(text) == shown
    assert has_secrets(schema) and secrets


def test_a_secret_that_is_no_text_is_hidden_and_looked_for_nowhere() -> None:
    assert hide('{"key": true}', of(key=WRITE_ONLY)) == (f'{{"key":"{HIDDEN}"}}', [])


def test_what_nobody_marked_is_left_to_the_letter() -> None:
    text = '{ "password": "x", "n": 1.0 }'

    assert hide(text, of(password={"type": "string"})) == (text, [])
    assert not has_secrets(of(password={"type": "string"}))


def test_what_is_no_json_is_hidden_whole() -> None:
    assert hide('{"key": "s3cr', of(key=PASSWORD)) == (HIDDEN, [])


def test_a_schema_that_points_at_itself_ends() -> None:
    loop = of(child={"$ref": "#"}, key=PASSWORD) | {"allOf": [{"$ref": "#"}]}

    text, secrets = hide('{"child": {"child": {"key": "s3cret"}}}', loop)

    assert json.loads(text) == {"child": {"child": {"key": HIDDEN}}} and secrets == ["s3cret"]


def test_a_schema_too_large_to_look_through_hides_the_value() -> None:
    large = {"anyOf": [{"type": "string", "title": str(n)} for n in range(2_000)]}

    assert json.loads(hide('{"a": "x"}', of(a=large))[0]) == {"a": HIDDEN}


def test_secrets_are_hidden_wherever_text_holds_them() -> None:
    told = {"text": 'said hun"ter', "json": ['{"key": "hun\\"ter"}'], "n": 3, "short": "abc"}

    assert without(told, ['hun"ter', "abc"]) == {
        "text": f"said {HIDDEN}", "json": [f'{{"key": "{HIDDEN}"}}'], "n": 3, "short": "abc",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["http.request.header.authorization", "Authorization", "http.request.header.set-cookie", "x-api-key", "api_key",
     "db.password", "client_secret", "http.request.header.x_llamastack_provider_data", "access_token",
     "aws_secret_access_key", "private-key", "x-amz-security-token", "client_credentials", "passphrase"],
)  # fmt: skip
def test_credentials_are_known_by_their_names(name: str) -> None:
    assert without_credentials({name: "s3cret", "n": 1}) == {name: HIDDEN, "n": 1}


@pytest.mark.parametrize(
    "name", ["gen_ai.usage.input_tokens", "session_id", "tool_name", "key", "token_count", "input"]
)
def test_other_attributes_are_left_alone(name: str) -> None:
    told = {name: "value"}

    assert without_credentials(told) is told


@pytest.mark.parametrize("inside", [{"authorization": "s3cret"}, [{"n": 1}, {"to": {"api_key": "s3cret"}}]])
def test_credentials_are_found_at_any_depth(inside: Any) -> None:
    found = without_credentials({"headers": inside, "n": [1, {"a": 2}]})

    assert "s3cret" not in str(found) and HIDDEN in str(found) and found["n"] == [1, {"a": 2}]
