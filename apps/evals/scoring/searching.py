"""Expressions of users, compiled and run in a child process: some take for ever, on some texts or on any."""

import re
import warnings
from functools import lru_cache
from typing import Any


def search(payload: Any) -> str | None:
    """Return group 1 of the first expression that matches anywhere in the text; None when none does."""
    for pattern in payload["patterns"]:
        found = _compiled(pattern).search(payload["text"])
        if found is not None:
            text: str | None = found.group(1)
            return text
    return None


def fault(payload: Any) -> tuple[int, str] | None:
    """Return the place of the first expression that cannot be used, and why; None when all can."""
    for number, pattern in enumerate(payload["patterns"]):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                groups = re.compile(pattern).groups
        except (re.error, RecursionError, OverflowError) as error:
            return number, f"is not a regular expression: {error}"
        if not groups:
            return number, "needs a group, as in 'Answer: (.*)', that holds the answer"
    return None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> "re.Pattern[str]":
    return re.compile(pattern)
