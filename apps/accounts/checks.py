"""What ``manage.py check`` says about settings of this app."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from apps.accounts.keys import rate_of


def rate_is_readable(**_: Any) -> list[CheckMessage]:
    """Refuse an API_RATE that no call could be held to."""
    try:
        rate_of(settings.API_RATE or "1/s")
    except ValueError as error:
        return [Error(str(error), id="accounts.E001")]
    return []
