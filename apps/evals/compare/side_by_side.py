"""Two answers to one row beside each other: what differs is marked, what says nothing new is left out and counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from apps.evals.compare import word_diff

WHOLE = 1_600  # characters that are a click away; the row's own page has all of them
SHORT = 80  # of answers that differ in no more characters all marks can be read
ALIKE = 0.4
REWRITTEN, TOO_LONG = "rewritten", "too long to mark what differs"

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Room:
    """How many characters are shown of an answer, more or less, how many of them on either side of a change.

    What is no longer than ``gap`` is not left out.
    """

    most: int
    around: int
    gap: int

    @property
    def beginning(self) -> Span:
        """What is shown of a long text of which nothing else is wanted."""
        return 0, self.most - self.around


FULL, BRIEF = Room(700, 90, 40), Room(80, 20, 12)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of an answer: ``same``, ``ins``, ``del`` or ``plain``; one that is left out has a length only."""

    kind: str
    text: str = ""
    is_expected: bool = False
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What is shown of an answer: in a line of a table, ``brief``, and in an open one, ``pieces``.

    ``whole`` has more of it where something is left out of both.
    """

    text: str
    pieces: list[Piece]
    brief: list[Piece]

    @property
    def whole(self) -> str:
        """The answer from its beginning; empty when all of it is shown."""
        return self.text[:WHOLE] if any(piece.left_out for piece in self.pieces) else ""

    @property
    def is_longer(self) -> bool:
        """Whether only the row's own page has all of it."""
        return len(self.text) > WHOLE


def of(before: str, after: str, expected: str) -> tuple[Answer, Answer, str]:
    """Return both answers, and in a word why what differs is not marked; "" when it is.

    Where the expected answer stands it is marked: functions that look for it score by that.
    """
    found = word_diff.parts(before, after)
    why = TOO_LONG if found is None else REWRITTEN if _is_rewritten(found) else ""
    if found is None or why or word_diff.likeness(found) == 0:
        return _answer(before, [("plain", before)], expected), _answer(after, [("plain", after)], expected), why
    sides = ([(part.kind, part.text) for part in found if part.kind != gone] for gone in ("ins", "del"))
    return _answer(before, next(sides), expected), _answer(after, next(sides), expected), ""


def _is_rewritten(found: Sequence[word_diff.Part]) -> bool:
    changed = [sum(len(part.text) for part in found if part.kind == kind) for kind in ("del", "ins")]
    return min(changed) > SHORT and word_diff.likeness(found) < ALIKE


def _answer(text: str, parts: Sequence[tuple[str, str]], expected: str) -> Answer:
    spans, at = [], 0
    for kind, some in parts:
        spans.append((kind, (at, at + len(some))))
        at += len(some)
    changed = [span for kind, span in spans if kind in ("ins", "del")]
    found = _expected(text, expected, changed)
    halves = [(start, min(end, start + FULL.most // 2)) for start, end in changed]  # room for more than one
    full = _windows(text, [*([found] if found else []), *(halves or [FULL.beginning])], FULL)
    brief = _windows(text, changed or [found or BRIEF.beginning], BRIEF)
    return Answer(text, list(_pieces(text, spans, full, found)), list(_pieces(text, spans, brief, found)))


def _expected(text: str, expected: str, changed: Sequence[Span]) -> Span | None:
    """Return where the expected answer stands within another one: where something changed, else the first time."""
    if not expected.strip() or expected == text:
        return None
    first = text.find(expected)
    at = first
    while at >= 0:
        if any(start < at + len(expected) and at < end for start, end in changed):
            return at, at + len(expected)
        at = text.find(expected, at + len(expected))
    return (first, first + len(expected)) if first >= 0 else None


def _windows(text: str, wanted: Sequence[Span], room: Room) -> list[Span]:
    """Return what is shown of a text: all of a short one, of a long one what is wanted and the words around it."""
    if len(text) <= room.most:
        return [(0, len(text))]
    left, shown = room.most, []
    for start, end in wanted:
        if left > 0:
            end = min(end, start + room.most - room.around)
            window = _at_words(text, start - room.around, end + room.around, room.gap)
            left -= window[1] - window[0]
            shown.append(window)
    return _merged(sorted(shown), len(text), room.gap)


def _at_words(text: str, start: int, end: int, gap: int) -> Span:
    """Return the span, made a little smaller where it would begin or end within a word."""
    start, end = max(0, start), min(len(text), end)
    begins = text.find(" ", start, start + gap) if start else -1
    ends = text.rfind(" ", end - gap, end) if end < len(text) else -1
    return (begins + 1 if begins >= 0 else start), (ends if ends >= 0 else end)


def _merged(windows: Sequence[Span], size: int, gap: int) -> list[Span]:
    done: list[Span] = []
    for start, end in windows:
        if done and start - done[-1][1] <= gap:
            done[-1] = (done[-1][0], max(end, done[-1][1]))
        else:
            done.append((0 if start <= gap else start, end))
    if size - done[-1][1] <= gap:
        done[-1] = (done[-1][0], size)
    return done


def _pieces(text: str, spans: Sequence[tuple[str, Span]], shown: Sequence[Span], found: Span | None) -> Iterator[Piece]:
    at = 0
    for start, end in shown:
        yield from _left_out(spans, at, start)
        for kind, (a, b) in spans:
            edges = sorted({min(max(edge, start, a), end, b) for edge in (a, b, *(found or ()))})
            for one, two in pairwise(edges):
                if start <= one < two <= end:
                    yield Piece(kind, text[one:two], found is not None and found[0] <= one and two <= found[1])
        at = end
    yield from _left_out(spans, at, len(text))


def _left_out(spans: Sequence[tuple[str, Span]], start: int, end: int) -> Iterator[Piece]:
    if start < end:
        kinds = {kind for kind, (a, b) in spans if a < end and start < b}
        yield Piece("same" if kinds == {"same"} else "plain", left_out=end - start)
