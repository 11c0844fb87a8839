"""What templates of evaluations ask for: how scores and their changes are written."""

from typing import Any

from django import template

register = template.Library()
UNKNOWN = "–"
LONGEST = 40


@register.filter
def score(value: Any) -> str:
    """Return a score as people read it: numbers with two places, anything else as it is, a dash for none."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,.2f}".replace("-", "−")
    return str(value)[:LONGEST]


@register.filter
def change(value: float | None) -> str:
    """Return a difference of scores with its sign; nothing for none."""
    if value is None or abs(value) < 0.005:
        return "" if value is None else "±0"
    return f"{value:+.2f}".replace("-", "−")


@register.filter
def short_name(name: str) -> str:
    """Return a scoring function's name without its family, for the head of a narrow column."""
    return name.rpartition("::")[2] or name
