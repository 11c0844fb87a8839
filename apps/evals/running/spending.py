"""What models asked while rows are scored take: noted where they are asked, gathered where a row is scored."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

Tally = dict[str, dict[str, int]]  # model id → calls, tokens, and how many of the calls told no tokens

_gathering: ContextVar[Tally | None] = ContextVar("gathering", default=None)


@contextmanager
def gathered() -> Iterator[Tally]:
    """Give the tally of all calls noted inside the block, also by tasks it starts."""
    tally: Tally = {}
    token = _gathering.set(tally)
    try:
        yield tally
    finally:
        _gathering.reset(token)


def note(model_id: str, input_tokens: int | None, output_tokens: int | None) -> None:
    """Count one call of a model, by the id it was asked by; counts of None are not known."""
    tally = _gathering.get()
    if tally is None:
        return
    is_unknown = input_tokens is None or output_tokens is None
    counts = {"calls": 1, "input_tokens": input_tokens or 0, "output_tokens": output_tokens or 0}
    add(tally, {model_id: counts | {"uncounted": int(is_unknown)}})


def add(tally: Tally, more: Mapping[str, Mapping[str, int]]) -> None:
    """Add the counts of another tally to one."""
    for model_id, counts in more.items():
        mine = tally.setdefault(model_id, {})
        for name, number in counts.items():
            mine[name] = mine.get(name, 0) + number
