"""What stops working without a dataset: the domains above say so, since this one does not know them."""

from collections.abc import Callable

Named = Callable[[str], tuple[list[str], int]]  # a dataset's id → the newest that need it, and how many do
_kinds: dict[str, Named] = {}


def register(kind: str, named: Named) -> None:
    """Let a domain tell which of its things need a dataset; ``kind`` is their name in words, as "benchmark"."""
    _kinds[kind] = named


def words(dataset_id: str) -> str:
    """Return what needs a dataset in a sentence, empty when nothing does."""
    told = [_told(kind, *named(dataset_id)) for kind, named in _kinds.items()]
    needed = [one for one in told if one]
    return f"Needed by {' and by '.join(needed)}." if needed else ""


def _told(kind: str, names: list[str], count: int) -> str:
    if not count:
        return ""
    more = f" and {count - len(names):,} more" if count > len(names) else ""
    return f"the {kind}{'s' if count > 1 else ''} {', '.join(names)}{more}"
