"""Run as a process of its own: make a console's tables, a person of each role with a session, and a key of each role.

The last line it prints is JSON: ``{"keys": {role: text}, "cookies": {role: session}, "password": text}``.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "stack_console.settings"
PASSWORD = "correct horse battery staple"
ROLES = ("viewer", "operator", "admin")


def main() -> None:
    """Fill the console the environment names."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", verbosity=0)
    if "--empty" in sys.argv:
        print("{}")
        return
    with transaction.atomic():
        people = {role: _person(role) for role in ROLES}
        keys = {role: _key(role) for role in ROLES}
        cookies = {role: _session(person) for role, person in people.items()}
    print(json.dumps({"keys": keys, "cookies": cookies, "password": PASSWORD}))


def _person(role: str):  # type: ignore[no-untyped-def]
    from apps.accounts.models import User

    make = User.objects.create_superuser if role == "admin" else User.objects.create_user
    return make(role, password=PASSWORD, role=role)


def _key(role: str) -> str:
    from apps.accounts import keys
    from apps.accounts.principals import Principal

    return keys.issue(Principal("admin", name="tests"), f"{role} of the tests", role)[1]


def _session(person) -> str:  # type: ignore[no-untyped-def]
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(person.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
    session[HASH_SESSION_KEY] = person.get_session_auth_hash()
    session.save()
    return str(session.session_key)


if __name__ == "__main__":
    main()
