"""Calls of scoring functions, counted by the hour: kept with the rows that were scored, read for the pages.

A call is one row scored by one function. What is kept is a few rows for each function and hour, however many were
scored, so that reading stays quick. Plain database work.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Sum
from django.utils.timezone import now

from apps.evals.models import ScorerCalls, ScorerUse
from apps.evals.scoring.counting import Counted, seconds_of

HOUR_S = 3_600
HOURS = 24  # told; what is older goes
ERROR_CHARS = 2_000
ADD = (
    "INSERT INTO {table} (hour, scoring_fn_id, slot, calls, failed) VALUES (%s, %s, %s, %s, %s) "
    "ON CONFLICT (hour, scoring_fn_id, slot) "
    "DO UPDATE SET calls = {table}.calls + excluded.calls, failed = {table}.failed + excluded.failed"
)
NOTE = (
    "INSERT INTO {table} (scoring_fn_id, called_at, error, failed_at) VALUES (%s, %s, %s, %s) "
    "ON CONFLICT (scoring_fn_id) DO UPDATE SET called_at = excluded.called_at, "
    "error = CASE WHEN excluded.failed_at IS NULL THEN {table}.error ELSE excluded.error END, "
    "failed_at = COALESCE(excluded.failed_at, {table}.failed_at)"
)


@dataclass(frozen=True)
class Lately:
    """The calls of one function in the last 24 hours; ``p95_s`` is None where there were none."""

    calls: int = 0
    failed: int = 0
    p95_s: float | None = None
    called_at: datetime | None = None
    failed_at: datetime | None = None
    error: str = ""


def keep(counted: Counted) -> None:
    """Add what was counted; called inside a write."""
    if not counted.calls:
        return
    hour = int(time.time()) // HOUR_S
    counts = [(hour, *key, count, counted.failed.get(key, 0)) for key, count in counted.calls.items()]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # the other database has one writer at a time anyway
            # A transaction may keep the calls of several evaluations: two of them would come to wait for each other.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [ScorerCalls._meta.db_table])
        cursor.executemany(ADD.format(table=ScorerCalls._meta.db_table), counts)
    ScorerCalls.objects.filter(hour__lte=hour - HOURS).delete()
    at, names = now(), {name for name, _ in counted.calls}
    errors = {name: error.replace("\0", "")[:ERROR_CHARS] for name, error in counted.errors.items()}
    uses = [(name, at, errors.get(name, ""), at if name in errors else None) for name in names]
    with connection.cursor() as cursor:
        cursor.executemany(NOTE.format(table=ScorerUse._meta.db_table), uses)


def lately(names: Sequence[str]) -> dict[str, Lately]:
    """Return what the calls of each function came to; two queries, whatever their number."""
    since = int(time.time()) // HOUR_S - HOURS
    rows = ScorerCalls.objects.filter(hour__gt=since, scoring_fn_id__in=names).values_list("scoring_fn_id", "slot")
    found: dict[str, list[tuple[int, int, int]]] = {name: [] for name in names}
    for name, *counted in rows.annotate(Sum("calls"), Sum("failed")).order_by("slot"):
        found[name].append((counted[0], counted[1], counted[2]))
    uses = {use.scoring_fn_id: use for use in ScorerUse.objects.filter(scoring_fn_id__in=names)}
    return {name: _lately(found[name], uses.get(name)) for name in names}


def _lately(counts: list[tuple[int, int, int]], use: ScorerUse | None) -> Lately:
    calls, failed = sum(count for _, count, _ in counts), sum(failed for _, _, failed in counts)
    told = (use.called_at, use.failed_at, use.error) if use is not None else (None, None, "")
    return Lately(calls, failed, _p95(counts, calls), *told)


def _p95(counts: list[tuple[int, int, int]], calls: int) -> float | None:
    """Return the time 95 of 100 calls were done in."""
    below = 0
    for slot, count, _ in counts:
        below += count
        if below * 100 >= calls * 95:
            return seconds_of(slot)
    return None


def forget(name: str) -> None:
    """Drop what is kept of a function that is deleted: another one may get its name."""
    for rows in (ScorerCalls.objects, ScorerUse.objects):
        rows.filter(scoring_fn_id=name).delete()
