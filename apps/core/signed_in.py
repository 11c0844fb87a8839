"""Who stands behind a session cookie: for the API and for live sockets, which pass no middleware of pages."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.utils.crypto import constant_time_compare


def user_of(cookie: str) -> Any:
    """Return who is signed in under this session; None for an ended session, a disabled account or an old password."""
    session = import_module(settings.SESSION_ENGINE).SessionStore(cookie)
    user_id = session.get(SESSION_KEY)
    if user_id is None:
        return None
    user: Any = get_user_model().objects.filter(pk=user_id, is_active=True).first()
    if user is None or not constant_time_compare(session.get(HASH_SESSION_KEY) or "", user.get_session_auth_hash()):
        return None
    return user
