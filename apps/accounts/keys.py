"""API keys: how one is made and ended, recognised on each call, and held to its rate."""

import secrets
import time
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from math import ceil
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db.models import QuerySet
from django.utils.timezone import now

from apps.accounts import audit
from apps.accounts.models import ApiKey, User
from apps.accounts.principals import Principal
from apps.core import db
from apps.core.errors import ConsoleError, Forbidden, Unauthorized
from apps.core.numbers import whole

TOUCH_EVERY = timedelta(minutes=1)
PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
OWN = ("pk", "name", "role", "hash", "expires_at", "revoked_at", "last_used_at", "user_id")
OWNER = ("user__role", "user__is_active")


def issue(
    actor: Principal, name: str, role: str, *, user: User | None = None, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Make a key and return it with its text, which cannot be had again.

    Raises Forbidden when the role is more than the actor's own. Call it inside a transaction.
    """
    if not actor.can(role):
        raise Forbidden(f"A key cannot do more than who makes it: your role is {actor.role}.")
    prefix = secrets.token_hex(6)
    token = f"sc_{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        name=name, role=role, prefix=prefix, hash=_hash(token), user=user, expires_at=expires_at
    )
    audit.note(actor, "create", "api_key", str(key.pk), name=name, role=role)
    return key, token


def revoke(actor: Principal, key: ApiKey) -> bool:
    """End a key from the next call on; false when it was ended before. Call it inside a transaction."""
    ended = ApiKey.objects.revoke(key.pk)
    if ended:
        audit.note(actor, "revoke", "api_key", str(key.pk), name=key.name)
    return ended


def recognise(token: str, address: str, request_id: str) -> Principal:
    """Return whom a key speaks for, by one indexed query.

    Raises Unauthorized for a key that is unknown, ended or expired, and 429 when it called too often. Nothing is
    remembered between calls: a revoked key fails on its next one.
    """
    prefix = token[3:].partition("_")[0] if token.startswith("sc_") else ""
    row = next(iter(_rows().filter(prefix=prefix)), None) if prefix else None
    if row is None or not secrets.compare_digest(row["hash"], _hash(token)):
        raise _refused("This API key is not known here. Make one under Settings, API keys.")
    if row["revoked_at"]:
        raise _refused("This API key was revoked.")
    at = now()
    if row["expires_at"] and row["expires_at"] <= at:
        raise _refused(f"This API key expired at {row['expires_at']:%Y-%m-%dT%H:%M:%SZ}.")
    if row["user_id"] and not row["user__is_active"]:
        raise _refused("The owner of this API key is disabled.")
    _hold_to_rate(row["pk"])
    if row["last_used_at"] is None or at - row["last_used_at"] >= TOUCH_EVERY:
        _touch(row["pk"], at)
    role = _lesser(row["role"], row["user__role"]) if row["user_id"] else row["role"]
    return Principal(
        role=role,
        user_id=row["user_id"],
        key_id=row["pk"],
        name=f"key {row['name']}",
        address=address,
        request_id=request_id,
    )


@lru_cache(maxsize=1)
def _rows() -> "QuerySet[ApiKey, dict[str, Any]]":
    # Built once: naming the columns anew would double the time of a call's one query.
    rows: QuerySet[ApiKey, dict[str, Any]] = ApiKey.objects.order_by().values(*OWN, *OWNER)
    return rows


def _hash(token: str) -> str:
    # Fast on purpose: 256 random bits need no slow hash, and every call pays for this one.
    return sha256(token.encode()).hexdigest()


def _refused(detail: str) -> Unauthorized:
    return Unauthorized(detail, headers={"WWW-Authenticate": "Bearer"})


def _lesser(role: str, owner: str) -> str:
    """An owner who was given less takes their keys along."""
    return role if Principal(owner).can(role) else owner


def _touch(key_id: int, at: datetime) -> None:
    # Many calls may arrive before the first one's note is stored: one of them writes.
    if cache.add(f"key-touched:{key_id}", True, timeout=TOUCH_EVERY.seconds // 2):
        db.write_soon(ApiKey.objects.touch, key_id, at)


def _hold_to_rate(key_id: int) -> None:
    if not settings.API_RATE:
        return
    limit, period = rate_of(settings.API_RATE)
    window, into = divmod(time.time(), period)
    name = f"key-rate:{key_id}:{int(window)}"
    if cache.add(name, 1, timeout=period):
        return
    try:
        count = cache.incr(name)
    except ValueError:  # the window ended between the two lines
        return
    if count > limit:
        wait = max(1, ceil(period - into))
        raise ConsoleError(
            f"This API key may call {limit} times in {period} s. Try again in {wait} s, or raise the setting API_RATE.",
            status=429,
            headers={"Retry-After": str(wait)},
        )


@lru_cache(maxsize=8)
def rate_of(text: str) -> tuple[int, int]:
    """``6000/m`` as calls and seconds; raises ValueError naming the setting."""
    count, _, unit = text.partition("/")
    limit = whole(count)
    if limit is None or unit not in PERIODS:
        raise ValueError(f"API_RATE must look like 6000/m (s, m, h or d), not {text!r}")
    return limit, PERIODS[unit]
