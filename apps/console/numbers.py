"""Turns of the last 24 hours in four numbers, each with its line over the hours."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncHour
from django.utils.timezone import now

from apps.agents.models import Status, Turn
from apps.console.sparks import Spark, spark
from apps.telemetry import windows
from apps.telemetry.metrics import turn_panels
from apps.telemetry.models import Trace

HOURS = 24
DAY = timedelta(hours=HOURS)
TIMED = 10_000  # turn times looked at: the newest
Times = list[tuple[datetime, float]]


@dataclass(frozen=True)
class Numbers:
    """Turns of the last 24 hours in four numbers; an unknown one is None."""

    turns: int
    failed: int
    p95_s: float | None
    tokens_in: int | None
    tokens_out: int | None
    lines: dict[str, Spark | None] = field(default_factory=dict)

    @property
    def error_rate(self) -> float | None:
        """The share of turns that failed; unknown without turns."""
        return self.failed / self.turns if self.turns else None

    @property
    def tokens(self) -> int | None:
        """Tokens in and out together."""
        if self.tokens_in is None and self.tokens_out is None:
            return None
        return (self.tokens_in or 0) + (self.tokens_out or 0)


def numbers(since: datetime) -> Numbers:
    """Return the numbers of the turns that began after ``since``, in two queries."""
    turns = Turn.objects.filter(started_at__gte=since)
    by_hour, times = _by_hour(turns), _times(since)
    return Numbers(
        turns=_sum(by_hour, "turns") or 0,
        failed=_sum(by_hour, "failed") or 0,
        p95_s=p95([seconds for _, seconds in times]),
        tokens_in=_sum(by_hour, "tokens_in"),
        tokens_out=_sum(by_hour, "tokens_out"),
        lines=_lines(by_hour, times),
    )


def p95(seconds: list[float]) -> float | None:
    """Return the time that 95 of 100 stay under."""
    return turn_panels.ranked(sorted(seconds), 95) if seconds else None


def _times(since: datetime) -> Times:
    """Return when turns began or went on and how long they took, from the traces that Metrics counts: a turn's row
    does not tell its time from the time it waited for a person."""
    begun = Trace.objects.filter(start_ns__gte=int(since.timestamp()) * windows.SECOND_NS)
    pairs = turn_panels.timed(begun).order_by("-start_ns").values_list("start_ns", "end_ns")[:TIMED]
    return [
        (windows.time_of(start), max(0, (end or start) - start) / windows.SECOND_NS)
        for start, end in reversed(list(pairs))
    ]


def _sum(by_hour: dict[datetime, Any], name: str) -> int | None:
    known = [row[name] for row in by_hour.values() if row[name] is not None]
    return sum(known) if known else None


def _lines(by_hour: dict[datetime, Any], times: Times) -> dict[str, Spark | None]:
    slow = {hour: p95([seconds for _, seconds in some]) for hour, some in groupby(times, lambda one: _hour(one[0]))}
    hours = [_hour(now()) - timedelta(hours=back) for back in range(HOURS - 1, -1, -1)]
    counts = [by_hour.get(hour, {}) for hour in hours]
    return {
        "turns": spark([one.get("turns", 0) for one in counts], "Turns per hour"),
        "errors": spark([one["failed"] / one["turns"] if one else None for one in counts], "Error rate per hour"),
        "p95": spark([slow.get(hour) for hour in hours], "95th percentile of turn time per hour"),
        "tokens": spark(
            [(one.get("tokens_in") or 0) + (one.get("tokens_out") or 0) for one in counts], "Tokens per hour"
        ),
    }


def _by_hour(turns: QuerySet[Turn]) -> dict[datetime, Any]:
    rows = turns.order_by().annotate(hour=TruncHour("started_at", tzinfo=UTC)).values("hour")
    counted = rows.annotate(
        turns=Count("id"),
        failed=Count("id", filter=Q(status=Status.FAILED)),
        tokens_in=Sum("input_tokens"),
        tokens_out=Sum("output_tokens"),
    )
    return {row["hour"]: row for row in counted}


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
