"""Panels of what whole traces tell: turns, errors, how long turns took, tokens.

Each number is counted in the traces that the list of traces shows for the panel's link: same filter, same time.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.expressions import Combinable

from apps.telemetry.metrics.panels import Buckets, Line, Panel, line
from apps.telemetry.models import Kind, Status, Trace
from apps.telemetry.traces.listing import Asked
from apps.telemetry.windows import SECOND_NS

TURNS, RUNS, FAILED = "kind:turn -name:resume_agent_turn", "kind:turn status:ok", "kind:turn status:error"
WITH_TOKENS = "tokens>=0"
TIMED = 50_000  # times that are ranked; of more, an even sample
SHARES = {"p50": 50, "p95": 95, "p99": 99}
Timed = Iterable[tuple[int, float]]  # the bucket's begin in seconds, and how long it took


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted per bucket over all traces of a window."""

    turns: dict[int, int]
    runs: dict[int, int]
    failed: dict[int, int]
    tokens_in: dict[int, int | None]
    tokens_out: dict[int, int | None]


def bucket_of(field: str, buckets: Buckets) -> Combinable:
    """Return when the bucket of a time in nanoseconds begins, in seconds."""
    return F(field) / SECOND_NS - F(field) / SECOND_NS % buckets.step_s


def counted(asked: Asked, buckets: Buckets) -> Counted:
    """Return the counts of a window, in one query. A turn that was resumed is one turn and two runs."""
    is_turn = Q(kind=Kind.TURN)
    # Said as the filter says it: see TURNS.
    rows: Any = asked.traces().values(bucket=bucket_of("start_ns", buckets)).annotate(
        turns=Count("pk", filter=is_turn & ~Q(name__icontains="resume_agent_turn")),
        runs=Count("pk", filter=is_turn),
        failed=Count("pk", filter=is_turn & Q(status=Status.ERROR)),
        tokens_in=Sum("input_tokens"),
        tokens_out=Sum("output_tokens"),
    )  # fmt: skip
    told: dict[str, dict[int, Any]] = {name: {} for name in Counted.__slots__}
    for row in rows:
        for name, values in told.items():
            values[row["bucket"]] = row[name]
    return Counted(**told)


def of_counts(counts: Counted, times: Sequence[int]) -> list[Panel]:
    """Return the panels of turns, errors and tokens. The error rate is failed turns by turns, as on the first page."""
    runs, failed = sum(counts.runs.values()), sum(counts.failed.values())
    rates = {time: _rate(counts.failed[time], counts.turns[time]) for time, count in counts.runs.items() if count}
    turns = {time: counts.turns[time] for time, count in counts.runs.items() if count}
    sides = {"In": counts.tokens_in, "Out": counts.tokens_out}
    known = {name: [count for count in side.values() if count is not None] for name, side in sides.items()}
    tokens = sum(map(sum, known.values())) if any(known.values()) else None
    tokens_about = f"{sum(known['In']):,} in" if tokens is not None else ""
    lines = [line(name, times, side, f"c{tone}") for tone, (name, side) in enumerate(sides.items(), 1)]
    started = sum(counts.turns.values()) if runs else None
    rate, rate_about = (_rate(failed, started or 0), f"{failed:,} failed") if runs else (None, "")
    return [
        Panel("turns", "Turns", "", [line("Turns", times, turns)], started, shape="bars"),
        Panel("errors", "Error rate", "%", [line("Failed turns", times, rates, "c5")], rate, rate_about),
        Panel("tokens", "Tokens of all model calls", "tokens", lines, tokens, tokens_about, shape="bars"),
    ]


def _rate(failed: int, turns: int) -> float | None:
    """Return the share of turns that failed; one that failed when it was resumed may have begun before."""
    return failed / max(turns, failed) if turns or failed else None


def turn_time(asked: Asked, buckets: Buckets, times: Sequence[int], runs: int) -> Panel:
    """Return the panel of how long turns took until they ended or waited for a person."""
    rows, note = sample(timed(asked.traces()), runs)
    took = rows.values_list(bucket_of("start_ns", buckets), F("end_ns") - F("start_ns"))
    lines, total = percentiles(((time, max(0, ns) / SECOND_NS) for time, ns in took.iterator(10_000)), times)
    return Panel("time", "Turn time", "s", lines, total, "p95", note)


def timed(traces: QuerySet[Trace]) -> QuerySet[Trace]:
    """Return the runs whose time says how fast the server answers; a run ends where a person is waited for."""
    return traces.filter(kind=Kind.TURN, status=Status.OK, end_ns__isnull=False)


def sample(rows: Any, count: int) -> tuple[Any, str]:
    """Return the rows, or of more than ``TIMED`` an even sample with the words that say so."""
    if count <= TIMED:
        return rows, ""
    each = -(-count // TIMED)
    return rows.alias(place=F("pk") % each).filter(place=0), f"one in {each} measured"


def percentiles(timed: Timed, times: Sequence[int]) -> tuple[list[Line], float | None]:
    """Return the lines of the percentiles by bucket, and the 95th of all."""
    by_time: dict[int, list[float]] = defaultdict(list)
    for time, seconds in timed:
        by_time[time].append(seconds)
    for values in by_time.values():
        values.sort()
    lines = [
        line(name, times, {time: ranked(values, share) for time, values in by_time.items()}, f"c{tone}")
        for tone, (name, share) in enumerate(SHARES.items(), 1)
    ]
    everything = sorted(value for values in by_time.values() for value in values)
    return lines, ranked(everything, 95) if everything else None


def ranked(values: Sequence[float], share: int) -> float:
    """Return the value that ``share`` of 100 sorted values do not exceed."""
    return values[-(-len(values) * share // 100) - 1]
