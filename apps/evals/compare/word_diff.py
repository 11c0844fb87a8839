"""What is the same in two texts and what is not, word by word."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

WORD = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")  # blanks belong to the word they lead to
MOST_PAIRS = 100_000  # of equal words in both texts: what comparing takes
ISLAND = 3  # so many times shorter than the changes around it, what is the same between them says nothing


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring words: ``same``, ``ins`` (only in the second text) or ``del`` (only in the first)."""

    kind: str
    text: str


@dataclass(slots=True)
class Hunk:
    """Text that is the same, and what stands behind it in the first text and in the second."""

    same: str
    old: str
    new: str

    @property
    def size(self) -> int:
        """How many characters the longer side of the change has."""
        return max(len(self.old), len(self.new))


def parts(before: str, after: str) -> list[Part] | None:
    """Return what leads from one text to the other; None when they are too long to be compared."""
    old, new = WORD.findall(f" {before}"), WORD.findall(f" {after}")  # the first word is one like the others
    head = _alike(old, new)
    tail = _alike(old[head:][::-1], new[head:][::-1])
    if _pairs(old[head : len(old) - tail], new[head : len(new) - tail]) > MOST_PAIRS:
        return None
    found = _begun(_joined(_hunks(old, new, head, tail)))
    sides = (part for hunk in found for part in (("same", hunk.same), ("del", hunk.old), ("ins", hunk.new)))
    return [Part(kind, text) for kind, text in sides if text]


def likeness(found: Sequence[Part]) -> float:
    """Return how much of the shorter text stands in the other one as well, from 0 to 1."""
    sizes = Counter[str]()
    for part in found:
        sizes[part.kind] += len(part.text)
    return sizes["same"] / max(1, sizes["same"] + min(sizes["del"], sizes["ins"]))


def _alike(old: Sequence[str], new: Sequence[str]) -> int:
    """Return how many words both begin with."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (one, two) in pairs if one != two), min(len(old), len(new)))


def _pairs(old: Sequence[str], new: Sequence[str]) -> int:
    there = Counter(new)
    return sum(count * there[word] for word, count in Counter(old).items())


def _hunks(old: list[str], new: list[str], head: int, tail: int) -> Iterator[Hunk]:
    middle = SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False)
    blocks = [(one.a + head, one.b + head, one.size) for one in middle.get_matching_blocks()]
    at, there, same = head, head, "".join(old[:head])
    for one, two, size in [*blocks[:-1], (len(old) - tail, len(new) - tail, tail)]:
        yield Hunk(same, "".join(old[at:one]), "".join(new[there:two]))
        at, there, same = one + size, two + size, "".join(old[one : one + size])
    yield Hunk(same, "", "")


def _joined(found: Iterator[Hunk]) -> list[Hunk]:
    """Return the hunks, those on both sides of a word or two in long changes as one: they read as one change."""
    done: list[Hunk] = []
    for hunk in found:
        if done and min(done[-1].size, hunk.size) >= len(hunk.same.strip()) * ISLAND:
            done[-1].old += hunk.same + hunk.old
            done[-1].new += hunk.same + hunk.new
        else:
            done.append(hunk)
    return done


def _begun(found: list[Hunk]) -> list[Hunk]:
    """Return the hunks without the blank that was put before both texts."""
    first = found[0]
    if first.same:
        first.same = first.same[1:]
    elif first.old and first.new:
        first.old, first.new = first.old[1:], first.new[1:]
    else:  # one text begins with words the other goes on without: their last blank is the one before what is the same
        first.old, first.new = (side[1:] + side[:1] for side in (first.old, first.new))
        found[1].same = found[1].same[1:]
    return found
