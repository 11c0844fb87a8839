"""What a request of htmx asks for."""

from django.http import HttpRequest


def is_partial(request: HttpRequest) -> bool:
    """Return whether a part of a page is asked for. A boosted link is of htmx too, and wants the whole page."""
    htmx = request.htmx  # type: ignore[attr-defined]
    return bool(htmx) and not htmx.boosted
