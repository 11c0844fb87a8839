"""Prompts with places for a row's columns: which they name, and how they are filled."""

import re
from collections.abc import Mapping

PLACES = ("input_query", "expected_answer", "generated_answer", "context")
PLACE = re.compile(r"\{(" + "|".join(PLACES) + r")\}")


def places_in(template: str) -> tuple[str, ...]:
    """Return the columns a template has places for, each once, in the order in which they are told everywhere."""
    named = set(PLACE.findall(template))
    return tuple(place for place in PLACES if place in named)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the template with the places it names filled in, once and literally; other braces stay as they are."""
    return PLACE.sub(lambda found: values.get(found.group(1), found.group(0)), template)
