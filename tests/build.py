"""Plain functions that make rows with sensible defaults: ``build.agent(name="Ana")``."""

from typing import Any

from django.core.cache import cache

PASSWORD = "correct horse battery staple"


def forget() -> None:
    """Drop what the process keeps between requests."""
    from apps.inference import chat
    from apps.providers import instances
    from apps.telemetry import known

    cache.clear()
    instances.forget()
    chat.forget()
    known.forget()


def user(role: str = "operator", **fields: Any) -> Any:
    """Return a new person; the name is the role unless told."""
    from apps.accounts.models import User

    name = fields.pop("username", role)
    make = User.objects.create_superuser if role == "admin" else User.objects.create_user
    return make(name, password=fields.pop("password", PASSWORD), role=role, **fields)


def key(role: str = "operator", **fields: Any) -> str:
    """Return the text of a new API key."""
    from apps.accounts import keys

    return keys.issue(actor(), fields.pop("name", f"{role}'s program"), role, **fields)[1]


def actor(role: str = "admin", **fields: Any) -> Any:
    """Return somebody who acts."""
    from apps.accounts.principals import Principal

    return Principal(**{"role": role, "name": "the tests", **fields})


def provider(provider_id: str = "scripted", provider_type: str = "inline::scripted", **fields: Any) -> Any:
    """Return a new provider row."""
    from apps.providers.models import Provider

    return Provider.objects.create(provider_id=provider_id, provider_type=provider_type, **fields)


def model(row: Any, name: str = "scripted", model_type: str = "llm", **fields: Any) -> Any:
    """Return a new model of a provider."""
    from apps.inference.models import Model

    identifier = f"{row.provider_id}/{name}"
    return Model.objects.create(
        **{
            "identifier": identifier,
            "provider": row,
            "provider_resource_id": name,
            "model_type": model_type,
            **fields,
        }
    )


def scripted_model(script: list[dict[str, Any]], **config: Any) -> str:
    """Return the name of a model that plays ``script``; an earlier one of this test is replaced."""
    from apps.providers.models import Provider

    Provider.objects.filter(provider_id="scripted").delete()
    row = provider(config={"script": script, **config})
    forget()
    return str(model(row).identifier)


def config(**fields: Any) -> dict[str, Any]:
    """Return an agent's configuration as JSON."""
    return {"model": "scripted/scripted", "instructions": "Be brief.", **fields}


def agent(**fields: Any) -> Any:
    """Return a new agent row."""
    from apps.agents import models, schemas

    return models.Agent.make(schemas.AgentConfig.model_validate(config(**fields)))


def session(agent: Any, **fields: Any) -> Any:
    """Return a new session row."""
    from apps.agents import models

    return models.Session.objects.create(agent=agent, **{"session_name": "Test", **fields})


def said(text: str) -> dict[str, Any]:
    """Return a user's message."""
    return {"role": "user", "content": text}


def tool(name: str = "get_weather", **fields: Any) -> dict[str, Any]:
    """Return a tool the caller runs."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"name": name, "description": "Tell the weather.", "input_schema": schema, **fields}
