"""What a person sends: text, pictures and papers as the API's request."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import QueryDict

from apps.agents import composer, pictures
from apps.core.errors import BadRequest, TooLarge

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


def request(text: str = "", *files: SimpleUploadedFile, **fields: str) -> Any:
    data = QueryDict(mutable=True)
    data.update({"message": text, **fields})
    return composer.request_of(data, files).model_dump(mode="json", exclude_none=True)


def file(name: str, data: bytes, kind: str = "application/octet-stream") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, kind)


def test_text_is_a_user_message() -> None:
    assert request("  Hello  ")["messages"] == [{"role": "user", "content": "Hello"}]


def test_a_picture_goes_beside_the_text_whatever_its_name() -> None:
    content = request("Look", file("photo.dat", PNG))["messages"][0]["content"]

    assert [item["type"] for item in content] == ["text", "image"]
    assert pictures.read([{"content": content}], "0-0") == (PNG, "image/png")


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("a.md", "text/markdown", "text/markdown"),
        ("a.yml", "application/octet-stream", "application/yaml"),
        ("a.yaml", "application/x-yaml", "application/yaml"),
        ("a.json", "application/json", "application/json"),
    ],
)
def test_a_text_file_is_a_document(name: str, kind: str, expected: str) -> None:
    document = request("Read", file(name, "tea: grün".encode(), kind))["documents"][0]

    assert document == {"content": "tea: grün", "mime_type": expected}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [("a.pdf", b"%PDF-1.7", "cannot be sent"), ("a.txt", b"\xff\xfe\x00", "not text in UTF-8")],
)
def test_another_file_is_refused_by_name(name: str, data: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as refused:
        request("Read", file(name, data))
    assert name in refused.value.detail


def test_a_file_over_the_limit_is_named() -> None:
    with pytest.raises(TooLarge, match=r"“big\.txt” is over 5 MB"):
        request("", file("big.txt", b"a" * (composer.FILE_LIMIT + 1), "text/plain"))


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(BadRequest, match="Write a message"):
        request("   ")


def test_a_tool_choice_counts_for_this_turn() -> None:
    assert request("Hi", tool_choice="none")["tool_config"]["tool_choice"] == "none"
    assert "tool_config" not in request("Hi", tool_choice="")


def test_a_picture_that_may_run_script_is_not_given_out() -> None:
    svg = {"type": "image", "image": {"url": {"uri": "data:image/svg+xml;base64,PHN2Zy8+"}}}

    assert pictures.read([{"content": svg}], "0-0") is None
    assert pictures.read([{"content": svg}], "0-9") is None
    assert pictures.read([{"content": svg}], "no") is None


def test_a_picture_elsewhere_is_only_named() -> None:
    far = {"type": "image", "image": {"url": {"uri": "https://example.org/x.png"}}}

    assert [*pictures.of(far, 0)] == [pictures.Picture(uri="https://example.org/x.png")]
