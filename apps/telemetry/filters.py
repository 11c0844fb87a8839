"""The words a list of traces is filtered by: ``status:error model:tiny duration>2s attr.user=42 -agent:docs "words"``.

A filter is its text: what is read here is written back the same, so that an address, a chip and a form mean one thing.
What is not understood is kept as a term with its problem, and the filter then matches nothing: a list that shows more
than was meant would be acted on.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import BigIntegerField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Coalesce

from apps.agents.models import Session, Turn
from apps.agents.models import Status as TurnStatus
from apps.telemetry.models import AttributeKey, Kind, Span, SpanAttribute, Status, Trace
from apps.telemetry.records import HOT, number_in, shortened

MOST_CHARS, MOST_TERMS = 2_000, 20
PIECE = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*"?)+')
WORD = re.compile(r"(?P<name>[A-Za-z_]+)(?P<op>!=|<=|>=|:|=|<|>)(?P<value>.*)", re.S)
ATTRIBUTE = re.compile(r'attr\.(?P<key>"(?:[^"\\]|\\.)+"|[^\s"=<>!]+?)(?P<op>!=|<=|>=|=|<|>)(?P<value>.*)', re.S)
AMOUNT = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([a-zµ]*)", re.I)
UNITS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "": 1e9, "m": 60e9, "min": 60e9, "h": 3600e9}
STEPS = {"": 1, "k": 1e3, "m": 1e6}
STATUSES = {"ok": Status.OK, "error": Status.ERROR, "running": Status.OPEN, "waiting": "waiting"}
KINDS = {"inference": Kind.INFERENCE, "retrieval": Kind.RETRIEVAL, "other": Kind.OTHER} | {
    str(kind.value): kind for kind in Kind
}
COMPARED = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "=": "exact"}
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"'})


class Refused(Exception):
    """A value that does not fit its word; says what would."""


class Wanted(NamedTuple):
    """What a term asks of a trace: an operator of ``COMPARED`` and a value."""

    op: str
    value: str


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a filter. ``text`` is how it is written; ``problem`` says why it cannot be used."""

    text: str
    fits: Q | None = None
    is_not: bool = False
    problem: str = ""


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
    attribute, word = ATTRIBUTE.fullmatch(body), WORD.fullmatch(body)
    if attribute is None and body.startswith("attr."):
        return Term(piece, problem=f"“{piece}” needs a comparison, such as attr.user=42.")
    if attribute is None and word is None:
        value = _unquoted(body)
        return Term(piece, _says(value) if value else None, is_not)
    found = attribute or word
    assert found is not None
    op, value = found["op"], _unquoted(found["value"])
    wanted = Wanted("=" if op in (":", "!=") else op, value)
    try:
        if attribute:
            fits = _attribute(_unquoted(attribute["key"]), wanted, since_ns)
        else:
            fits = _word(found["name"].lower(), wanted)
    except Refused as problem:
        return Term(piece, problem=str(problem))
    return Term(piece, fits, is_not != (op == "!="))


def _word(name: str, wanted: Wanted) -> Q:
    reader = WORDS.get(name)
    if reader is None:
        near = difflib.get_close_matches(name, WORDS, 1, 0.5)
        meant = f"Did you mean “{near[0]}”?" if near else f"There are {_listed(WORDS)} and attr.<name>."
        raise Refused(f"There is no filter “{name}”. {meant} To look for text, put it in quotes.")
    if not wanted.value:
        raise Refused(f"“{name}” needs a value, such as {EXAMPLES.get(name, name + ':text')}.")
    return reader(wanted)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _plain(wanted: Wanted) -> str:
    if wanted.op != "=":
        raise Refused(f"Text is compared with “:”, not with “{wanted.op}”.")
    return wanted.value


def _choice(choices: Mapping[str, str], what: str) -> Callable[[Wanted], str]:
    def read(wanted: Wanted) -> str:
        value = _plain(wanted).lower()
        if value not in choices:
            near = difflib.get_close_matches(value, choices, 1, 0.5)
            meant = f"Did you mean “{near[0]}”?" if near else f"There are {_listed(choices)}."
            raise Refused(f"There is no {what} “{value}”. {meant}")
        return choices[value]

    return read


_status_of, _kind_of = _choice(STATUSES, "status"), _choice(KINDS, "kind")


def _status(wanted: Wanted) -> Q:
    status = _status_of(wanted)
    if status != "waiting":
        return Q(status=status)
    return Q(trace_id__in=Turn.objects.filter(status=TurnStatus.WAITING).values("trace_id"))


def _session(wanted: Wanted) -> Q:
    value = _plain(wanted)
    if ID.fullmatch(value):
        return Q(session_id=value)
    return Q(session_id=value) | _named(value)


def _named(words: str) -> Q:
    return Q(session_id__in=Session.objects.filter(session_name__icontains=words).values("session_id"))


def _agent(wanted: Wanted) -> Q:
    value = _plain(wanted)
    return Q(agent_id=value) if ID.fullmatch(value) else Q(agent_id=value) | Q(agent_name__icontains=value)


def _holds(field: str) -> Callable[[Wanted], Q]:
    return lambda wanted: Q(**{f"{field}__icontains": _plain(wanted)})


def _amount(wanted: Wanted, units: dict[str, float], example: str) -> int:
    found = AMOUNT.fullmatch(wanted.value.strip())
    unit = found[2].lower() if found else ""
    if found is None or unit not in units:
        raise Refused(f"“{wanted.value}” is no amount; write one like {example}.")
    return int(min(float(found[1]) * units[unit], 2**62))


def _duration(wanted: Wanted) -> Q:
    if wanted.op == "=":
        raise Refused("A duration is compared with < or >, such as duration>2s.")
    return _compared("took_ns", wanted.op, _amount(wanted, UNITS, "250ms, 2s or 5min"))


def _count(field: str) -> Callable[[Wanted], Q]:
    return lambda wanted: _compared(field, wanted.op, _amount(wanted, STEPS, "2000 or 2k"))


def _compared(field: str, op: str, value: object) -> Q:
    return Q(**{f"{field}__{COMPARED[op]}": value})


def _tokens(wanted: Wanted) -> Q:
    known = Q(input_tokens__isnull=False) | Q(output_tokens__isnull=False)
    return known & _compared("all_tokens", wanted.op, _amount(wanted, STEPS, "2000 or 2k"))


def _says(words: str) -> Q:
    """Return the condition for traces that are called so, or asked or answered so, or have this id."""
    fits = _named(words)
    for field in ("name", "agent_name", "input", "output"):
        fits |= Q(**{f"{field}__icontains": words})
    return fits | Q(trace_id=words.lower()) | Q(turn_id=words)


def _attribute(key: str, wanted: Wanted, since_ns: int) -> Q:
    """Return the condition for traces of which a span has the attribute; texts of numbers compare as numbers."""
    if key in HOT and wanted.op == "=" and wanted.value:
        return Q(
            pk__in=Span.objects.filter(**{key: wanted.value}, start_ns__gte=since_ns).order_by().values("trace_id")
        )
    known = AttributeKey.objects.filter(name=key).values_list("pk", flat=True).first()
    if known is None:
        return Q(pk__in=())
    rows = SpanAttribute.objects.filter(key_id=known, start_ns__gte=since_ns).order_by()
    number = number_in(wanted.value)
    if number is not None:
        fits = _compared("number", wanted.op, number)
        rows = rows.filter(fits | Q(text=wanted.value) if wanted.op == "=" else fits)
    else:
        rows = rows.filter(_compared("text", wanted.op, shortened(wanted.value)))
    return Q(pk__in=rows.values("trace_id"))


WORDS: dict[str, Callable[[Wanted], Q]] = {
    "status": _status,
    "kind": lambda wanted: Q(kind=_kind_of(wanted)),
    "name": _holds("name"),
    "agent": _agent,
    "session": _session,
    "turn": lambda wanted: Q(turn_id=_plain(wanted)),
    "model": _holds("model"),
    "service": _holds("service"),
    "duration": _duration,
    "tokens": _tokens,
    "spans": _count("span_count"),
    "errors": _count("error_count"),
    "trace": lambda wanted: Q(trace_id__startswith=_plain(wanted).lower()),
}
EXAMPLES = {"status": "status:error", "kind": "kind:turn", "duration": "duration>2s", "tokens": "tokens>2000"}
EXAMPLES |= {"spans": "spans>10", "errors": "errors>0"}
