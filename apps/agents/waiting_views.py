"""The inbox of turns that need a person: who waits, for what, since when; answered without leaving."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.audit import note
from apps.accounts.auth import principal_of
from apps.accounts.pages import may, requires
from apps.agents import answers, models
from apps.core import live
from apps.core.htmx import is_partial

SHOWN = 50
LATE = timedelta(minutes=30)


@dataclass(frozen=True)
class WaitingRow:
    """A waiting turn as the inbox shows it."""

    turn: models.Turn
    tools: str
    taken_by: Any
    is_late: bool
    query: str


@require_GET
@requires("viewer")
def waiting_list(request: HttpRequest) -> HttpResponse:
    """Show the turns that wait, longest first, and the card of the chosen one."""
    number = async_to_sync(live.head)("waiting")  # before the rows: a change in between is told again, not missed
    context = _inbox(request) | {"live_number": number}
    return render(request, "agents/_inbox.html" if is_partial(request) else "agents/waiting.html", context)


def _inbox(request: HttpRequest) -> dict[str, Any]:
    query = {name: request.GET[name] for name in ("agent", "tool", "mine") if request.GET.get(name)}
    found = list(_matching(request, query)[: SHOWN + 1])
    rows = [_row(turn, query) for turn in found[:SHOWN]]
    chosen = _chosen(request.GET.get("turn", ""), found)
    return {
        "rows": rows,
        "has_more": len(found) > SHOWN,
        "query": query,
        "chosen": chosen,
        "calls": answers.calls_of(chosen) if chosen and chosen.status == models.Status.WAITING else [],
        "taken_by": next((call.taken_by for call in chosen.pending.all() if call.taken_by), None) if chosen else None,
        "choices": _choices(),
        "can_operate": may(request, "operator"),
        "refetch": f"{reverse('agents:waiting')}?{urlencode(query | ({'turn': chosen.turn_id} if chosen else {}))}",
    }


def _waiting() -> Any:
    rows = models.Turn.objects.filter(status=models.Status.WAITING).select_related("session__agent", "created_by")
    return (
        rows.prefetch_related("pending__taken_by")
        .defer("documents_content", "documents")
        .order_by("waiting_since", "pk")
    )


def _matching(request: HttpRequest, query: dict[str, str]) -> Any:
    rows = _waiting()
    if "agent" in query:
        rows = rows.filter(session__agent__agent_id=query["agent"])
    if "tool" in query:
        rows = rows.filter(pending__tool_name=query["tool"]).distinct()
    if "mine" in query:
        rows = rows.filter(pending__taken_by=request.user).distinct()
    return rows


def _row(turn: models.Turn, query: dict[str, str]) -> WaitingRow:
    pending = list(turn.pending.all())
    since = turn.waiting_since or turn.started_at
    return WaitingRow(
        turn=turn,
        tools=", ".join(dict.fromkeys(call.tool_name for call in pending)),
        taken_by=next((call.taken_by for call in pending if call.taken_by), None),
        is_late=now() - since > LATE,
        query="?" + urlencode(query | {"turn": turn.turn_id}),
    )


def _chosen(turn_id: str, found: list[models.Turn]) -> models.Turn | None:
    """Return the turn of the open card: also one that was answered meanwhile, so that the card can say by whom."""
    listed = next((turn for turn in found if turn.turn_id == turn_id), None)
    if listed is not None or not turn_id:
        return listed or (found[0] if found else None)
    rows = models.Turn.objects.select_related("session__agent").prefetch_related("pending__taken_by")
    return rows.filter(turn_id=turn_id).first()


def _choices() -> dict[str, Any]:
    """Return the agents and tools that have turns waiting."""
    rows = models.Pending.objects.filter(turn__status=models.Status.WAITING)
    found = set(rows.values_list("turn__session__agent__agent_id", "turn__session__agent__name", "tool_name")[:1000])
    return {
        "agents": sorted({(agent_id, name or agent_id[:8]) for agent_id, name, _ in found}, key=lambda one: one[1]),
        "tools": sorted({tool for _, _, tool in found}),
    }


@require_POST
@requires("operator")
def take(request: HttpRequest, turn_id: str) -> HttpResponse:
    """Tell the others that this person answers."""
    with transaction.atomic():
        free = models.Pending.objects.filter(turn__turn_id=turn_id, taken_by=None)
        if free.update(taken_by=request.user.pk):
            note(principal_of(request), "take", "turn", turn_id)
    return _changed(turn_id)


@require_POST
@requires("operator")
def release(request: HttpRequest, turn_id: str) -> HttpResponse:
    """Leave the turn to the others again."""
    with transaction.atomic():
        if models.Pending.objects.filter(turn__turn_id=turn_id).exclude(taken_by=None).update(taken_by=None):
            note(principal_of(request), "release", "turn", turn_id)
    return _changed(turn_id)


def _changed(turn_id: str) -> HttpResponse:
    count = models.Turn.objects.filter(status=models.Status.WAITING).count()
    live.publish_from_sync("waiting", {"event_type": "waiting", "count": count})
    return redirect(f"{reverse('agents:waiting')}?turn={turn_id}#card")


@require_POST
@requires("operator")
def check_json(request: HttpRequest) -> HttpResponse:
    """Say whether a typed result is JSON, while it is typed."""
    name = request.GET.get("field", "")
    text = request.POST.get(f"{name}-text", "")
    errors = answers.json_errors(text) if request.POST.get(f"{name}-as") == "json" and text else []
    return render(request, "agents/_call_errors.html", {"errors": errors})
