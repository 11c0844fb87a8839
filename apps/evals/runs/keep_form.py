"""The forms that add rows of an evaluation to a dataset: rows that are chosen already, or those that fail."""

from typing import Any

from django import forms

from apps.core.errors import ConsoleError
from apps.core.ids import free_name
from apps.core.numbers import whole
from apps.datasets import registry as dataset_registry
from apps.datasets import uses
from apps.datasets.models import Dataset, Purpose
from apps.evals import human
from apps.evals.models import Evaluation
from apps.evals.runs import failing, keeping
from apps.evals.runs.failing import Failing
from apps.evals.runs.keeping import Chosen

OFFERED = 100
LONGEST_NAME = 200  # characters of a benchmark's name that stand in that of a dataset
FITTED = 50  # rows that are held against the purposes of datasets
USUAL_AT_MOST = 2


class KeepForm(forms.Form):
    """Which dataset the chosen rows go to; ``count`` and ``shown`` tell how many they are, and the first of them."""

    into = forms.ChoiceField(label="Dataset", required=False)
    name = forms.CharField(label="Name of the new dataset", max_length=255, required=False)
    purpose = forms.ChoiceField(choices=Purpose.choices, label="Purpose", required=False)

    def __init__(self, data: Any, *, evaluation: Evaluation, chosen: Chosen) -> None:
        said = {name: value for name, value in data.items() if value != ""}
        super().__init__({"name": _usual_name(evaluation)} | said)
        self.evaluation, self.chosen = evaluation, chosen
        self.count, self.shown = chosen.look(evaluation, FITTED)
        self.fit = keeping.fitting(self.shown)
        self._offer(said.get("into", ""))

    def _offer(self, into: str) -> None:
        newest = list(Dataset.objects.shown().defer("gaps", "metadata", "source").order_by("-updated_at")[:OFFERED])
        offered = [one for one in newest if one.purpose in self.fit and not uses.refusal_of_rows(one)]
        offered.sort(key=lambda one: one.dataset_id == self.evaluation.dataset_id)  # its own rows come last
        names = [(str(one), self._named(one)) for one in offered]
        self.fields["into"].choices = [("", "A new dataset"), *names]  # type: ignore[attr-defined]
        fit = [(value, label) for value, label in Purpose.choices if value in self.fit]
        self.fields["purpose"].choices = fit or Purpose.choices  # type: ignore[attr-defined]
        self.target = next((one for one in offered if str(one) == into), None)
        if self.data.get("purpose") not in self.fit:  # it fitted other rows, those that were meant before
            self.data = {**self.data, "purpose": next(iter(self.fit), "")}
        self.fields["purpose"].required = self.target is None

    def _named(self, one: Dataset) -> str:
        own = "; this run asked its rows" if one.dataset_id == self.evaluation.dataset_id else ""
        return f"{one} ({one.get_purpose_display()}{own})"

    @property
    def is_own(self) -> bool:
        """Whether the rows would go to the dataset they came from, so that later runs ask them twice."""
        return self.target is not None and self.target.dataset_id == self.evaluation.dataset_id

    @property
    def for_purpose(self) -> str:
        """The purpose of the dataset, once the form is valid."""
        return self.target.purpose if self.target else self.cleaned_data["purpose"] or next(iter(self.fit), "")

    def clean_name(self) -> str:
        """Refuse a name nothing could be found by."""
        from_form = str(self.cleaned_data["name"]).strip()
        try:
            dataset_registry.check_name(from_form or None)
        except ConsoleError as error:
            raise forms.ValidationError(error.detail.partition(": ")[2] or error.detail) from error
        return from_form


class FailingForm(KeepForm):
    """Which failing rows go to which dataset."""

    which = forms.ChoiceField(label="Rows")
    below = forms.FloatField(label="Below", required=False)
    at_most = forms.TypedChoiceField(
        label="At most", choices=[(score, str(score)) for score in human.SCORES], coerce=int, required=False
    )

    def __init__(self, data: Any, *, evaluation: Evaluation) -> None:
        said = {name: value for name, value in data.items() if value != ""}
        which = str(said.get("which", failing.LOW))
        if said.get("was", which) != which:
            said.pop("below", None)  # it was said of another function
        self.is_low, self.is_human = failing.asks_below(evaluation, which), which == failing.HUMAN
        given = {"which": which, "below": failing.usual_below(evaluation, which), "at_most": USUAL_AT_MOST} | said
        super().__init__(given, evaluation=evaluation, chosen=self._failing(given))
        self.fields["which"].choices = failing.choices(evaluation)  # type: ignore[attr-defined]
        self.fields["below"].required = self.is_low
        self.fields["at_most"].required = self.is_human

    def _failing(self, given: dict[str, Any]) -> Failing:
        """Return what the form means as it stands; where it is no number, the form says so by itself."""
        below = _number(given["below"]) if self.is_low else None
        return Failing(given["which"], below, whole(str(given["at_most"])) or USUAL_AT_MOST)


def _number(text: Any) -> float | None:
    try:
        found: float | None = forms.FloatField(required=False).clean(text)
    except forms.ValidationError:
        return None
    return found


def _usual_name(evaluation: Evaluation) -> str:
    """Return a name that no dataset has yet; empty where none of this kind may be given."""
    name = f"{evaluation.benchmark_id[:LONGEST_NAME]}-failing"
    try:
        dataset_registry.check_name(name)
    except ConsoleError:
        return ""
    return free_name(name, Dataset.objects.filter(dataset_id__startswith=name).values_list("dataset_id", flat=True))
