"""What a panel of numbers over time is made of. Knows no database and no page.

A bucket without anything to tell is None and stays a gap; a panel of nothing but gaps has no data.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.telemetry.windows import SECOND_NS, Window

MOST_BUCKETS = 75
STEPS = (1, 5, 10, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000, 31_536_000)
HELP = {
    "turns": "Turns that began. One that waited for a person and went on is one turn.",
    "errors": "Turns that failed, of the turns that began.",
    "time": "From the question, or the answer to a tool call, until the turn ended or waited for a person. "
    "Failed turns are left out.",
    "tokens": "In every call of a model: in turns, outside of turns, and of other programs.",
}
Values = Mapping[int, float | None]  # by the time at which a bucket begins


@dataclass(frozen=True, slots=True)
class Buckets:
    """A window cut into equal pieces that begin at multiples of ``step_s`` since 1970, in UTC."""

    start_ns: int
    end_ns: int
    step_s: int

    @classmethod
    def of(cls, window: Window, first_ns: int = 0) -> "Buckets":
        """Return at most ``MOST_BUCKETS`` pieces; ``first_ns`` is where all time begins."""
        start = window.start_ns or min(first_ns, window.until_ns - 1)
        seconds = (window.until_ns - start) / SECOND_NS
        step = next((step for step in STEPS if seconds / step <= MOST_BUCKETS), STEPS[-1])
        return cls(start, window.until_ns, step)

    @property
    def times(self) -> list[int]:
        """When each piece begins, in seconds; the first may begin before the window."""
        first = self.start_ns // SECOND_NS // self.step_s * self.step_s
        return list(range(first, -(-self.end_ns // SECOND_NS), self.step_s))

    @property
    def words(self) -> str:
        """How long a piece is."""
        for name, size in (("day", 86_400), ("hour", 3_600), ("min", 60), ("s", 1)):
            if self.step_s % size == 0:
                count = self.step_s // size
                plural = "s" if count > 1 and name in ("day", "hour") else ""
                return f"{count} {name}{plural}"
        raise AssertionError(self.step_s)


@dataclass(frozen=True, slots=True)
class Line:
    """Values over time, one for each bucket. ``tone`` names its colour: c1 to c4, c5 for errors, t1 to t12 of many."""

    name: str
    values: list[float | None]
    tone: str = "c1"


@dataclass(frozen=True, slots=True)
class Link:
    """A way from a panel to what is behind it."""

    words: str
    url: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over the same buckets. ``unit`` says how values are written: s, % or a word; counts have none.

    ``total`` sums the window up in one number, which ``about`` explains; ``HELP`` says what is counted.
    """

    name: str
    title: str
    unit: str
    lines: list[Line]
    total: float | None = None
    about: str = ""
    note: str = ""
    shape: str = "lines"  # or bars, one upon another
    links: list[Link] = field(default_factory=list)

    @property
    def help(self) -> str:
        """What is counted, in a sentence."""
        return HELP.get(self.name, "")

    @property
    def has_data(self) -> bool:
        """Whether there is anything to draw."""
        return any(value is not None for line in self.lines for value in line.values)

    def words(self, times: Sequence[int]) -> str:
        """Return what the chart shows, for those who do not see it."""
        told = [_told(line) for line in self.lines]
        return f"{self.title} at {len(times)} points in time. " + " ".join(filter(None, told))

    def drawn(self) -> dict[str, Any]:
        """Return what a script draws."""
        lines = [{"name": line.name, "tone": line.tone, "values": line.values} for line in self.lines]
        return {"unit": self.unit, "shape": self.shape, "lines": lines}

    def rows(self, times: Sequence[int]) -> Iterable[tuple[int, list[float | None]]]:
        """Return the buckets that tell something, newest first: when, and the value of each line."""
        for place in range(len(times) - 1, -1, -1):
            values = [line.values[place] for line in self.lines]
            if any(value is not None for value in values):
                yield times[place], values


def _told(line: Line) -> str:
    known = [value for value in line.values if value is not None]
    if not known:
        return ""
    return f"{line.name}: lowest {min(known):.4g}, highest {max(known):.4g}, last {known[-1]:.4g}."


def line(name: str, times: Sequence[int], values: Values, tone: str = "c1") -> Line:
    """Return the line through values by time; a time without one is a gap."""
    return Line(name, [values.get(time) for time in times], tone)
