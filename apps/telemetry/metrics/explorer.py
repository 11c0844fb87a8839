"""One metric under the glass: which of its series an address asks for, and their lines over time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from apps.core.errors import BadRequest
from apps.telemetry import windows
from apps.telemetry.metrics import series
from apps.telemetry.metrics.panels import Buckets, Line, Panel, line
from apps.telemetry.metrics.series import Series
from apps.telemetry.models import MetricPoint
from apps.telemetry.schemas import MetricLabelMatcher
from apps.telemetry.traces import filters
from apps.telemetry.windows import SECOND_NS, Window

DRAWN = 12  # lines that can be told apart; the largest are drawn
LISTED = 200  # series in the table
MOST_MATCHERS = 20
MOST_LINE_BUCKETS = 2_000  # that a person draws; programs may ask the API for more
TIMES = {"s", "ms", "us", "ns", "By"}  # units whose values are not added up but averaged, unless told
# How the list of traces calls what a label tells; what it has no word for is an attribute of the span.
TERMS = {
    "model_id": "model:",
    "agent_id": "agent:",
    "session_id": "session:",
    "tool_name": "attr.tool_name=",
    "provider_id": "attr.gen_ai.provider.name=",
}
OPERATORS = {"=": "is", "!=": "is not", "=~": "matches", "!~": "does not match"}
KINDS = {"range": "Over time", "instant": "One number"}


@dataclass(frozen=True, slots=True)
class Question:
    """What an address asks of a metric. ``problem`` says what of it cannot be answered."""

    metric: str
    window: Window
    kind: str = "range"
    step: str = ""
    how: str = ""
    matchers: tuple[MetricLabelMatcher, ...] = ()
    problem: str = ""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """What stands in the address beside the time."""
        told = [("type", self.kind if self.kind != "range" else ""), ("step", self.step), ("how", self.how)]
        for matcher in self.matchers:
            told += [("label", matcher.name), ("op", matcher.operator), ("value", matcher.value)]
        return [(name, value) for name, value in told if value or name in ("label", "op", "value")]


@dataclass(frozen=True, slots=True)
class Row:
    """A series in the table: its labels, its value over the whole window, and the tone of its line if it has one."""

    series: Series
    value: float
    tone: str = ""

    @property
    def terms(self) -> str:
        """The filter that finds the traces behind the series; empty when no label says which they are."""
        told = [(TERMS[name], value) for name, value in self.series.labels.items() if name in TERMS]
        return " ".join(word + filters.quoted(value) for word, value in told)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a metric says. ``more`` series are left out of the table, ``undrawn`` of it have no line."""

    buckets: Buckets
    panel: Panel
    rows: list[Row] = field(default_factory=list)
    how: str = "sum"
    more: int = 0
    undrawn: int = 0
    problem: str = ""


def asked(metric: str, query: Any) -> Question:
    """Return what an address asks for."""
    window = windows.parse(query)
    kind, how = query.get("type", ""), query.get("how", "")
    question = Question(
        metric,
        window,
        kind if kind in KINDS else "range",
        query.get("step", "").strip()[:20],
        how if how in series.WAYS else "",
        problem=window.problem,
    )
    try:
        return replace(question, matchers=tuple(_matchers(query)))
    except ValidationError as error:
        return replace(question, problem=f"A label matcher cannot be read: {error.errors()[0]['msg']}.")


def _matchers(query: Any) -> Iterator[MetricLabelMatcher]:
    parts = zip(query.getlist("label"), query.getlist("op"), query.getlist("value"), strict=False)
    for name, operator, value in list(parts)[:MOST_MATCHERS]:
        if name.strip():
            yield MetricLabelMatcher(name=name.strip(), operator=operator, value=value)


def answer(question: Question, known: Mapping[int, Series]) -> Answer:
    """Return the lines and the table of a question; ``known`` are the series that its matchers left, by key.

    What cannot be answered is told as the problem, beside an empty panel.
    """
    units = {one.unit for one in known.values()}
    unit = units.pop() if len(units) == 1 else ""
    how = question.how or ("average" if unit in TIMES else "sum")
    shown_unit = "" if how == "count" else unit
    first = _first_ns(known) if not question.window.start_ns else 0
    buckets = Buckets.of(question.window, first or question.window.now_ns - 3_600 * SECOND_NS)
    nothing = Panel("points", question.metric, shown_unit, [])
    try:
        buckets = _stepped(buckets, question.step)
        rows = _rows(known, buckets, how)
        drawn = {row.series.pk: f"t{tone}" for tone, row in enumerate(rows[:DRAWN], 1)}
        lines = _lines(drawn, known, buckets, how) if question.kind == "range" else []
    except BadRequest as problem:
        return Answer(buckets, nothing, how=how, problem=problem.detail)
    listed = [replace(row, tone=drawn.get(row.series.pk, "") if lines else "") for row in rows[:LISTED]]
    return Answer(buckets, replace(nothing, lines=lines), listed, how, len(rows) - len(listed), len(rows) - len(drawn))


def window_s(buckets: Buckets) -> tuple[int, int]:
    """Return the window in whole seconds as the API reads it, both ends included."""
    return -(-buckets.start_ns // SECOND_NS), buckets.end_ns // SECOND_NS


def _first_ns(known: Mapping[int, Series]) -> int:
    first = MetricPoint.objects.filter(series__in=list(known)[: series.ASKED]).order_by("time_s")
    return max(0, first.values_list("time_s", flat=True).first() or 0) * SECOND_NS


def _stepped(buckets: Buckets, step: str) -> Buckets:
    if not step:
        return buckets
    seconds = series.seconds_of(step)
    if (buckets.end_ns - buckets.start_ns) / SECOND_NS / seconds > MOST_LINE_BUCKETS:
        raise BadRequest(
            f"Steps of {step} would be more than {MOST_LINE_BUCKETS:,}. Choose a longer step or less time."
        )
    return replace(buckets, step_s=seconds)


def _rows(known: Mapping[int, Series], buckets: Buckets, how: str) -> list[Row]:
    """Return the series that have points in the window, the largest first."""
    start, end = window_s(buckets)
    rows = [Row(known[pk], plain(values[0][1])) for pk, values in series.totals(known, start, end, how).items()]
    return sorted(rows, key=lambda row: (-row.value, row.series.labels_text))


def _lines(drawn: Mapping[int, str], known: Mapping[int, Series], buckets: Buckets, how: str) -> list[Line]:
    start, end = window_s(buckets)
    told = series.buckets(drawn, start, end, buckets.step_s, how)
    times = buckets.times
    values = {pk: {at: plain(value) for at, value in told.get(pk, ())} for pk in drawn}
    return [line(known[pk].labels_text or "no labels", times, values[pk], tone) for pk, tone in drawn.items()]


def plain(value: float) -> float:
    """Return a whole number as one: 20 tokens are not 20.0."""
    return int(value) if value == int(value) and abs(value) < 2**53 else value
