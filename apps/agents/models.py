"""Agents and what they did: tables, constraints, a row's own transitions, reads.

JSON columns of turns and steps hold the spec's JSON as it was emitted, so that reading a long session is no validation.
"""

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.timezone import now

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.agents import schemas
from apps.agents.groups import ConfigField, GroupsField
from apps.core.errors import NotFound
from apps.core.fields import FastJSONField
from apps.core.ids import new_id


class AgentQuerySet(models.QuerySet["Agent"]):
    """Reads of agents."""

    def named(self, agent_id: str) -> "Agent":
        """Return the agent; raises NotFound."""
        agent = self.filter(agent_id=agent_id).first()
        if agent is None:
            raise NotFound(f"Agent '{agent_id}' not found")
        return agent


class Agent(models.Model):
    """A configured agent; the API has no update, so neither have we."""

    id = models.BigAutoField(primary_key=True)
    agent_id = models.CharField(max_length=36, unique=True, default=new_id, editable=False)
    agent_config = ConfigField(schemas.AgentConfig)
    name = models.TextField(blank=True, help_text="Copied from the configuration so that lists can search it.")
    model = models.TextField(blank=True, help_text="Copied from the configuration so that lists can search it.")
    created_at = models.DateTimeField(default=now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    objects = AgentQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.name or f"Agent {self.agent_id[:8]}"

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("agents:agent-detail", args=[self.agent_id])

    @classmethod
    def make(cls, config: schemas.AgentConfig, created_by_id: int | None = None) -> "Agent":
        """Insert an agent with this configuration and return it."""
        return cls.objects.create(
            agent_config=config, name=config.name or "", model=config.model, created_by_id=created_by_id
        )

    def as_schema(self) -> schemas.Agent:
        """Return the row as the API tells it."""
        return schemas.Agent(agent_id=self.agent_id, agent_config=self.agent_config, created_at=self.created_at)


class SessionQuerySet(models.QuerySet["Session"]):
    """Reads of sessions."""

    def of(self, agent_id: str, session_id: str) -> "Session":
        """Return the session of this agent with its agent; raises NotFound for either."""
        session = self.select_related("agent").filter(session_id=session_id, agent__agent_id=agent_id).first()
        if session is None:
            Agent.objects.named(agent_id)
            raise NotFound(f"Session '{session_id}' of agent '{agent_id}' not found")
        return session


class Session(models.Model):
    """A conversation; its turns run one after the other."""

    id = models.BigAutoField(primary_key=True)
    session_id = models.CharField(max_length=36, unique=True, default=new_id, editable=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="sessions")
    session_name = models.TextField()
    started_at = models.DateTimeField(default=now, editable=False)
    last_used_at = models.DateTimeField(default=now, editable=False, db_index=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    objects = SessionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.session_name or f"Session {self.session_id[:8]}"

    def get_absolute_url(self) -> str:
        """Return the address of its chat."""
        return reverse("agents:session-detail", args=[self.agent.agent_id, self.session_id])

    @property
    def topic(self) -> str:
        """The live topic on which the session's turns are announced."""
        return f"session:{self.session_id}"

    @classmethod
    def open(cls, agent: Agent, name: str, by: Principal) -> "Session":
        """Insert a session of this agent and return it; called inside a write."""
        session = cls.objects.create(agent=agent, session_name=name, created_by_id=by.user_id)
        audit.note(by, "create", "session", session.session_id, agent=agent.agent_id)
        return session

    def as_json(self, turns: list["Turn"]) -> dict[str, Any]:
        """Return the row with these turns as the API's JSON."""
        return {
            "session_id": self.session_id,
            "session_name": self.session_name,
            "turns": [turn.as_json() for turn in turns],
            "started_at": schemas.rfc3339(self.started_at),
        }


class Status(models.TextChoices):
    """Where a turn is."""

    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class TurnQuerySet(models.QuerySet["Turn"]):
    """Reads of turns."""

    def of(self, agent_id: str, session_id: str, turn_id: str) -> "Turn":
        """Return the turn with its session, agent and steps; raises NotFound for whichever is missing."""
        rows = self.select_related("session__agent").prefetch_related("steps")
        turn = rows.filter(turn_id=turn_id, session__session_id=session_id, session__agent__agent_id=agent_id).first()
        if turn is None:
            Session.objects.of(agent_id, session_id)
            raise NotFound(f"Turn '{turn_id}' of session '{session_id}' not found")
        return turn


class Turn(models.Model):
    """One question and all that was done to answer it, stored step by step."""

    id = models.BigAutoField(primary_key=True)
    turn_id = models.CharField(max_length=36, unique=True, default=new_id, editable=False)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="turns")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.RUNNING)
    input_messages = FastJSONField(help_text="As they were sent.")
    documents = FastJSONField(default=list, blank=True, help_text="As they were sent.")
    documents_content = FastJSONField(default=list, blank=True, help_text="What the model reads of the documents.")
    toolgroups = GroupsField(default=list, blank=True, help_text="Groups given for this turn beside the agent's.")
    tool_config = FastJSONField(null=True, blank=True, help_text="Overrides the agent's for this turn.")
    output_message = FastJSONField(null=True, blank=True)
    output_attachments = FastJSONField(default=list, blank=True)
    partial = FastJSONField(null=True, blank=True, help_text="The open step and its text so far, about a second old.")
    error = models.TextField(blank=True)
    infer_iters = models.PositiveIntegerField(default=0)
    input_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    first_token_ms = models.FloatField(null=True, blank=True)
    trace_id = models.CharField(max_length=32, blank=True, db_index=True)
    stop_requested = models.BooleanField(default=False, help_text="Asks the process that runs it to stop.")
    process = models.TextField(blank=True, help_text="Who runs it: host, process id and the time that process began.")
    live_from = models.BigIntegerField(default=0, help_text="The topic's number before the running part of the turn.")
    started_at = models.DateTimeField(default=now, editable=False, db_index=True)
    heartbeat_at = models.DateTimeField(default=now, editable=False)
    waiting_since = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    answered_by = models.TextField(blank=True, help_text="Who answered the last waiting call.")
    answered_at = models.DateTimeField(null=True, blank=True)

    objects = TurnQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["session"], condition=models.Q(status=Status.RUNNING), name="one_running_turn_per_session"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["status", "id"]), models.Index(fields=["session", "id"])]

    def __str__(self) -> str:
        return f"Turn {self.turn_id[:8]}"

    def get_absolute_url(self) -> str:
        """Return where it stands in its chat."""
        return f"{self.session.get_absolute_url()}#turn-{self.turn_id}"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status not in (Status.RUNNING, Status.WAITING)

    def as_json(self) -> dict[str, Any]:
        """Return the row with its steps as the API's JSON; a running turn has an empty answer so far."""
        open_answer = {"role": "assistant", "content": "", "stop_reason": "end_of_turn", "tool_calls": []}
        turn = {
            "turn_id": self.turn_id,
            "session_id": self.session.session_id,
            "input_messages": self.input_messages,
            "steps": [step.details for step in self.steps.all()],
            "output_message": self.output_message or open_answer,
            "output_attachments": self.output_attachments,
            "started_at": schemas.rfc3339(self.started_at),
        }
        if self.completed_at is not None:
            turn["completed_at"] = schemas.rfc3339(self.completed_at)
        return turn


class Step(models.Model):
    """One step of a turn, stored when it completed."""

    id = models.BigAutoField(primary_key=True)
    step_id = models.CharField(max_length=36, unique=True, default=new_id, editable=False)
    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, related_name="steps")
    step_type = models.CharField(max_length=20)
    details = FastJSONField(help_text="The step as the API tells it.")
    facts = FastJSONField(
        default=dict, blank=True, help_text="What the API has no place for: tokens, first token, try."
    )
    started_at = models.DateTimeField()
    completed_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.step_type} {self.step_id[:8]}"

    def get_absolute_url(self) -> str:
        """Return where its turn stands in the chat."""
        return self.turn.get_absolute_url()

    @property
    def duration(self) -> timedelta:
        """How long it took."""
        return self.completed_at - self.started_at


class Pending(models.Model):
    """A call of a waiting turn that somebody has to answer."""

    id = models.BigAutoField(primary_key=True)
    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, related_name="pending")
    call_id = models.TextField()
    tool_name = models.TextField()
    arguments = models.TextField()
    asked_at = models.DateTimeField(default=now)
    taken_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name_plural = "pending calls"

    def __str__(self) -> str:
        return f"{self.tool_name} ({self.call_id})"

    def get_absolute_url(self) -> str:
        """Return where it is answered."""
        return f"{reverse('agents:waiting')}?turn={self.turn.turn_id}"


def delete_agent(agent: Agent, by: Principal) -> None:
    """Delete an agent with everything below it, and note how much that was; called inside a write."""
    sessions = agent.sessions.count()
    agent.delete()
    audit.note(by, "delete", "agent", agent.agent_id, name=agent.name, sessions=sessions)


def delete_session(session: Session, by: Principal) -> None:
    """Delete a session with its turns and steps; called inside a write."""
    session.delete()
    audit.note(by, "delete", "session", session.session_id, name=session.session_name)
