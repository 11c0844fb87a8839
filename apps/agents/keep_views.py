"""The dialog that adds a turn of a chat to a dataset; without script it is a page."""

from typing import Any

from django import forms
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods
from pydantic_core import to_json

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.agents import keeping, models
from apps.core.errors import ConsoleError, NotFound
from apps.core.once import only
from apps.datasets import live, registry, rows, schemas, uses
from apps.datasets.models import Dataset, Purpose

OFFERED = 100
NAMED = 5  # datasets whose refusal is told


class KeepForm(forms.Form):
    """Where the turn goes."""

    into = forms.ChoiceField(label="Dataset", required=False)
    name = forms.CharField(label="Name of the new dataset", max_length=255, required=False)
    purpose = forms.ChoiceField(choices=Purpose.choices, label="For", required=False)
    again = forms.BooleanField(label="Add it again if it is there already", required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        newest = list(Dataset.objects.shown().defer("gaps", "metadata", "source").order_by("-updated_at")[:OFFERED])
        refused = {one: why for one in newest if (why := uses.refusal_of_rows(one))}
        offered = [(str(one), f"{one} ({one.get_purpose_display()})") for one in newest if one not in refused]
        self.fields["into"].choices = [("", "A new dataset"), *offered]  # type: ignore[attr-defined]
        if refused:
            named = [f"{one} ({why})" for one, why in list(refused.items())[:NAMED]]
            more = f" and {len(refused) - NAMED} more" if len(refused) > NAMED else ""
            self.fields["into"].help_text = f"Not offered: {', '.join(named)}{more}."


@require_http_methods(["GET", "POST"])
@requires("operator")
@only
def turn_keep(request: HttpRequest, agent_id: str, session_id: str, turn_id: str) -> HttpResponse:
    """Ask which dataset a turn goes to, show the row it becomes, and add it."""
    turn = _turn_or_404(agent_id, session_id, turn_id)
    sent = request.method == "POST"
    form = KeepForm((request.POST if sent else request.GET) if sent or request.GET else None)
    form.is_valid()
    given = getattr(form, "cleaned_data", {})
    target = Dataset.objects.shown().filter(dataset_id=given.get("into") or "").first()
    purpose = target.purpose if target else given.get("purpose") or str(Purpose.TRAINING)
    row = keeping.row_of(turn, purpose)
    if sent and form.is_valid():
        try:
            dataset = _keep(request, turn, target, given, purpose)
        except ConsoleError as error:
            form.add_error(None, error.detail)
        else:
            live.changed_from_sync(dataset)
            return _kept(request, dataset)
    context = {"turn": turn, "form": form, "target": target, "row": row, "sent": sent}
    template = "agents/_keep.html" if request.htmx else "agents/turn_keep.html"  # type: ignore[attr-defined]
    return render(request, template, context, status=422 if sent else 200)


def _keep(
    request: HttpRequest, turn: models.Turn, target: Dataset | None, given: dict[str, Any], purpose: str
) -> Dataset:
    """Add the turn and return its dataset; raises ConsoleError and adds nothing."""
    actor = principal_of(request)
    with transaction.atomic():
        if target is None:
            registry.check_name(given["name"] or None)
            name = given["name"] or None
            source = schemas.RowsDataSource(rows=[])
            asked = schemas.RegisterDatasetRequest.model_validate(
                {"purpose": purpose, "source": source, "dataset_id": name}
            )
            target = registry.register_rows(registry.Request(asked, [], []), actor)
        elif not given["again"] and keeping.is_kept(turn, target.pk, target.next_position):
            raise ConsoleError(f"{target.dataset_id} holds this turn already.", status=409)
        text = to_json(keeping.row_of(turn, purpose)).decode()
        came = rows.Source("turn", turn.session.session_name)
        return rows.append_rows(target.dataset_id, [text], actor, came, [keeping.origin_of(turn)])


def _kept(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "agents/_kept.html", {"dataset": dataset})
    return redirect("datasets:dataset-detail", dataset.dataset_id)


def _turn_or_404(agent_id: str, session_id: str, turn_id: str) -> models.Turn:
    try:
        turn = models.Turn.objects.of(agent_id, session_id, turn_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    if not turn.is_over:
        raise Http404("This turn has not ended yet")
    return turn
