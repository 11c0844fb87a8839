"""The chat page: sessions, the conversation, and what stands beside it."""

from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.audit import note
from apps.accounts.auth import principal_of
from apps.accounts.pages import may, requires
from apps.agents import conversation, models, pictures, side, turns
from apps.agents.answers import CallForm
from apps.agents.starters import chips_of
from apps.agents.transcript import TURN_STATES, TurnView
from apps.core import live, once
from apps.core.errors import NotFound
from apps.core.numbers import whole

TOOL_CHOICES = {"": "Tools as set", "auto": "Model decides", "required": "Must call a tool", "none": "No tools"}


def session_or_404(agent_id: str, session_id: str) -> models.Session:
    """Return the session with its agent; raises Http404."""
    try:
        return models.Session.objects.of(agent_id, session_id)
    except NotFound as error:
        raise Http404(error.detail) from error


def agent_or_404(agent_id: str) -> models.Agent:
    """Return the agent; raises Http404."""
    try:
        return models.Agent.objects.named(agent_id)
    except NotFound as error:
        raise Http404(error.detail) from error


def chat_url(session: models.Session) -> str:
    """Return the address of a session's chat."""
    return reverse("agents:session-detail", args=(session.agent.agent_id, session.session_id))


@require_GET
@requires("viewer")
def chat(request: HttpRequest) -> HttpResponse:
    """Go on with the session used last, one's own before others'; without any, choose an agent."""
    recent = models.Session.objects.select_related("agent").order_by("-last_used_at", "-pk")
    last = recent.filter(created_by=request.user.pk).first() or recent.first()
    if last is not None and "pick" not in request.GET:
        return redirect(chat_url(last))
    agents = models.Agent.objects.order_by("-pk")[:50]
    return render(request, "agents/chat_start.html", {"agents": agents, "can_operate": may(request, "operator")})


@require_GET
@requires("viewer")
def agent_chat(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Go on with the agent's last session, or offer the first."""
    agent = agent_or_404(agent_id)
    last = agent.sessions.order_by("-last_used_at", "-pk").first()
    if last is not None:
        return redirect("agents:session-detail", agent_id, last.session_id)
    return render(
        request, "agents/chat_start.html", {"agent": agent, "agents": [agent], "can_operate": may(request, "operator")}
    )


@require_POST
@requires("operator")
def session_new(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Open a session and go there."""
    agent = agent_or_404(agent_id)
    with transaction.atomic():
        session = models.Session.open(agent, conversation.UNNAMED, principal_of(request))  # its first message names it
    return redirect(chat_url(session))


@require_GET
@requires("viewer")
def session_detail(request: HttpRequest, agent_id: str, session_id: str) -> HttpResponse:
    """Show the conversation, its sessions and the chosen turn."""
    return chat_page(request, session_or_404(agent_id, session_id))


def chat_page(
    request: HttpRequest,
    session: models.Session,
    *,
    status: int = 200,
    kept: list[CallForm] | None = None,
    **extra: Any,
) -> HttpResponse:
    """Return the chat page; ``kept`` and ``extra`` carry what a refused form keeps."""
    # The number is read before the rows: what happens in between is painted twice rather than missed.
    head = async_to_sync(live.head)(session.topic)
    context = _conversation(request, session) | _sessions(request, session.agent)
    shown = context["turns"]
    if kept and shown:
        shown[-1].calls = kept
    context |= {"live_number": _number(shown, head), "here": session.session_id}
    context |= side.context(session, request.GET, shown)
    context |= {"show": request.GET.get("show", "chat"), "tool_choices": _tool_choices(session.agent), **extra}
    context |= {"delete_session_text": _what_goes(context["totals"])}
    return render(request, "agents/session_detail.html", context, status=status)


def _what_goes(totals: conversation.Totals) -> str:
    turns = "turn goes" if totals.turns == 1 else "turns go"
    return f"{totals.turns} {turns} with it."


def _number(turns: list[TurnView], head: int) -> int:
    """Return from where the page follows the topic: what a running turn did so far is painted again."""
    return turns[-1].row.live_from if turns and turns[-1].is_running else head


def _conversation(request: HttpRequest, session: models.Session) -> dict[str, Any]:
    before = whole(request.GET.get("before"))
    turns = conversation.turns_of(session, before)
    totals = conversation.totals(session)
    return {
        "session": session,
        "agent": session.agent,
        "turns": turns,
        "earlier": turns[0].row.pk if turns and turns[0].number > 1 else None,
        "is_earlier_page": before is not None,
        "totals": totals,
        "state": TURN_STATES.get(totals.status),
        "can_operate": may(request, "operator"),
        "chips": chips_of(session.agent.agent_config),
    }


def _sessions(request: HttpRequest, agent: models.Agent) -> dict[str, Any]:
    find = request.GET.get("find", "").replace("\0", "").strip()
    rows, after = conversation.sessions_of(agent, find, request.GET.get("after", ""))
    return {
        "session_rows": rows,
        "session_count": agent.sessions.count(),
        "find": find,
        "more_sessions": urlencode({"find": find, "after": after}) if after else "",
    }


def _tool_choices(agent: models.Agent) -> dict[str, str]:
    tools = agent.agent_config.client_tools or []
    if not tools and not agent.agent_config.toolgroups:
        return {}
    return TOOL_CHOICES | {tool.name: f"Call {tool.name}" for tool in tools}


@require_GET
@requires("viewer")
def session_turns(request: HttpRequest, agent_id: str, session_id: str) -> HttpResponse:
    """The conversation alone: earlier turns on the way up, or everything anew when no socket brings it."""
    session = session_or_404(agent_id, session_id)
    head = async_to_sync(live.head)(session.topic)
    context = _conversation(request, session)
    if request.GET.get("before"):
        return render(request, "agents/_turns.html", context)
    return render(request, "agents/_conversation.html", context | {"live_number": _number(context["turns"], head)})


@require_GET
@requires("viewer")
def session_list(request: HttpRequest, agent_id: str) -> HttpResponse:
    """The list of sessions alone: searched, or its next page."""
    agent = agent_or_404(agent_id)
    here = {"here": request.GET.get("here", ""), "agent": agent}
    template = "agents/_session_rows.html" if request.GET.get("after") else "agents/_sessions.html"
    return render(request, template, _sessions(request, agent) | here)


@require_GET
@requires("viewer")
def session_side(request: HttpRequest, agent_id: str, session_id: str) -> HttpResponse:
    """The right pane alone: steps, JSON or agent of one turn."""
    session = session_or_404(agent_id, session_id)
    context = {"session": session, "agent": session.agent, "turns": []}
    return render(request, "agents/_side.html", context | side.context(session, request.GET, []))


@require_POST
@requires("operator")
def session_rename(request: HttpRequest, agent_id: str, session_id: str) -> HttpResponse:
    """Give the session another name."""
    session = session_or_404(agent_id, session_id)
    name = " ".join(request.POST.get("session_name", "").replace("\0", "").split())[:200]
    if name:
        with transaction.atomic():
            models.Session.objects.filter(pk=session.pk).update(session_name=name)
            note(principal_of(request), "rename", "session", session_id, name=name, before=session.session_name)
        live.publish_from_sync(session.topic, {"event_type": "session_renamed"})
    return redirect(chat_url(session))


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def session_delete(request: HttpRequest, agent_id: str, session_id: str) -> HttpResponse:
    """Ask, then delete the session with its turns and go to the agent's next one."""
    session = session_or_404(agent_id, session_id)
    if request.method == "GET":
        text = _what_goes(conversation.totals(session))
        context = {"session": session, "agent": session.agent, "delete_session_text": text}
        return render(request, "agents/session_delete.html", context)
    actor = principal_of(request)
    running = session.turns.filter(status=models.Status.RUNNING).select_related("session__agent")
    async_to_sync(turns.stop_all)(list(running), actor)
    with transaction.atomic():
        models.delete_session(session, actor)
    messages.success(request, f"Session “{session.session_name}” deleted")
    return redirect("agents:agent-chat", agent_id)


@require_GET
@requires("viewer")
def picture(request: HttpRequest, agent_id: str, session_id: str, turn_id: str, key: str) -> HttpResponse:
    """Give out a picture of a message, so that no page loads one from elsewhere."""
    session = session_or_404(agent_id, session_id)
    sent = session.turns.filter(turn_id=turn_id).values_list("input_messages", flat=True).first()
    found = pictures.read(sent or [], key)
    if found is None:
        raise Http404("No picture here")
    data, kind = found
    return HttpResponse(data, content_type=kind, headers={"Cache-Control": "private, max-age=86400, immutable"})
