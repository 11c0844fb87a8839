"""The pane beside the agent form: talk with the configuration as it stands, saved or not."""

from typing import Any
from uuid import uuid4

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.pages import requires
from apps.agents import known, trial
from apps.agents.forms import AgentForm
from apps.core import db
from apps.core.errors import ConsoleError

PART = "agents/_trial_note.html"


@require_POST
@requires("operator")
async def trial_say(request: HttpRequest, key: str) -> HttpResponse:
    """Send a message to the configuration in the form; what is wrong with either is said in the pane."""
    if not trial.is_key(key):
        raise Http404("No trial is called so")
    text = request.POST.get("trial_message", "").replace("\0", "").strip()
    form = await db.read(_checked_form, request)
    if not text or not form.is_valid() or form.config is None:
        wrong = [
            f"{form.fields[name].label or name}: {form.errors[name][0]}" for name in form.errors if name in form.fields
        ]
        said = "; ".join(wrong) or "Write a message."
        return render(request, PART, {"refusal": said}, status=422)
    try:
        await trial.say(trial.name_of(request.user.pk, key), form.config, text)
    except ConsoleError as error:
        return render(request, PART, {"refusal": error.detail}, status=409 if error.status == 409 else 422)
    answer = render(request, PART, {})
    answer["HX-Trigger"] = "trial-sent"
    return answer


def _checked_form(request: HttpRequest) -> AgentForm:
    form = AgentForm(request.POST, models=known.models())
    form.is_valid()
    return form


@require_GET
@requires("operator")
def trial_turns(request: HttpRequest, key: str) -> HttpResponse:
    """Show the conversation so far: what a page without a socket asks for."""
    if not trial.is_key(key):
        raise Http404("No trial is called so")
    return render(request, "agents/_trial_turns.html", pane(request, key))


def pane(request: HttpRequest, key: str) -> dict[str, Any]:
    """Return what the pane prints of a person's trial; of a new one when the key is none."""
    key = key if trial.is_key(key) else uuid4().hex
    name = trial.name_of(request.user.pk, key)
    return {"trial": trial.trial_of(name), "trial_key": key, "trial_topic": trial.topic_of(name)}
