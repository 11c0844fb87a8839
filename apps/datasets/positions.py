"""Where the n-th row of a dataset stands. Rows keep their position for ever; what was deleted leaves a gap.

Gaps are ``[start, length]`` pairs, sorted and never touching, so that the n-th row is found without counting rows.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate

Gaps = list[list[int]]


class Places:
    """Gaps made ready to be asked about many rows: making it takes one pass, each answer a bisection."""

    def __init__(self, gaps: Gaps) -> None:
        self._starts = [start for start, _ in gaps]
        self._gone = [0, *accumulate(length for _, length in gaps)]  # before each gap, and behind the last
        self._indices = [start - gone for start, gone in zip(self._starts, self._gone, strict=False)]

    def position_of(self, index: int) -> int:
        """Return the position of the row with this index, counted from 0."""
        return index + self._gone[bisect_right(self._indices, index)]

    def index_of(self, position: int) -> int:
        """Return how many rows stand before this position."""
        at = bisect_left(self._starts, position)
        before = position - self._gone[at]
        return max(before, self._indices[at - 1]) if at else before  # more only where it lies inside of a gap

    def after_rows(self, position: int, count: int) -> int:
        """Return the position behind the ``count`` rows that begin at ``position``."""
        return self.position_of(self.index_of(position) + count - 1) + 1

    def before_rows(self, position: int, count: int) -> int:
        """Return the position of the first of the ``count`` rows that end before ``position``."""
        return self.position_of(max(0, self.index_of(position) - count))


def with_gaps(gaps: Gaps, positions: Iterable[int]) -> Gaps:
    """Return the gaps after the rows at these positions were deleted."""
    merged: Gaps = []
    for start, length in sorted([*gaps, *([position, 1] for position in positions)]):
        if merged and start <= merged[-1][0] + merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], start + length - merged[-1][0])
        else:
            merged.append([start, length])
    return merged
