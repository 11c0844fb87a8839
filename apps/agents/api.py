"""The twelve operations on agents, and two of ours: stop a turn, watch it again."""

from collections.abc import Coroutine
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import Query, Router

from apps.accounts import audit
from apps.accounts.auth import caller
from apps.accounts.principals import Principal
from apps.agents import models, schemas, streams, turns
from apps.agents.running import Running
from apps.core import db
from apps.core.answers import answer, nothing, sse
from apps.core.detached import detached
from apps.core.errors import NotFound
from apps.core.pages import PaginatedResponse, paginate

router = Router(tags=["Agents"])
SESSION = "/agents/{agent_id}/session/{session_id}"
TURN = SESSION + "/turn/{turn_id}"
STREAMED = {
    "responses": {
        200: {
            "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/AgentTurnResponseStreamChunk"}}}
        }
    }
}


@router.post("/agents", response=schemas.AgentCreateResponse, url_name="create_agent")
async def create_agent(request: HttpRequest, body: schemas.CreateAgentRequest) -> HttpResponse:
    """Store an agent; its model, shields and tool groups are looked up when a turn runs."""
    agent = await db.write(_create_agent, body.agent_config, caller(request))
    return answer(schemas.AgentCreateResponse(agent_id=agent.agent_id))


@router.get("/agents", response=PaginatedResponse)
async def list_agents(request: HttpRequest, start_index: int | None = None, limit: int | None = None) -> HttpResponse:
    """List agents, oldest first."""
    return answer(await db.read(paginate, models.Agent.objects.all(), start_index, limit, request.path, _item))


@router.get("/agents/{agent_id}", response=schemas.Agent)
async def get_agent(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Return an agent with the defaults of its configuration filled in."""
    return answer((await db.read(models.Agent.objects.named, agent_id)).as_schema())


@router.delete("/agents/{agent_id}")
async def delete_agent(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Delete an agent with its sessions, turns and steps; what still runs is stopped first. Spans are kept."""
    agent = await db.read(models.Agent.objects.named, agent_id)
    await _stop_running(models.Turn.objects.filter(session__agent=agent), caller(request))
    await db.write(models.delete_agent, agent, caller(request))
    return nothing()


@router.post("/agents/{agent_id}/session", response=schemas.AgentSessionCreateResponse, url_name="create_agent_session")
async def create_agent_session(
    request: HttpRequest, agent_id: str, body: schemas.CreateAgentSessionRequest
) -> HttpResponse:
    """Open a session; its name need not be unique."""
    session = await db.write(_create_session, agent_id, body.session_name, caller(request))
    return answer(schemas.AgentSessionCreateResponse(session_id=session.session_id))


@router.get("/agents/{agent_id}/sessions", response=PaginatedResponse)
async def list_agent_sessions(
    request: HttpRequest, agent_id: str, start_index: int | None = None, limit: int | None = None
) -> HttpResponse:
    """List an agent's sessions without their turns, oldest first."""

    def page() -> PaginatedResponse:
        sessions = models.Agent.objects.named(agent_id).sessions.all()
        return paginate(sessions, start_index, limit, request.path, lambda session: session.as_json([]))

    return answer(await db.read(page))


@router.get(SESSION, response=schemas.Session)
async def get_agents_session(
    request: HttpRequest,
    agent_id: str,
    session_id: str,
    turn_ids: list[str] | None = Query(None),  # type: ignore[type-arg]
) -> HttpResponse:
    """Return a session with its turns, or those of them that ``turn_ids`` names."""
    given = [*request.GET.getlist("turn_ids"), *request.GET.getlist("turn_ids[]")]
    wanted = {turn_id for value in given for turn_id in value.split(",") if turn_id}
    return answer(await db.read(_session, agent_id, session_id, wanted))


@router.delete(SESSION)
async def delete_agents_session(request: HttpRequest, agent_id: str, session_id: str) -> HttpResponse:
    """Delete a session with its turns and steps; a running turn is stopped first."""
    session = await db.read(models.Session.objects.of, agent_id, session_id)
    await _stop_running(models.Turn.objects.filter(session=session), caller(request))
    await db.write(models.delete_session, session, caller(request))
    return nothing()


@router.post(SESSION + "/turn", response=schemas.Turn, url_name="create_agent_turn", openapi_extra=STREAMED)
async def create_agent_turn(
    request: HttpRequest, agent_id: str, session_id: str, body: schemas.CreateAgentTurnRequest
) -> HttpResponse | StreamingHttpResponse:
    """Ask the agent; the answer comes whole, or as a stream of events with ``stream``."""
    run = await _own(request, turns.start(agent_id, session_id, body, caller(request)))
    return await _answer_turn(request, run, stream=body.stream)


@router.get(TURN, response=schemas.Turn)
async def get_agents_turn(request: HttpRequest, agent_id: str, session_id: str, turn_id: str) -> HttpResponse:
    """Return a turn as far as it has come."""
    return answer((await db.read(_turn, agent_id, session_id, turn_id)).as_json())


@router.post(TURN + "/resume", response=schemas.Turn, url_name="resume_agent_turn", openapi_extra=STREAMED)
async def resume_agent_turn(
    request: HttpRequest, agent_id: str, session_id: str, turn_id: str, body: schemas.ResumeAgentTurnRequest
) -> HttpResponse | StreamingHttpResponse:
    """Continue a waiting turn with what the caller's tools answered."""
    run = await _own(request, turns.resume(agent_id, session_id, turn_id, body, caller(request)))
    return await _answer_turn(request, run, stream=body.stream)


@router.get(TURN + "/step/{step_id}", response=schemas.AgentStepResponse)
async def get_agents_step(
    request: HttpRequest, agent_id: str, session_id: str, turn_id: str, step_id: str
) -> HttpResponse:
    """Return one step of a turn."""
    turn = await db.read(_turn, agent_id, session_id, turn_id)
    step = next((step for step in turn.steps.all() if step.step_id == step_id), None)
    if step is None:
        raise NotFound(f"Step '{step_id}' of turn '{turn_id}' not found")
    return answer({"step": step.details})


@router.post(TURN + "/cancel", response=schemas.Turn)
async def cancel_agent_turn(request: HttpRequest, agent_id: str, session_id: str, turn_id: str) -> HttpResponse:
    """Stop a running or waiting turn and return it with what it has. An addition of Stack Console."""
    await turns.stop(await db.read(_turn, agent_id, session_id, turn_id), caller(request))
    return answer((await db.read(_turn, agent_id, session_id, turn_id)).as_json())


@router.get(TURN + "/events", openapi_extra=STREAMED)
async def watch_agent_turn(request: HttpRequest, agent_id: str, session_id: str, turn_id: str) -> StreamingHttpResponse:
    """Watch a turn from its beginning, or from ``Last-Event-ID``, whoever started it. An addition of Stack Console."""
    turn = await db.read(_turn, agent_id, session_id, turn_id)
    return sse(streams.watched(turn, request.headers.get("Last-Event-ID", "")))


async def _own(request: HttpRequest, starting: Coroutine[Any, Any, Running]) -> Running:
    """Start a turn that outlives its request, and hand it the request's span."""
    request.span_is_owned = True  # type: ignore[attr-defined]
    try:
        return await detached(starting)
    except Exception:
        request.span_is_owned = False  # type: ignore[attr-defined]
        raise


async def _answer_turn(
    request: HttpRequest, run: Running, *, stream: bool | None
) -> HttpResponse | StreamingHttpResponse:
    if stream:
        return sse(streams.of_turn(run))
    return answer(await turns.result_of(run))


async def _stop_running(rows: Any, by: Principal) -> None:
    running = await db.read(lambda: list(rows.filter(status=models.Status.RUNNING).select_related("session")))
    await turns.stop_all(running, by)


def _create_agent(config: schemas.AgentConfig, by: Principal) -> models.Agent:
    agent = models.Agent.make(config, by.user_id)
    audit.note(by, "create", "agent", agent.agent_id, name=agent.name)
    return agent


def _create_session(agent_id: str, name: str, by: Principal) -> models.Session:
    agent = models.Agent.objects.named(agent_id)
    return models.Session.open(agent, name, by)


def _item(agent: models.Agent) -> dict[str, Any]:
    return agent.as_schema().model_dump(mode="json", exclude_none=True)


def _session(agent_id: str, session_id: str, wanted: set[str]) -> dict[str, Any]:
    session = models.Session.objects.of(agent_id, session_id)
    rows = session.turns.prefetch_related("steps")
    turns_of = list(rows.filter(turn_id__in=wanted) if wanted else rows)
    for turn in turns_of:
        turn.session = session
    return session.as_json(turns_of)


def _turn(agent_id: str, session_id: str, turn_id: str) -> models.Turn:
    return models.Turn.objects.of(agent_id, session_id, turn_id)
