"""The words a list of traces is filtered by: ``status:error model:tiny duration>2s attr.user=42 -agent:docs "words"``.

A filter is its text: what is read here is written back the same, so that an address, a chip and a form mean one thing.
What is not understood is kept as a term with its problem, and the filter then matches nothing: a list that shows more
than was meant would be acted on. What the words mean is told by ``filter_words``.
"""

import difflib
import re
from dataclasses import dataclass

from django.db.models import BigIntegerField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Coalesce

from apps.telemetry.models import Trace
from apps.telemetry.traces.filter_words import EXAMPLES, SYNONYMS, WORDS, Refused, Wanted, attribute, listed, says

MOST_CHARS, MOST_TERMS = 2_000, 20
PIECE = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*"?)+')
COMPARES = r"(?P<op>!=|<=|>=|:|=|<|>)(?P<value>.*)"
WORD = re.compile(r"(?P<name>[A-Za-z_]+)" + COMPARES, re.S)
ATTRIBUTE = re.compile(r'attr\.(?P<key>"(?:[^"\\]|\\.)+"|[^\s"=<>!:]+)' + COMPARES, re.S)
DOTTED = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)+" + COMPARES, re.S)
BARE = re.compile(r"\d+(\.\d+)?")
QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"'})


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a filter: ``text`` is how it is written, ``note`` how it was read where that is not plain.

    ``problem`` says why it cannot be used.
    """

    text: str
    fits: Q | None = None
    is_not: bool = False
    problem: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was read."""

    terms: tuple[Term, ...] = ()

    @property
    def text(self) -> str:
        """The filter as it is written."""
        return " ".join(term.text for term in self.terms)

    @property
    def problems(self) -> list[str]:
        """What of it cannot be used, and what might have been meant."""
        return [term.problem for term in self.terms if term.problem]

    def without(self, at: int) -> str:
        """Return the text with one term left out."""
        return " ".join(term.text for place, term in enumerate(self.terms) if place != at)

    def of(self, traces: QuerySet[Trace]) -> QuerySet[Trace]:
        """Return those of the traces that every term fits; none when one was not understood."""
        if self.problems:
            return traces.none()
        # Wrapped, or Django holds the sums for 32-bit numbers and finds nothing beyond two seconds on Postgres.
        whole = BigIntegerField()
        told = Coalesce(F("input_tokens"), 0) + Coalesce(F("output_tokens"), 0)
        traces = traces.alias(
            took_ns=ExpressionWrapper(F("end_ns") - F("start_ns"), output_field=whole),
            all_tokens=ExpressionWrapper(told, output_field=whole),
        )
        for term in self.terms:
            if term.fits is not None:
                traces = traces.exclude(term.fits) if term.is_not else traces.filter(term.fits)
        return traces


def parse(text: str, since_ns: int = 0) -> Filter:
    """Return what a text asks for; ``since_ns`` is the time before which no trace begins that could fit."""
    cleaned = text[:MOST_CHARS].replace("\0", "").translate(QUOTES)
    pieces = PIECE.findall(cleaned)
    terms = [_term(piece, since_ns) for piece in pieces[:MOST_TERMS]]
    if len(pieces) > MOST_TERMS:
        extra = " ".join(pieces[MOST_TERMS:])
        terms.append(Term(extra, problem=f"A filter has at most {MOST_TERMS} parts; take some away."))
    return Filter(tuple(terms))


def written(name: str, value: str, op: str = ":") -> str:
    """Return a term as it is written, in quotes where its value needs them."""
    return f"{name}{op}{quoted(value)}"


def attribute_term(key: str, value: str, op: str = "=") -> str:
    """Return the term that compares an attribute; a key with letters that compare stands in quotes."""
    plain = key.translate(QUOTES)
    name = '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"' if re.search(r"[=<>!:]", plain) else quoted(key)
    return f"attr.{name}{op}{quoted(value)}"


def quoted(value: str) -> str:
    """Return a value as it stands in a filter."""
    plain = value.translate(QUOTES)
    if plain and not re.search(r'[\s"\\]', plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:].removesuffix('"') if len(value) > 1 else "")
    return value


def _term(piece: str, since_ns: int) -> Term:
    is_not = piece.startswith("-") and len(piece) > 1
    body = piece[1:] if is_not else piece
    named, word = ATTRIBUTE.fullmatch(body), WORD.fullmatch(body)
    if named is None and word is None:
        if problem := _mistaken(body):
            return Term(piece, problem=problem)
        value = _unquoted(body)
        return Term(piece, says(value, since_ns) if value else None, is_not)
    found = named or word
    assert found is not None
    op, value = found["op"], _unquoted(found["value"])
    wanted = Wanted("=" if op in (":", "!=") else op, value, since_ns)
    try:
        fits = attribute(_unquoted(named["key"]), wanted) if named else _word(found["name"].lower(), wanted)
    except Refused as problem:
        return Term(piece, problem=str(problem))
    note = "seconds" if not named and found["name"].lower() == "duration" and BARE.fullmatch(value.strip()) else ""
    return Term(piece, fits, is_not != (op == "!="), note=note)


def _mistaken(body: str) -> str:
    """Return what was meant by words that look like a comparison of an attribute; nothing for text."""
    if body.startswith("attr."):
        return f"“{body}” needs a comparison, such as attr.user=42."
    if DOTTED.fullmatch(body):
        return f"There is no filter “{body}”. Did you mean “attr.{body}”? To look for text, put it in quotes."
    return ""


def _word(name: str, wanted: Wanted) -> Q:
    reader = WORDS.get(SYNONYMS.get(name, name))
    if reader is None:
        near = difflib.get_close_matches(name, WORDS, 1, 0.5)
        meant = f"Did you mean “{near[0]}”?" if near else f"There are {listed(WORDS)} and attr.<name>."
        raise Refused(f"There is no filter “{name}”. {meant} To look for text, put it in quotes.")
    if not wanted.value:
        raise Refused(f"“{name}” needs a value, such as {EXAMPLES.get(name, name + ':text')}.")
    return reader(wanted)
