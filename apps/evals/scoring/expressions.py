"""Regular expressions that find the answer in a text: checked when they are given, timed when they are run."""

import time
from collections import OrderedDict
from collections.abc import Sequence

from django.conf import settings

from apps.core.errors import BadRequest
from apps.evals.scoring import pool, searching
from apps.evals.scoring.base import RowError

MOST = 200
LONGEST = 5_000
GIVEN_UP_AFTER = 3  # rows in a row that took too long
GIVEN_UP_S = 60.0
KEPT = 1_000
IN_PLACE = 5_000  # characters of a text that our own expressions are tried on without a child process

_trusted: set[tuple[str, ...]] = set()  # our own, known to be quick: they need no child process
_slow: OrderedDict[tuple[str, ...], tuple[int, float]] = OrderedDict()  # how often too slow, and when last


def trust(patterns: Sequence[str]) -> list[str]:
    """Return expressions of our own after noting that they may run in this process."""
    _trusted.add(tuple(patterns))
    return list(patterns)


async def check(patterns: Sequence[str], name: str) -> None:
    """Raise BadRequest naming the expression that cannot be used, and why; never called where others wait for a lock.

    A few thousand characters may take seconds to compile: that is done in a child process, for so long and no longer.
    """
    check_size(patterns, name)
    if not patterns:
        return
    try:
        wrong = await pool.run("fault", {"patterns": list(patterns)}, settings.REGEX_TIMEOUT_S)
    except RowError as error:
        raise BadRequest(
            f"{name}: takes longer than {settings.REGEX_TIMEOUT_S:g} s to be made ready. Make them simpler, or fewer."
        ) from error
    if wrong:
        number, why = wrong
        raise BadRequest(f"{name}.{number}: {why}")


def check_size(patterns: Sequence[str], name: str) -> None:
    """Raise BadRequest for too many expressions, or one that is too long."""
    if len(patterns) > MOST:
        raise BadRequest(f"{name}: at most {MOST} expressions")
    for number, pattern in enumerate(patterns):
        if len(pattern) > LONGEST:
            raise BadRequest(f"{name}.{number}: at most {LONGEST} characters")


async def first_group(patterns: Sequence[str], text: str) -> str | None:
    """Return group 1 of the first expression that matches; raises RowError for one that takes too long."""
    key = tuple(patterns)
    if key in _trusted and len(text) <= IN_PLACE:
        return searching.search({"patterns": patterns, "text": text})
    times, last = _slow.get(key, (0, 0.0))
    if times >= GIVEN_UP_AFTER and time.monotonic() - last < GIVEN_UP_S:
        raise RowError(f"Not tried: the expressions took too long on the last {times} rows. Make them simpler.")
    try:
        found: str | None = await pool.run(
            "search", {"patterns": list(patterns), "text": text}, settings.REGEX_TIMEOUT_S
        )
    except pool.TooSlow as error:
        _slow[key] = (times + 1, time.monotonic())
        if len(_slow) > KEPT:
            _slow.popitem(last=False)
        raise RowError(
            f"The expressions took longer than {settings.REGEX_TIMEOUT_S:g} s on this row. Make them simpler: "
            "a repetition inside a repetition, such as (a+)+, is the usual cause."
        ) from error
    _slow.pop(key, None)
    return found
