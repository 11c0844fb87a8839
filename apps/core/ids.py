"""Names for new things."""

from uuid import uuid4


def new_id() -> str:
    """Return a fresh UUID4 as text: agents, sessions, turns and steps are named so."""
    return str(uuid4())
