"""Expressions of users, run in a child process: some take for ever on some texts."""

import re
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


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> "re.Pattern[str]":
    return re.compile(pattern)
