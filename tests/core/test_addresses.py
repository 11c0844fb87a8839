"""Whatever a client named a thing, it has a page: ids that read like words of the console's own addresses."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import get_resolver, resolve, reverse

KINDS = {
    "evals:benchmark-detail": "benchmarks/",
    "evals:scorer-detail": "scorers/",
    "datasets:dataset-detail": "datasets/",
    "inference:model-detail": "models/",
    "telemetry:metric-detail": "metrics/",
}


def routes(patterns: Any) -> Iterator[str]:
    """Return the route of every page."""
    for one in patterns:
        yield from routes(one.url_patterns) if hasattr(one, "url_patterns") else [str(one.pattern)]


def words_of(prefix: str) -> set[str]:
    """Return what stands in the addresses of a kind beside ids."""
    parts = {
        part
        for route in routes(get_resolver().url_patterns)
        for part in route.split("/")[1:]
        if route.startswith(prefix)
    }
    return {part for part in parts if part and "<" not in part}


@pytest.mark.parametrize(("page", "prefix"), KINDS.items())
def test_an_id_that_reads_like_a_word_of_an_address_has_its_own_page(page: str, prefix: str) -> None:
    words = words_of(prefix)
    assert words
    uuid = "01234567-89ab-cdef-0123-456789abcdef"

    for word in words:
        for name in (
            word,
            f"~{word}",
            f"x/{word}",
            f"{word}/x",
            f"x/{word}/1",
            f"x/{word}/1/edit",
            f"{word}/{uuid}/part",
        ):
            found = resolve(reverse(page, args=[name]))
            assert (found.view_name, *found.kwargs.values()) == (page, name)


@pytest.mark.parametrize(
    "name", ["bench", "a/b", "mine::new", "news", "renew/x", "~", "~a", "a%2Fb", "ü b", "/a/", "a\nb"]
)
def test_any_other_id_stands_as_it_is(name: str) -> None:
    place = reverse("evals:benchmark-detail", args=[name])

    assert "~" not in place.replace(name, "") and resolve(_typed(place)).kwargs == {"benchmark_id": name}


def test_what_is_done_to_such_a_thing_has_an_address_too() -> None:
    found = resolve("/benchmarks/x/~delete/delete/")

    assert (found.view_name, found.kwargs) == ("evals:benchmark-delete", {"benchmark_id": "x/delete"})
    assert resolve("/benchmarks/x/delete/").kwargs == {"benchmark_id": "x"}
    assert resolve("/benchmarks/new/a/").kwargs == {"benchmark_id": "new/a"}, "nothing else is meant"


def _typed(place: str) -> str:
    """Return a path as a server decodes it."""
    return re.sub(r"(?:%[0-9A-F]{2})+", lambda found: bytes.fromhex(found[0].replace("%", "")).decode(), place)
