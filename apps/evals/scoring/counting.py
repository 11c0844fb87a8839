"""Calls of scoring functions, counted while rows are scored. Knows no database."""

import math
import time
from dataclasses import dataclass, field

STEPS = 8  # slots a doubling of the time has: a time read back from its slot is at most 9 % too long
SHORTEST_S = 1e-6
Key = tuple[str, int]  # function id, slot of the time it took


def slot_of(seconds: float) -> int:
    """Return the slot of a time: calls that took about as long as each other share one."""
    return math.ceil(STEPS * math.log2(max(seconds, SHORTEST_S) / SHORTEST_S))


def seconds_of(slot: int) -> float:
    """Return the longest time of a slot."""
    return SHORTEST_S * 2 ** (slot / STEPS)


@dataclass
class Counted:
    """What was counted since the last time it was taken: calls, those that gave no score, the newest error of each."""

    calls: dict[Key, int] = field(default_factory=dict)
    failed: dict[Key, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


class Counting:
    """Counts calls of scoring functions until somebody keeps them."""

    def __init__(self) -> None:
        self._counted = Counted()

    def count(self, name: str, began: float, error: str) -> None:
        """Count a call that began at this time of ``time.perf_counter`` and has just ended."""
        key, counted = (name, slot_of(time.perf_counter() - began)), self._counted
        counted.calls[key] = counted.calls.get(key, 0) + 1
        if error:
            counted.failed[key] = counted.failed.get(key, 0) + 1
            counted.errors[name] = error

    def take(self) -> Counted:
        """Return what was counted, and begin anew."""
        taken, self._counted = self._counted, Counted()
        return taken
