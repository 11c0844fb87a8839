"""The pane beside the agent form: talk with the configuration as it stands, saved or not."""

from django.http import HttpRequest, HttpResponse
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
    text = request.POST.get("trial_message", "").strip()
    form = await db.read(_checked_form, request)
    if not text or not form.is_valid() or form.config is None:
        wrong = [
            f"{form.fields[name].label or name}: {form.errors[name][0]}" for name in form.errors if name in form.fields
        ]
        said = "; ".join(wrong) or "Write a message."
        return render(request, PART, {"refusal": said}, status=422)
    try:
        await trial.say(key, form.config, text)
    except ConsoleError as error:
        return render(request, PART, {"refusal": error.detail}, status=422)
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
    return render(request, "agents/_trial_turns.html", {"trial": trial.trial_of(key), "trial_key": key})
