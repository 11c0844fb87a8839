"""The dialog that tells how to do by the API what a list shows."""

from typing import Any

from django import template
from django.template import Context

from apps.core import code

register = template.Library()


@register.inclusion_tag("_code.html", takes_context=True)
def list_code(context: Context, path: str, rows: str) -> dict[str, Any]:
    """Return the dialog with the call that reads a list: its path, and the rows as the published client gives them."""
    python = f"for one in client.{rows}:\n    print(one)"
    return {"calls": [("list", "", code.read(code.origin_of(context["request"]), path, python))]}
