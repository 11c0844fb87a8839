"""Secrets of providers at rest: encrypted with a key made from SECRET_KEY, readable only inside the server."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from pydantic_core import from_json, to_json

from apps.core.errors import ProviderError

PURPOSE = b"stack-console provider secrets"
# The names of secrets stand before the sealed part, so that a page can say which are set without opening them.
SEPARATOR = ":"


def seal(values: dict[str, str]) -> str:
    """Return secrets as the text a row stores; nothing for none."""
    if not values:
        return ""
    return ",".join(values) + SEPARATOR + _box().encrypt(to_json(values)).decode()


def unseal(sealed: str, owner: str) -> dict[str, str]:
    """Return the secrets of a row; raises ProviderError when SECRET_KEY is no longer the one they were sealed with."""
    if not sealed:
        return {}
    try:
        return dict(from_json(_box().decrypt(sealed.partition(SEPARATOR)[2])))
    except InvalidToken:
        raise ProviderError(
            f"The secrets of provider '{owner}' cannot be read because SECRET_KEY has changed: enter them again."
        ) from None


def names(sealed: str) -> list[str]:
    """Return which secrets are set."""
    return sealed.partition(SEPARATOR)[0].split(",") if sealed else []


def _box() -> MultiFernet:
    keys = [str(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    return MultiFernet([Fernet(_key(key)) for key in keys])


def _key(secret_key: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.blake2b(secret_key.encode(), key=PURPOSE, digest_size=32).digest())
