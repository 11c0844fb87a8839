"""What a browser holds after sign-in."""

from django.conf import settings
from django.test import Client

from apps.accounts.models import User


def cookie_of(user: User) -> str:
    """Return the session cookie of somebody who has just signed in."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)
