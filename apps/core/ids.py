"""Names for new things, and which names can be found again."""

from collections.abc import Iterable
from itertools import chain, count
from uuid import uuid4

LONGEST_ID = 255
UNADDRESSABLE = ("?", "#")  # clients do not encode ids: what follows would not be part of the path
DOTS = (".", "..")  # as a segment of a path, clients and servers take these out


def new_id() -> str:
    """Return a fresh UUID4 as text: agents, sessions, turns and steps are named so."""
    return str(uuid4())


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return the name, with the first number behind it that makes it one that is not taken: ``name-2``, ``name-3``."""
    known = set(taken)
    numbered = (f"{name}-{number}" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in known)


def why_unfit(name: str) -> str:
    """Return why a name cannot be the id of something that stands in addresses, empty when it can."""
    if not name.strip() or len(name) > LONGEST_ID:
        return f"must have 1 to {LONGEST_ID} characters"
    if not name.isprintable() or name != name.strip() or any(mark in name for mark in UNADDRESSABLE):
        return "must hold no control characters, '?' or '#', and no blanks at its ends"
    return "must have no '.' or '..' between slashes" if any(part in DOTS for part in name.split("/")) else ""
