"""What is the same in two texts and what is not, word by word."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

WORD = re.compile(r"\w+|\s+|[^\w\s]")
MOST_WORDS = 2_000  # of a text; comparing takes the product of both


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring words: ``same``, ``ins`` (only in the second text) or ``del`` (only in the first)."""

    kind: str
    text: str


def parts(before: str, after: str) -> list[Part] | None:
    """Return what leads from one text to the other; None when they are too long to be compared."""
    old, new = WORD.findall(before), WORD.findall(after)
    if max(len(old), len(new)) > MOST_WORDS:
        return None
    return _joined(_changes(old, new))


def _changes(old: list[str], new: list[str]) -> Iterator[Part]:
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield Part("same", "".join(old[a:b]))
            continue
        if b > a:
            yield Part("del", "".join(old[a:b]))
        if d > c:
            yield Part("ins", "".join(new[c:d]))


def _joined(found: Iterator[Part]) -> list[Part]:
    """Return the parts, with blanks between two changes counted to both: words in between read as one change."""
    done: list[Part] = []
    waiting: dict[str, str] = {"del": "", "ins": ""}
    for part in found:
        if part.kind == "same" and part.text.strip():
            done += [Part(kind, text) for kind, text in waiting.items() if text]
            waiting = {"del": "", "ins": ""}
            done.append(part)
        elif part.kind == "same" and any(waiting.values()):
            waiting = {kind: text + part.text for kind, text in waiting.items()}
        elif part.kind == "same":
            done.append(part)
        else:
            waiting[part.kind] += part.text
    return done + [Part(kind, text) for kind, text in waiting.items() if text]
