"""What templates of datasets ask for: cells of a preview, words for how rows came."""

from typing import Any

from django import template

from apps.datasets import grid

register = template.Library()


@register.filter
def cell(row: dict[str, Any], column: str) -> str:
    """Return what a row holds in a column, short; nothing where it has none."""
    return grid.text_of(row[column])[: grid.CELL] if column in row else ""


@register.filter
def how(name: str) -> str:
    """Return in words how rows came."""
    return {"api": "API", "typed": "hand", "turn": "chat"}.get(name, grid.HOW.get(name, name))
