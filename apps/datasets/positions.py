"""Where the n-th row of a dataset stands. Rows keep their position for ever; what was deleted leaves a gap.

Gaps are ``[start, length]`` pairs, sorted and never touching, so that the n-th row is found without counting rows.
"""

from bisect import bisect_right
from collections.abc import Iterable

Gaps = list[list[int]]


def position_of(gaps: Gaps, index: int) -> int:
    """Return the position of the row with this index, counted from 0."""
    for start, length in gaps:
        if start > index:
            break
        index += length
    return index


def index_of(gaps: Gaps, position: int) -> int:
    """Return how many rows stand before this position."""
    return position - sum(min(length, position - start) for start, length in gaps if start < position)


def after_rows(gaps: Gaps, position: int, count: int) -> int:
    """Return the position behind the ``count`` rows that begin at ``position``."""
    return position_of(gaps, index_of(gaps, position) + count - 1) + 1


def before_rows(gaps: Gaps, position: int, count: int) -> int:
    """Return the position of the first of the ``count`` rows that end before ``position``."""
    return position_of(gaps, max(0, index_of(gaps, position) - count))


def is_gap(gaps: Gaps, position: int) -> bool:
    """Return whether the row at this position was deleted."""
    at = bisect_right(gaps, [position, 1 << 62]) - 1
    return at >= 0 and position < gaps[at][0] + gaps[at][1]


def with_gaps(gaps: Gaps, positions: Iterable[int]) -> Gaps:
    """Return the gaps after the rows at these positions were deleted."""
    merged: Gaps = []
    for start, length in sorted([*gaps, *([position, 1] for position in positions)]):
        if merged and start <= merged[-1][0] + merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], start + length - merged[-1][0])
        else:
            merged.append([start, length])
    return merged
