"""What a person does to a turn: send, stop, send again, answer. Ordinary forms; the socket paints what follows."""

import contextlib
from typing import Any

from django.contrib import messages
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.agents import answers, composer, conversation, models, turns
from apps.agents.running import announce_waiting
from apps.agents.session_views import chat_page, chat_url, session_or_404
from apps.core import db, live, once
from apps.core.detached import detached
from apps.core.errors import Conflict, ConsoleError


@require_POST
@requires("operator")
async def send(request: HttpRequest, agent_id: str, session_id: str) -> HttpResponse:
    """Start a turn with what the composer holds; a refusal is said beside it and nothing typed is lost."""
    session = await db.read(session_or_404, agent_id, session_id)
    key = once.key_of(request)
    if key and not await cache.aadd(key, "", once.KEEP_S):
        return await _sent(request, session)  # the same form a second time: the first send acts
    try:
        body = composer.request_of(request.POST, request.FILES.getlist("files"))
        await detached(turns.start(agent_id, session_id, body, principal_of(request)))
    except Exception as error:
        if key:
            await cache.adelete(key)  # nothing was sent: the same form may try again
        if not isinstance(error, ConsoleError):
            raise
        return await _refused(request, session, error)
    if session.session_name == conversation.UNNAMED:
        await _name(session, request.POST.get("message", ""))
    return await _sent(request, session)


async def _name(session: models.Session, text: str) -> None:
    """Let the first message name the session."""
    name = conversation.name_from(text)
    if name:
        unnamed = models.Session.objects.filter(pk=session.pk, session_name=conversation.UNNAMED)
        await db.write(lambda: unnamed.update(session_name=name))
        await live.publish(session.topic, {"event_type": "session_renamed"})


async def _sent(request: HttpRequest, session: models.Session, *, empties: bool = True) -> HttpResponse:
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(chat_url(session))
    response = render(request, "agents/_composer_note.html", {})
    if empties:
        response["HX-Trigger"] = "chat-sent"
    return response


async def _refused(request: HttpRequest, session: models.Session, error: ConsoleError) -> HttpResponse:
    said: dict[str, Any] = {"refusal": error.detail, "refusal_status": error.status}
    if request.htmx:  # type: ignore[attr-defined]
        # Only these two statuses are swapped in: what is refused here is said here, whatever refused it.
        return render(request, "agents/_composer_note.html", said, status=409 if error.status == 409 else 422)
    draft = request.POST.get("message", "")
    return await db.read(lambda: chat_page(request, session, status=error.status, draft=draft, **said))


@require_POST
@requires("operator")
async def stop(request: HttpRequest, agent_id: str, session_id: str) -> HttpResponse:
    """End the turn that runs or waits; nothing happens when none does."""
    session = await db.read(session_or_404, agent_id, session_id)
    busy = session.turns.filter(status__in=(models.Status.RUNNING, models.Status.WAITING)).select_related(
        "session__agent"
    )
    turn = await db.read(busy.last)
    if turn is not None:
        with contextlib.suppress(Conflict):  # it ended by itself meanwhile
            await turns.stop(turn, principal_of(request))
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponse(status=204)
    return redirect(chat_url(session))


@require_POST
@requires("operator")
async def again(request: HttpRequest, agent_id: str, session_id: str, turn_id: str) -> HttpResponse:
    """Send the messages of an earlier turn once more, as a new turn."""
    session = await db.read(session_or_404, agent_id, session_id)
    turn = await db.read(session.turns.filter(turn_id=turn_id).first)
    if turn is None:
        raise Http404(f"Turn '{turn_id}' not found")
    try:
        body = composer.again(turn.input_messages, turn.documents, turn.toolgroups, turn.tool_config)
        await detached(turns.start(agent_id, session_id, body, principal_of(request)))
    except ConsoleError as error:
        return await _refused(request, session, error)
    return await _sent(request, session, empties=False)  # what is being written meanwhile stays


@require_POST
@requires("operator")
async def answer(request: HttpRequest, agent_id: str, session_id: str, turn_id: str) -> HttpResponse:
    """Answer the calls a turn waits for, with a result or an error; the turn goes on at once."""
    session = await db.read(session_or_404, agent_id, session_id)
    turn = await db.read(answers.waiting_turn, session, turn_id)
    if turn is None:
        raise Http404(f"Turn '{turn_id}' not found")
    if turn.status != models.Status.WAITING:
        return await _too_late(request, turn)
    calls = await db.read(answers.calls_of, turn, request.POST)  # off the loop: the schema is somebody else's
    if any(call.errors for call in calls):
        return await _kept(request, session, turn, calls)
    try:
        body = answers.response_of(calls, request.POST)
        await detached(turns.resume(agent_id, session_id, turn_id, body, principal_of(request)))
    except ConsoleError as error:
        turn = await db.read(answers.waiting_turn, session, turn_id)
        return await _too_late(request, turn, error) if turn else redirect(chat_url(session))
    await announce_waiting()  # the turn tells it when it ends, which may take long
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "agents/_answered.html", {"turn": turn, "session": session, "is_ours": True})
    return redirect(_back(request, session))


def _back(request: HttpRequest, session: models.Session) -> str:
    return reverse("agents:waiting") if request.POST.get("from") == "waiting" else chat_url(session)


async def _kept(
    request: HttpRequest, session: models.Session, turn: models.Turn, calls: list[answers.CallForm]
) -> HttpResponse:
    """Show the card again with what was typed and what is wrong with it."""
    context = {"turn": turn, "session": session, "calls": calls, "from": request.POST.get("from", "")}
    context["can_operate"] = True
    if request.htmx:  # type: ignore[attr-defined]
        return await db.read(lambda: render(request, "agents/_wait_card.html", context, status=422))
    return await db.read(lambda: chat_page(request, session, status=422, kept=calls))


async def _too_late(request: HttpRequest, turn: models.Turn, error: ConsoleError | None = None) -> HttpResponse:
    """Say who answered first and when; nothing runs twice."""
    context = {"turn": turn, "session": turn.session, "error": error}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "agents/_answered.html", context, status=409)
    messages.error(request, answers.who_answered(turn))
    return await db.read(lambda: chat_page(request, turn.session, status=409, refusal=answers.who_answered(turn)))
