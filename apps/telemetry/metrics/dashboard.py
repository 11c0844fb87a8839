"""The ready dashboard: what an address asks for, and the panels that answer it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from apps.agents.models import Agent
from apps.jobs import listing, runner
from apps.jobs.models import Status as JobStatus
from apps.telemetry import windows
from apps.telemetry.metrics import call_panels, series, turn_panels
from apps.telemetry.metrics.call_panels import VIOLATION, Tool
from apps.telemetry.metrics.measures import FIRST_TOKEN
from apps.telemetry.metrics.panels import Buckets, Link, Panel, line
from apps.telemetry.models import Trace
from apps.telemetry.traces import filters
from apps.telemetry.traces.listing import Asked
from apps.telemetry.windows import SECOND_NS, Window

OUTCOMES = {
    JobStatus.COMPLETED: ("Completed", "c3"),
    JobStatus.FAILED: ("Failed", "c5"),
    JobStatus.CANCELLED: ("Cancelled", "c2"),
}
MOST_JOBS = 20_000  # the newest that are told apart by time
MOST_AGENTS = 200
MOST_MODELS = 200
NAMES = ("turns", "errors", "time", "first", "tokens", "speed", "blocks", "jobs")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an address asks for: a time, a model, an agent, and the panels that are shown as tables."""

    window: Window
    model: str = ""
    agent: str = ""
    tables: tuple[str, ...] = ()

    @property
    def terms(self) -> str:
        """The filter in the words of the list of traces."""
        words = (("model", self.model), ("agent", self.agent))
        return " ".join(filters.written(name, value) for name, value in words if value)

    @property
    def query(self) -> dict[str, str]:
        """What stands in the address."""
        told = {"model": self.model, "agent": self.agent, "tables": ",".join(self.tables)}
        return self.window.query | {name: value for name, value in told.items() if value}

    @property
    def kept(self) -> list[tuple[str, str]]:
        """What stays in the address when another time is chosen."""
        return [(name, value) for name, value in self.query.items() if name not in self.window.query]

    def link(self, **changes: str) -> str:
        """Return the query string with changes; an empty one takes a part away."""
        return "?" + urlencode({name: value for name, value in (self.query | changes).items() if value})

    def toggled(self, panel: str) -> str:
        """Return the query string that shows a panel as a table, or as a chart again."""
        names = [name for name in self.tables if name != panel] if panel in self.tables else [*self.tables, panel]
        return self.link(tables=",".join(names))

    def asked(self, words: str = "") -> Asked:
        """Return the traces this speaks of, as their list finds them, with further words of a filter."""
        return Asked(filters.parse(self._filter(words), self.window.start_ns), self.window)

    def traces_url(self, words: str) -> str:
        """Return the list of exactly those traces."""
        return f"{reverse('telemetry:trace-list')}?{urlencode({'q': self._filter(words)} | self.window.query)}"

    def _filter(self, words: str) -> str:
        return " ".join(filter(None, (words, self.terms)))


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Panels over the same buckets, the tools, and how many jobs wait now by queue."""

    buckets: Buckets
    panels: dict[str, Panel]
    tools: list[tuple[Tool, str]]
    waiting: dict[str, int]


def wanted(query: Mapping[str, str], now_ns: int | None = None) -> Wanted:
    """Return what an address asks for; what cannot be read is the window's problem."""
    tables = tuple(name for name in dict.fromkeys(query.get("tables", "").split(",")) if name in NAMES)
    model, agent = (query.get(name, "").strip()[:255] for name in ("model", "agent"))
    return Wanted(windows.parse(query, now_ns), model, agent, tables)


def build(wanted: Wanted) -> Dashboard:
    """Return the panels, in a number of queries that does not grow with what they count."""
    asked, buckets = wanted.asked(), buckets_of(wanted.window)
    times, keys = buckets.times, call_panels.keys()
    counts = turn_panels.counted(asked, buckets)
    speed, calls = call_panels.speed(asked, buckets, times, keys)
    made = [
        *turn_panels.of_counts(counts, times),
        turn_panels.turn_time(asked, buckets, times, sum(counts.runs.values())),
        call_panels.first_token(asked, buckets, times, keys, calls),
        speed,
        call_panels.shields(asked, buckets, times, keys),
        _jobs(wanted.window, buckets),
    ]
    panels = {panel.name: replace(panel, links=_links(wanted, panel)) for panel in made}
    tools = [
        (tool, wanted.traces_url(filters.written(f"attr.{tool.key}", tool.name, "=")))
        for tool in call_panels.tools(asked, keys)
    ]
    return Dashboard(buckets, {name: panels[name] for name in NAMES}, tools, runner.waiting())


def buckets_of(window: Window) -> Buckets:
    """Return the pieces of a window; all time begins with the first trace."""
    first = None if window.start_ns else Trace.objects.order_by("start_ns").values_list("start_ns", flat=True).first()
    return Buckets.of(window, first or window.now_ns - 3_600 * SECOND_NS)


def models(window: Window) -> list[str]:
    """Return the models that ever told tokens here, and those that traces of the window name: of other programs too."""
    ours = series.label_values(series.matching("completion_tokens", ())).get("model_id", [])
    named = Asked(filters.parse(""), window).traces().exclude(model="").values_list("model", flat=True).distinct()
    return sorted({*ours, *named[:MOST_MODELS]}, key=str.casefold)


def agents() -> list[tuple[str, str]]:
    """Return the agents there are, by id and name."""
    rows = Agent.objects.only("agent_id", "name").order_by("-pk")[:MOST_AGENTS]
    return sorted(((agent.agent_id, str(agent)) for agent in rows), key=lambda one: one[1].casefold())


def _jobs(window: Window, buckets: Buckets) -> Panel:
    """Return the panel of how jobs ended; they know neither models nor agents."""
    rows = (
        listing.asked(QueryDict())
        .rows()
        .filter(status__in=OUTCOMES, completed_at__gte=windows.time_of(buckets.start_ns))
    )
    if window.end_ns is not None:
        rows = rows.filter(completed_at__lt=windows.time_of(window.end_ns))
    counts: dict[str, Counter[int]] = {status: Counter() for status in OUTCOMES}
    found = rows.order_by("-completed_at").values_list("status", "completed_at")[: MOST_JOBS + 1]
    for status, at in found[:MOST_JOBS]:
        if at is not None:
            counts[status][int(at.timestamp()) // buckets.step_s * buckets.step_s] += 1
    lines = [line(words, buckets.times, counts[status], tone) for status, (words, tone) in OUTCOMES.items()]
    total = sum(count.total() for count in counts.values())
    note = f"the newest {MOST_JOBS:,}" if total > MOST_JOBS else ""
    failed = counts[JobStatus.FAILED].total()
    return Panel("jobs", "Job outcomes", "", lines, total or None, f"{failed:,} failed" if total else "", note, "bars")


def _links(wanted: Wanted, panel: Panel) -> list[Link]:
    """Return the ways to what is behind a panel that tells anything."""
    if not panel.has_data:
        return []
    if panel.name == "jobs":
        return [Link("Show jobs", reverse("jobs:job-list"))]
    return [Link("Show traces", wanted.traces_url(BEHIND[panel.name]))]


BEHIND = {
    "turns": turn_panels.TURNS,
    "errors": turn_panels.FAILED,
    "time": turn_panels.RUNS,
    "first": f"attr.{FIRST_TOKEN}>=0",
    "tokens": turn_panels.WITH_TOKENS,
    "speed": turn_panels.WITH_TOKENS,
    "blocks": f"attr.{VIOLATION}=error",
}
