"""How fast a job gets on and how long the rest takes at that pace: unknown while it waits or stands still."""

import time
from collections.abc import Callable

STILL_S = 5.0  # nobody stands still for less


class Speed:
    """Measures what is done, from the first time it is told."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, float] | None = None  # when it was measured first, and what was done
        self._last = (0.0, 0.0)  # when more was done the last time, and what
        self._longest_s = 0.0  # that it took until more was done

    def forget(self) -> None:
        """Measure anew: what comes has nothing to do with what was."""
        self._first = None

    def told(self, done: float, total: float | None) -> dict[str, float]:
        """Return the rate and the seconds left; neither while it takes far longer than ever before to get on."""
        at = self._clock()
        if self._first is None or done < self._first[1]:
            self._first = self._last = (at, done)
            self._longest_s = 0.0
        if done > self._last[1]:
            self._longest_s = max(self._longest_s, at - self._last[0])
            self._last = (at, done)
        elapsed, made = at - self._first[0], done - self._first[1]
        is_still = at - self._last[0] > max(STILL_S, 2 * self._longest_s)
        if elapsed < 1 or made <= 0 or is_still:
            return {}
        rate = made / elapsed
        return {"rate": rate} | ({"eta_s": max(0.0, (total - done) / rate)} if total else {})
