"""What templates of evaluations ask for: how scores and their changes are written."""

import re
from typing import Any

from django import template
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

from apps.accounts import audit
from apps.accounts.models import User
from apps.evals import costs
from apps.evals.models import Evaluation

register = template.Library()
UNKNOWN = "–"
LONGEST = 40
JOINT = re.compile(r"([-_:/.])")


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
def side(value: float | None) -> str:
    """Return the class of a difference of scores: up, down, or muted where there is none or people read none."""
    if value is None or abs(value) < 0.005:
        return "muted"
    return "up" if value > 0 else "down"


@register.filter
def spent(run: Evaluation) -> costs.Spent:
    """Return what a run took of the models that scored, and what it cost."""
    return costs.of(run)


@register.simple_tag
def by(user: User | None, kind: str, object_id: str) -> str:
    """Return " by" and who made something: its user, else the key the audit log names; "" when nobody knows."""
    name = str(user or audit.maker_of(kind, object_id))
    return f" by {name}" if name else ""


@register.filter
def short_name(name: str) -> str:
    """Return a scoring function's name without its family, for the head of a narrow column."""
    return name.rpartition("::")[2] or name


@register.filter
def breakable(name: str) -> SafeString:
    """Return a name that a narrow place may break behind its joints."""
    return mark_safe(JOINT.sub(r"\1<wbr>", conditional_escape(name)))  # escaped before
