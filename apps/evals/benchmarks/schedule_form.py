"""How often a benchmark runs by itself: asked for by the form of a new evaluation, and changed afterwards."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.timezone import now

from apps.evals.models import Every, Schedule

LATEST = timedelta(days=366)
SHOWN = "%Y-%m-%dT%H:%M"


class ScheduleForm(forms.Form):
    """How often, and when for the first time."""

    every = forms.ChoiceField(choices=Every.choices, label="How often")
    first_at = forms.DateTimeField(
        label="First run (UTC)",
        error_messages={"required": "Choose a day and a time."},
        help_text="Later ones follow at the same minute, time or weekday.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=SHOWN),
    )

    def clean_first_at(self) -> datetime:
        """Refuse what is so far away that it must be an error."""
        value: datetime = self.cleaned_data["first_at"]
        if value > now() + LATEST:
            raise forms.ValidationError("Choose a time within a year.")
        if value < now() - LATEST:
            raise forms.ValidationError("This was more than a year ago.")
        return value


def changing(one: Schedule, data: Any = None) -> ScheduleForm:
    """Return the form that changes a schedule, with fields of names of its own: a page may show several."""
    initial = {"every": one.every, "first_at": one.next_at}
    form = ScheduleForm(data, initial=initial, auto_id=f"schedule-{one.pk}-%s")
    form.fields["first_at"].label = "Next run (UTC)"
    return form


def asked(request: HttpRequest) -> ScheduleForm:
    """Return the form as it was sent to be scheduled; else as it begins, or stood when something else was wanted."""
    if request.POST.get("act") == "schedule":
        return ScheduleForm(request.POST)
    first_at: Any = now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return ScheduleForm(
        initial={
            "every": request.POST.get("every", Every.DAY),
            "first_at": request.POST.get("first_at", first_at),
        }
    )
