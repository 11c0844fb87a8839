"""The time a list or a chart looks at: a preset that ends now, or two moments; as it stands in an address."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

SECOND_NS = 1_000_000_000
PRESETS = {
    "1h": (3_600, "Last hour"),
    "24h": (86_400, "Last 24 hours"),
    "7d": (604_800, "Last 7 days"),
    "30d": (2_592_000, "Last 30 days"),
}
USUAL = "24h"
LATEST_S = 4_102_444_800  # the year 2100: later moments are typing errors


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when; ``start_ns`` is 0 for all there is, ``end_ns`` None for up to now."""

    preset: str
    start_ns: int = 0
    end_ns: int | None = None
    now_ns: int = 0
    problem: str = ""

    @property
    def until_ns(self) -> int:
        """The end in numbers: now, where none is told."""
        return self.now_ns if self.end_ns is None else self.end_ns

    @property
    def is_open(self) -> bool:
        """Whether what comes now belongs to it."""
        return self.end_ns is None

    @property
    def words(self) -> str:
        """What the window is called."""
        if self.preset in PRESETS:
            return PRESETS[self.preset][1]
        if self.preset == "all":
            return "All time"
        begins = said(self.start_ns) if self.start_ns else "the beginning"
        return f"{begins} – {said(self.end_ns) if self.end_ns is not None else 'now'} UTC"

    @property
    def start_value(self) -> str:
        """The start as a field of a form holds it."""
        return _field(self.start_ns) if self.preset == "own" and self.start_ns else ""

    @property
    def end_value(self) -> str:
        """The end as a field of a form holds it."""
        return _field(self.end_ns) if self.preset == "own" and self.end_ns is not None else ""

    @property
    def query(self) -> dict[str, str]:
        """What stands in an address; nothing for the usual one."""
        if self.preset != "own":
            return {} if self.preset == USUAL else {"range": self.preset}
        return {
            name: value for name, value in (("from", self.start_value), ("to", self.end_value)) if value
        }  # fmt: skip

    def before(self) -> "Window | None":
        """Return the window of the same length that ended when this one began; None for all time."""
        if not self.start_ns:
            return None
        length = self.until_ns - self.start_ns
        return Window("own", max(1, self.start_ns - length), self.start_ns, self.now_ns)


def parse(query: Mapping[str, str], now_ns: int | None = None) -> Window:
    """Return the window an address asks for: ``range`` (1h, 24h, 7d, all), or ``from`` and ``to``.

    Moments are RFC 3339 (UTC where no zone is told) or Unix seconds. What cannot be read is told as its ``problem``.
    """
    now = time.time_ns() if now_ns is None else now_ns
    told = [query.get(name, "").strip() for name in ("from", "to")]
    if any(told):
        start, end = (moment(text) for text in told)
        if (told[0] and start is None) or (told[1] and end is None):
            return _preset(USUAL, now, "The times could not be read; write them like 2026-01-31T14:00.")
        if start is not None and end is not None and end <= start:
            return _preset(USUAL, now, "The end of the time range must be after its start.")
        return Window("own", start or 0, end, now)
    name = query.get("range", "") or USUAL
    if name != "all" and name not in PRESETS:
        return _preset(USUAL, now, f"There is no time range “{name[:20]}”; there are {', '.join(PRESETS)} and all.")
    return _preset(name, now)


def _preset(name: str, now_ns: int, problem: str = "") -> Window:
    start = now_ns - PRESETS[name][0] * SECOND_NS if name in PRESETS else 0
    return Window(name, start, None, now_ns, problem)


def moment(text: str) -> int | None:
    """Return a moment in nanoseconds; None for what is none between 1970 and 2100."""
    try:
        if text.replace(".", "", 1).isdecimal() and len(text) <= 20:
            seconds = float(text)
        else:
            at = datetime.fromisoformat(text)
            seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return round(seconds * 1_000) * 1_000_000 if 0 <= seconds < LATEST_S else None


def time_of(ns: int) -> datetime:
    """Return nanoseconds as a moment, exact to the microsecond: a float could not hold it."""
    seconds, rest = divmod(ns, SECOND_NS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1_000)


def said(ns: int) -> str:
    """Return a moment in words, in UTC."""
    at = time_of(ns)
    return f"{at.day} {at:%b %H:%M:%S}" if at.second else f"{at.day} {at:%b %H:%M}"


def _field(ns: int | None) -> str:
    return "" if ns is None else time_of(ns).isoformat(timespec="seconds").removesuffix("+00:00")
