"""The numbers above the list of traces: how many, how many failed, how long they took, over time and against before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from apps.telemetry import windows
from apps.telemetry.models import Status, Trace
from apps.telemetry.traces.listing import EXACT, Asked
from apps.telemetry.windows import SECOND_NS

BARS = 60
HIGH = 40  # height of the strip in its own units
Told = tuple[int, int | None, str]  # start, end, status


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the strip: places in percent and heights in units of the strip, errors at the foot."""

    x: str
    y: str
    height: str
    error_y: str
    error_height: str


@dataclass(frozen=True, slots=True)
class Strip:
    """Traces over time. ``start_s`` and ``end_s`` say what a drag over it means."""

    bars: list[Bar]
    width: str
    words: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """How a number moved against the time before."""

    words: str
    is_good: bool


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is told of a filter's traces; with ``has_more`` only the newest ones were looked at, since ``since``."""

    count: int
    has_more: bool
    error_rate: float | None
    p95_s: float | None
    strip: Strip | None
    error_change: Change | None = None
    p95_change: Change | None = None
    since: str = ""


def numbers_of(asked: Asked) -> Numbers:
    """Return the numbers of what an address asks for, in two queries over at most the newest traces of each time."""
    told, has_more = _told(asked.traces())
    rate, p95 = _rate(told), _p95(told)
    before = asked.before() if told and not has_more else None
    earlier, is_cut = _told(before) if before is not None else ([], True)
    compares = bool(earlier) and not is_cut
    return Numbers(
        count=len(told),
        has_more=has_more,
        error_rate=rate,
        p95_s=p95,
        strip=_strip(asked, told, has_more=has_more),
        error_change=_change(rate, _rate(earlier), _points) if compares else None,
        p95_change=_change(p95, _p95(earlier), _seconds) if compares else None,
        since=windows.said(told[-1][0]) if has_more else "",
    )


def _told(traces: QuerySet[Trace]) -> tuple[list[Told], bool]:
    found = list(traces.order_by("-start_ns", "-pk").values_list("start_ns", "end_ns", "status")[: EXACT + 1])
    return found[:EXACT], len(found) > EXACT


def _rate(told: Sequence[Told]) -> float | None:
    return sum(status == Status.ERROR for _, _, status in told) / len(told) if told else None


def _p95(told: Sequence[Told]) -> float | None:
    took = sorted(end - start for start, end, _ in told if end is not None)
    return max(0, took[-(-len(took) * 95 // 100) - 1]) / SECOND_NS if took else None


def _change(now: float | None, before: float | None, words: Callable[[float], str]) -> Change | None:
    if now is None or before is None:
        return None
    told = words(abs(now - before))
    return Change(("+" if now > before else "\u2212") + told, now < before) if told.strip("0. ms") else None


def _points(value: float) -> str:
    return f"{value * 100:.1f}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 0.1 else f"{value:.1f} s"


def _strip(asked: Asked, told: Sequence[Told], *, has_more: bool) -> Strip | None:
    if not told:
        return None
    start = told[-1][0] if has_more or not asked.window.start_ns else asked.window.start_ns
    end = max(asked.window.until_ns, told[0][0] + 1)
    step = max(1, (end - start) / BARS)
    counts, errors = [0] * BARS, [0] * BARS
    for at, _, status in told:
        place = min(BARS - 1, int((at - start) / step))
        counts[place] += 1
        errors[place] += status == Status.ERROR
    highest, slot = max(counts), 100 / BARS
    bars = [
        _bar(place * slot + slot * 0.14, count, failed, highest)
        for place, (count, failed) in enumerate(zip(counts, errors, strict=True))
        if count
    ]
    words = (
        f"Traces per {_span(step / SECOND_NS)} over {_span((end - start) / SECOND_NS)}, highest {highest:,}, "
        f"errors in {sum(map(bool, errors))} of {BARS} bars"
    )
    return Strip(bars, f"{slot * 0.72:.2f}%", words, round(start / SECOND_NS, 3), round(end / SECOND_NS, 3))


def _bar(x: float, count: int, failed: int, highest: int) -> Bar:
    height = max(1.5, count / highest * (HIGH - 7))
    red = max(2.0, failed / highest * (HIGH - 7)) if failed else 0.0
    return Bar(f"{x:.2f}%", f"{HIGH - height:.1f}", f"{height:.1f}", f"{HIGH - red:.1f}", f"{red:.1f}" if red else "")


def _span(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}{'' if 0.995 < seconds / length < 1.005 else 's'}"
    return f"{seconds:.3g} seconds"
