"""The list of traces: what an address asks for, and the rows that show it.

Nothing here costs more on a large store than on a small one: pages are found by time, and the numbers speak of at most
the newest ``EXACT`` traces of the filter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import QueryDict

from apps.agents.models import Status as TurnStatus
from apps.agents.models import Step, Turn
from apps.core.errors import BadRequest
from apps.telemetry import windows
from apps.telemetry.models import Kind, Status, Trace
from apps.telemetry.traces import filters
from apps.telemetry.traces.naming import Naming, names_of
from apps.telemetry.windows import SECOND_NS, Window

SIZE = 50
EXACT = 10_000  # traces that are counted; more are told as "10,000+"
FRESH = 1_000  # new traces that are counted
FORGOTTEN_NS = 3_600 * SECOND_NS  # an open trace of nobody's turn is called unfinished after that
CHOSEN = 500  # traces that an address may name
SORTS = ("start", "-duration", "duration")
USUAL = "is:work"  # what an address without a filter shows; an empty filter shows everything


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for: a filter, a time, and single traces where some were chosen."""

    filter: filters.Filter
    window: Window
    chosen: tuple[str, ...] = ()
    is_usual: bool = False  # whether the address told no filter, not even an empty one
    sort: str = ""  # one of SORTS; newest first unless told

    def traces(self) -> QuerySet[Trace]:
        """Return the traces asked for, in no order."""
        if self.chosen:
            return Trace.objects.filter(trace_id__in=self.chosen).order_by()
        return self.filter.of(_within(self.window))

    def before(self) -> QuerySet[Trace] | None:
        """Return what fits in the time of the same length before; None when there is no such time."""
        window = self.window.before()
        return None if window is None else filters.parse(self.filter.text, window.start_ns).of(_within(window))

    def check(self) -> None:
        """Raise BadRequest for a filter that was not understood: what acts on one must not act on more than meant."""
        if self.problems:
            raise BadRequest(" ".join(self.problems))

    @property
    def problems(self) -> list[str]:
        """What of the filter and the time was not understood; a list of traces is empty then."""
        return [*self.filter.problems, *([self.window.problem] if self.window.problem else [])]

    @property
    def query(self) -> dict[str, str]:
        """The filter, the time and the order as they stand in an address."""
        told = {} if self.is_usual else {"q": self.filter.text}
        return told | self.window.query | ({"sort": self.sort} if self.sort else {})

    def link(self, **changes: str) -> str:
        """Return the query string with changes; an empty one takes a part away; a filter is then empty."""
        parts = {name: value for name, value in (self.query | changes).items() if value or name == "q"}
        return "?" + urlencode(parts)

    @property
    def more(self) -> str:
        """The query string to which a further term can be appended."""
        parts = self.query
        words = parts.pop("q", "")
        return f"?{urlencode(parts | {'q': words + ' ' if words else ''})}"


def asked(query: Mapping[str, str], chosen: Sequence[str] = (), now_ns: int | None = None) -> Asked:
    """Return what an address asks for; what cannot be read is among the problems."""
    window = windows.parse(query, now_ns)
    text = query.get("q")
    found = filters.parse(USUAL if text is None else text, window.start_ns)
    sort = query.get("sort", "")
    return Asked(found, window, tuple(chosen), is_usual=text is None, sort=sort if sort in SORTS else "")


def chosen_of(query: QueryDict) -> Asked:
    """Return what a form of the list speaks of: the chosen traces, or with ``all`` all that fit; raises BadRequest."""
    if query.get("all"):
        return asked(query)
    ids = [one for text in query.getlist("trace") for one in text.split(",") if one]
    if not ids:
        raise BadRequest("No trace was chosen. Tick some in the list first.")
    if len(ids) > CHOSEN:
        raise BadRequest(f"At most {CHOSEN} traces are chosen one by one; choose all that match instead.")
    return asked(query, ids)


def _within(window: Window) -> QuerySet[Trace]:
    rows = Trace.objects.order_by()
    if window.start_ns:
        rows = rows.filter(start_ns__gte=window.start_ns)
    return rows if window.end_ns is None else rows.filter(start_ns__lt=window.end_ns)


@dataclass(frozen=True, slots=True)
class Row:
    """A trace as a row shows it. ``state`` is a key of the console's states, ``share`` the length of its bar in %."""

    trace: Trace
    naming: Naming
    state: str
    took_s: float | None
    share: float

    @property
    def started_at(self) -> datetime:
        """When it began."""
        return windows.time_of(self.trace.start_ns)

    @property
    def is_open(self) -> bool:
        """Whether it may still change under the reader's eyes."""
        return self.state in ("running", "waiting")

    @property
    def word(self) -> str:
        """The state's word where it is not the usual one."""
        return "Unfinished" if self.state == "partial" else ""

    @property
    def has_no_root(self) -> bool:
        """Whether its topmost span names a parent that never came."""
        return not self.trace.root_span_id

    @property
    def agent_term(self) -> str:
        """What finds the traces of its agent."""
        return filters.written("agent", self.trace.agent_name or self.naming.agent_name)

    @property
    def model_term(self) -> str:
        """What finds the traces of its model."""
        return filters.written("model", self.trace.model)

    @property
    def bar(self) -> str:
        """The kind that colours the bar: a turn is shown by what it spends its time on."""
        if self.state == "waiting":
            return str(Kind.TOOL)
        return str(Kind.INFERENCE) if self.trace.kind == Kind.TURN else self.trace.kind


def beyond(traces: QuerySet[Trace], place: tuple[int, int], *, newer: bool) -> QuerySet[Trace]:
    """Return the traces on one side of a place: its start and its key."""
    start, pk = place
    if newer:
        return traces.filter(start_ns__gte=start).exclude(start_ns=start, pk__lte=pk)
    return traces.filter(start_ns__lte=start).exclude(start_ns=start, pk__gte=pk)


def rows_of(traces: Sequence[Trace], now_ns: int) -> list[Row]:
    """Return traces as rows, in a number of queries that does not grow with them."""
    names = names_of(traces)
    waiting, blocked = _waiting(traces, names), _blocked(traces)
    took = [_took_s(trace, now_ns) for trace in traces]
    full = _full([seconds for seconds in took if seconds])
    return [
        Row(
            trace,
            names[trace.trace_id],
            _state(trace, names[trace.trace_id], waiting, blocked, now_ns),
            seconds,
            round(min(100.0, max(0.6, (seconds or 0) * 100 / full)), 1),
        )
        for trace, seconds in zip(traces, took, strict=True)
    ]


def _took_s(trace: Trace, now_ns: int) -> float | None:
    took = trace.duration_ns
    if took is None:
        took = now_ns - trace.start_ns if now_ns - trace.start_ns < FORGOTTEN_NS else None
    return None if took is None else max(0, took) / SECOND_NS


def _full(seconds: list[float]) -> float:
    """Return what the longest bar stands for: not the one trace that took hours."""
    return sorted(seconds)[int(0.9 * (len(seconds) - 1))] if seconds else 1.0


def _state(trace: Trace, naming: Naming, waiting: set[str], blocked: set[str], now_ns: int) -> str:
    if trace.status == Status.ERROR:
        return "error"
    if trace.trace_id in waiting:
        return "waiting"
    if trace.trace_id in blocked:
        return "blocked"
    if trace.end_ns is not None:
        return "ok"
    runs = naming.turn_state == TurnStatus.RUNNING if naming.turn_state else now_ns - trace.start_ns < FORGOTTEN_NS
    return "running" if runs else "partial"


def _waiting(traces: Sequence[Trace], names: Mapping[str, Naming]) -> set[str]:
    """Return the ids of traces at whose end a turn waits: of a turn that was resumed that is the newest one."""
    ids = [trace.trace_id for trace in traces if names[trace.trace_id].turn_state == TurnStatus.WAITING]
    if not ids:
        return set()
    return set(Turn.objects.filter(status=TurnStatus.WAITING, trace_id__in=ids).values_list("trace_id", flat=True))


def _blocked(traces: Sequence[Trace]) -> set[str]:
    """Return the ids of traces in which a shield ended the turn."""
    turns = {trace.turn_id for trace in traces if trace.turn_id and trace.kind == Kind.TURN}
    if not turns:
        return set()
    steps = Step.objects.filter(turn__turn_id__in=turns, step_type="shield_call").order_by()
    found: dict[str, list[int]] = {}
    for turn_id, at, details in steps.values_list("turn__turn_id", "started_at", "details"):
        if (details.get("violation") or {}).get("violation_level") == "error":
            found.setdefault(turn_id, []).append(int(at.timestamp() * SECOND_NS))
    return {
        trace.trace_id
        for trace in traces
        for at_ns in found.get(trace.turn_id, ())
        if trace.start_ns <= at_ns <= (trace.end_ns or at_ns)
    }


def fresh(asked: Asked, above: int) -> int:
    """Return how many traces fit that arrived after this one, at most ``FRESH``."""
    arrived = list(Trace.objects.filter(pk__gt=above).order_by("-pk").values_list("pk", flat=True)[:FRESH])
    return asked.traces().filter(Q(pk__in=arrived)).count() if arrived else 0


def newest_pk() -> int:
    """Return the number of the trace that arrived last, 0 when there is none."""
    return Trace.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
