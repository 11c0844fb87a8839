"""What the chat pages read: the turns of a session, the sessions of an agent. Each is a fixed number of queries."""

import re
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, Q, Sum
from django.utils.dateparse import parse_datetime

from apps.agents import models
from apps.agents.transcript import TurnView, tokens_of
from apps.core.content import text_of
from apps.core.numbers import whole

TURNS = 30
SESSIONS = 40
UNNAMED = "New session"
MARKS = re.compile(r"[*_`#>|]+")  # of markdown, in a line that only hints at a text


def turns_of(session: models.Session, before: int | None = None) -> list[TurnView]:
    """Return the last turns, or those before a row, oldest first; three queries."""
    rows = session.turns.defer("documents_content").prefetch_related("steps", "pending")
    older = session.turns.filter(pk__lt=before) if before else session.turns.all()
    total = older.count()
    page = list(reversed((rows.filter(pk__lt=before) if before else rows).order_by("-pk")[:TURNS]))
    views = [_view(session, row, total - len(page) + place) for place, row in enumerate(page, start=1)]
    if views and not before:
        views[-1].is_last = True
        views[-1].fold = False
    return views


def _view(session: models.Session, row: models.Turn, number: int) -> TurnView:
    row.session = session  # every address inside the article names it
    return TurnView(row=row, number=number, fold=row.is_over, agent_id=session.agent.agent_id)


def turn_view(turn_id: str) -> TurnView | None:
    """Return one turn as its article shows it; None when it is gone."""
    rows = models.Turn.objects.select_related("session__agent").defer("documents_content")
    row = rows.prefetch_related("steps", "pending").filter(turn_id=turn_id).first()
    if row is None:
        return None
    others = row.session.turns.aggregate(number=Count("pk", filter=Q(pk__lte=row.pk)), last=Max("pk"))
    return TurnView(
        row=row, number=others["number"], is_last=others["last"] == row.pk, agent_id=row.session.agent.agent_id
    )


@dataclass(frozen=True)
class Totals:
    """What a session adds up to."""

    turns: int
    tokens: int | None
    status: str


def totals(session: models.Session) -> Totals:
    """Return the session's turns, tokens and state; two queries."""
    sums = session.turns.aggregate(turns=Count("pk"), read=Sum("input_tokens"), written=Sum("output_tokens"))
    status = session.turns.order_by("-pk").values_list("status", flat=True).first()
    return Totals(sums["turns"], tokens_of(sums["read"], sums["written"]), status or "")


@dataclass(frozen=True)
class SessionRow:
    """A session as its list shows it."""

    row: models.Session
    status: str
    line: str

    @property
    def cursor(self) -> str:
        """Where the list goes on after this row."""
        return f"{self.row.last_used_at.isoformat()}~{self.row.pk}"


def sessions_of(agent: models.Agent, find: str = "", after: str = "") -> tuple[list[SessionRow], str]:
    """Return sessions, last used first, and the cursor of the next page (empty at the end); two queries."""
    rows = agent.sessions.order_by("-last_used_at", "-pk")
    if find:
        rows = rows.filter(session_name__icontains=find)
    moment, _, pk = after.partition("~")
    last, when = whole(pk), _moment(moment)
    if when and last is not None:
        rows = rows.filter(Q(last_used_at__lt=when) | Q(last_used_at=when, pk__lt=last))
    found = list(rows[: SESSIONS + 1])
    page = with_last_turn(found[:SESSIONS])
    return page, page[-1].cursor if len(found) > SESSIONS else ""


def _moment(text: str) -> Any:
    try:
        return parse_datetime(text.replace(" ", "+"))
    except ValueError:
        return None


def with_last_turn(rows: list[models.Session]) -> list[SessionRow]:
    """Return sessions with what their last turn is at; one query."""
    newest = models.Turn.objects.filter(session__in=rows).values("session").annotate(last=Max("pk")).values("last")
    turns = models.Turn.objects.filter(pk__in=newest).only("session_id", "status", "error", "output_message")
    last = {turn.session_id: turn for turn in turns}
    return [_session_row(row, last.get(row.pk)) for row in rows]


def _session_row(row: models.Session, turn: models.Turn | None) -> SessionRow:
    if turn is None:
        return SessionRow(row, "", "No messages yet")
    if turn.status == models.Status.FAILED:
        return SessionRow(row, turn.status, turn.error[:80])
    words = MARKS.sub("", text_of((turn.output_message or {}).get("content"))[:120])
    return SessionRow(row, turn.status, f"“{' '.join(words.split())}”" if words else "")


def name_from(text: str) -> str:
    """Return a session's name made of its first message."""
    line = " ".join(text.replace("\0", "").split())
    return line if len(line) <= 60 else f"{line[:57].rsplit(' ', 1)[0]}…"
