"""What the words of a filter of traces mean: each reads its value and returns the condition for traces."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from django.db.models import Q

from apps.agents.models import Session, Turn
from apps.agents.models import Status as TurnStatus
from apps.telemetry.models import AttributeKey, Kind, Span, SpanAttribute, Status
from apps.telemetry.records import HOT, number_in, shortened

AMOUNT = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([a-zµ]*)", re.I)
UNITS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "": 1e9, "m": 60e9, "min": 60e9, "h": 3600e9}
STEPS = {"": 1, "k": 1e3, "m": 1e6}
STATUSES = {
    "ok": Status.OK,
    "error": Status.ERROR,
    "running": Status.OPEN,
    "waiting": TurnStatus.WAITING,
    "stopped": TurnStatus.CANCELLED,
}
KINDS = {str(kind.label).lower(): kind for kind in Kind} | {str(kind.value): kind for kind in Kind}
COMPARED = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "=": "exact"}
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SPAN_ID = re.compile(r"[0-9a-f]{16}")
TOOL_NAMES = ("tool_name", "gen_ai.tool.name")
OWN = "stack-console"  # the service that this console's spans name


class Refused(Exception):
    """A value that does not fit its word; says what would."""


class Wanted(NamedTuple):
    """What a term asks of a trace: an operator of ``COMPARED``, a value, and the time before which none begins."""

    op: str
    value: str
    since_ns: int = 0


def listed(names: Iterable[str]) -> str:
    """Return names as a sentence holds them."""
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
            meant = f"Did you mean “{near[0]}”?" if near else f"There are {listed(choices)}."
            raise Refused(f"There is no {what} “{value}”. {meant}")
        return choices[value]

    return read


_status_of, _kind_of = _choice(STATUSES, "status"), _choice(KINDS, "kind")
_is_of = _choice({"work": "work", "request": "request"}, "kind of trace")


def _status(wanted: Wanted) -> Q:
    status = _status_of(wanted)
    if status in Status.values:
        return Q(status=status)
    # A turn waits and is stopped; its trace ended well, or was cut off.
    fits = Q(trace_id__in=Turn.objects.filter(status=status).exclude(trace_id="").values("trace_id"))
    return fits | attribute("stopped", wanted._replace(value="true")) if status == TurnStatus.CANCELLED else fits


def _is(wanted: Wanted) -> Q:
    """Return the condition for requests of one span to this console that went well, or for everything else."""
    plain = Q(kind=Kind.OTHER, span_count=1, service=OWN) & ~Q(status=Status.ERROR)
    return plain if _is_of(wanted) == "request" else ~plain


def _tool(wanted: Wanted) -> Q:
    """Return the condition for traces in which this tool was called."""
    value = _plain(wanted)
    keys = list(AttributeKey.objects.filter(name__in=TOOL_NAMES).values_list("pk", flat=True))
    called = SpanAttribute.objects.filter(key__in=keys, text=shortened(value), start_ns__gte=wanted.since_ns)
    named = Span.objects.filter(name=value, kind=Kind.TOOL, start_ns__gte=wanted.since_ns)
    return Q(pk__in=called.order_by().values("trace_id")) | Q(pk__in=named.order_by().values("trace_id"))


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


def says(words: str, since_ns: int = 0) -> Q:
    """Return the condition for traces that are called so, asked, answered or failed so, or have this id.

    Why a span failed is looked for in spans from ``since_ns`` on; the id may be a span's.
    """
    fits = _named(words)
    for field in ("name", "agent_name", "input", "output"):
        fits |= Q(**{f"{field}__icontains": words})
    failed = Span.objects.filter(status=Status.ERROR, start_ns__gte=since_ns, message__icontains=words)
    fits |= Q(pk__in=failed.order_by().values("trace_id"))
    if SPAN_ID.fullmatch(words.lower()):
        fits |= Q(pk__in=Span.objects.filter(span_id=words.lower()).order_by().values("trace_id"))
    return fits | Q(trace_id=words.lower()) | Q(turn_id=words)


def attribute(key: str, wanted: Wanted) -> Q:
    """Return the condition for traces of which a span has the attribute; texts of numbers compare as numbers."""
    since_ns = wanted.since_ns
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
    "tool": _tool,
    "service": _holds("service"),
    "duration": _duration,
    "tokens": _tokens,
    "spans": _count("span_count"),
    "errors": _count("error_count"),
    "trace": lambda wanted: Q(trace_id__startswith=_plain(wanted).lower()),
    "is": _is,
}
EXAMPLES = {"status": "status:error", "kind": "kind:turn", "duration": "duration>2s", "tokens": "tokens>2000"}
EXAMPLES |= {"spans": "spans>10", "errors": "errors>0"}
EXAMPLES["is"] = "is:work"
SYNONYMS = {"session_id": "session", "turn_id": "turn", "agent_id": "agent", "agent_name": "agent", "trace_id": "trace"}
