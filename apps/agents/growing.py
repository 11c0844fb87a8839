"""A text that grows: which of it is finished and can be rendered once and for all."""

import re
from itertools import pairwise

from apps.core import markdown

ITEM = re.compile(r"^(?:[-*+]|\d{1,9}[.)])[ \t]", re.MULTILINE)


def split(text: str) -> tuple[str, str]:
    """Return the finished part and the open tail: whole blocks, and of an open list the items before its last.

    ``finished + tail == text`` always holds; what is finished stays so however the text goes on.
    """
    finished, tail = markdown.split_blocks(text)
    starts = [match.start() for match in ITEM.finditer(tail)]
    if len(starts) < 2 or starts[0] or not _is_one_list(tail, starts):
        return finished, tail
    return finished + tail[: starts[-1]], tail[starts[-1] :]


def _is_one_list(tail: str, starts: list[int]) -> bool:
    """Tell whether every item closes what it opens: a code block may hold lines that only look like items."""
    return all(tail[begin:end].count("```") % 2 == 0 for begin, end in pairwise(starts))
