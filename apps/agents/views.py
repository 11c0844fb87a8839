"""Pages of agents: list, form, detail, delete, and what is left of a deleted one."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Q, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.audit import note
from apps.accounts.auth import principal_of
from apps.accounts.models import AuditLine
from apps.accounts.pages import may, requires
from apps.agents import agent_list as listing
from apps.agents import conversation, known, models, schemas, turns
from apps.agents.forms import AgentForm
from apps.agents.session_views import agent_or_404, chat_url
from apps.agents.starters import STARTERS
from apps.agents.transcript import tokens_of
from apps.agents.trial_views import pane
from apps.core import once
from apps.core.htmx import is_partial
from apps.core.keyset import page_of

SHOWN_SESSIONS = 20
NAMED_SESSIONS = 3


@require_GET
@requires("viewer")
def agent_list(request: HttpRequest) -> HttpResponse:
    """Show the agents a filter leaves, newest first."""
    found = listing.matching(request.GET.get("q", "").strip())
    page = page_of(found.rows, request.GET)
    context = {
        "filter": found,
        "page": page,
        "rows": listing.with_numbers(page.rows) if page.rows else [],
        "any_agent": bool(page.rows) or models.Agent.objects.exists(),
        "starters": STARTERS,
        "can_operate": may(request, "operator"),
    }
    return render(request, "agents/_agents.html" if is_partial(request) else "agents/agent_list.html", context)


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def agent_new(request: HttpRequest) -> HttpResponse:
    """Make an agent and go to a chat with it; a template or a model's page fills the form."""
    starter = STARTERS.get(request.GET.get("template", ""))
    model = {"model": request.GET["model"]} if request.GET.get("model") else {}
    return _form_page(request, (starter.initial if starter else {}) | model, {})


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def agent_copy(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Make an agent out of another: the API has no update, so this is how one is changed."""
    origin = agent_or_404(agent_id)
    initial = AgentForm.initial_of(origin.agent_config)
    initial["name"] = f"{origin} (copy)"
    return _form_page(request, initial, {"origin": origin})


def _form_page(request: HttpRequest, initial: dict[str, Any], context: dict[str, Any]) -> HttpResponse:
    form = AgentForm(request.POST if request.method == "POST" else None, initial=initial, models=known.models())
    if request.method == "POST" and form.is_valid() and form.config:
        return redirect(chat_url(_create(request, form.config, context.get("origin"))))
    status = 422 if form.is_bound else 200
    context |= pane(request, request.POST.get("trial_key", ""))
    return render(request, "agents/agent_form.html", context | {"form": form, "starters": STARTERS}, status=status)


def _create(request: HttpRequest, config: schemas.AgentConfig, origin: models.Agent | None) -> models.Session:
    """Insert the agent with a first session, so that the next thing seen is a chat."""
    actor = principal_of(request)
    copied = {"copied_from": origin.agent_id} if origin else {}
    with transaction.atomic():
        agent = models.Agent.make(config, actor.user_id)
        note(actor, "create", "agent", agent.agent_id, name=agent.name, model=agent.model, **copied)
        return models.Session.open(agent, conversation.UNNAMED, actor)


@require_POST
@requires("operator")
def agent_check(request: HttpRequest) -> HttpResponse:
    """Say what is wrong with one field of the form while it is being filled; nothing when it is right."""
    form = AgentForm(request.POST, models=known.models())
    name = request.GET.get("field", "")
    if name not in form.fields:
        raise Http404(f"The form has no field '{name}'")
    return render(request, "agents/_check.html", {"field": form[name]})


@require_GET
@requires("viewer")
def agent_detail(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Show an agent's configuration, sessions and usage; of a deleted one who deleted it and when."""
    agent = models.Agent.objects.select_related("created_by").filter(agent_id=agent_id).first()
    if agent is None:
        return _tombstone(request, agent_id)
    line = AuditLine.objects.filter(kind="agent", object_id=agent_id, action="create").first()
    copied_from = (line.detail or {}).get("copied_from") if line else None
    sessions, _ = conversation.sessions_of(agent)
    context = {
        "agent": agent,
        "config": agent.agent_config,
        "config_json": agent.as_schema().model_dump(mode="json", exclude_none=True),
        "usage": _usage(agent),
        "session_rows": sessions[:SHOWN_SESSIONS],
        "origin_id": copied_from,
        "origin": models.Agent.objects.filter(agent_id=copied_from).first() if copied_from else None,
        "model_state": _model_state(agent),
        "delete_text": _what_goes(agent),
        "can_operate": may(request, "operator"),
    }
    return render(request, "agents/agent_detail.html", context)


def _model_state(agent: models.Agent) -> str:
    found = next((model for model in known.models() if model.identifier == agent.model), None)
    if found is None:
        return "missing"
    return "" if found.is_reachable else "unreachable"


def _usage(agent: models.Agent) -> dict[str, Any]:
    failed = Count("pk", filter=Q(status=models.Status.FAILED))
    sums = models.Turn.objects.filter(session__agent=agent).aggregate(
        turns=Count("pk"), failed=failed, read=Sum("input_tokens"), written=Sum("output_tokens")
    )
    rate = sums["failed"] / sums["turns"] if sums["turns"] else None
    return {
        "sessions": agent.sessions.count(),
        "turns": sums["turns"],
        "error_rate": rate,
        "tokens": tokens_of(sums["read"], sums["written"]),
    }


def _what_goes(agent: models.Agent) -> str:
    """Return the sentence of the delete dialog that names the agent's sessions."""
    count = agent.sessions.count()
    if not count:
        return "It has no sessions."
    names = agent.sessions.order_by("-last_used_at").values_list("session_name", flat=True)[:NAMED_SESSIONS]
    named = ", ".join(f"“{name}”" for name in names)
    rest = f" and {count - NAMED_SESSIONS} more" if count > NAMED_SESSIONS else ""
    sessions = "1 session goes" if count == 1 else f"{count} sessions go"
    return f"{sessions} with it: {named}{rest}."


def _tombstone(request: HttpRequest, agent_id: str) -> HttpResponse:
    line = AuditLine.objects.filter(kind="agent", object_id=agent_id, action="delete").first()
    if line is None:
        raise Http404(f"Agent '{agent_id}' not found")
    return render(request, "agents/agent_gone.html", {"line": line, "agent_id": agent_id}, status=410)


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def agent_delete(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Ask, then stop what runs and delete the agent with its sessions."""
    agent = agent_or_404(agent_id)
    if request.method == "GET":
        back = reverse("agents:agent-detail", args=[agent_id])
        context = {"agent": agent, "text": _what_goes(agent), "back": back}
        return render(request, "agents/agent_delete.html", context)
    actor = principal_of(request)
    busy = models.Turn.objects.filter(session__agent=agent, status=models.Status.RUNNING).select_related(
        "session__agent"
    )
    async_to_sync(turns.stop_all)(list(busy), actor)
    with transaction.atomic():
        models.delete_agent(agent, actor)
    messages.success(request, f"Agent “{agent}” deleted")
    return redirect("agents:agent-list")
