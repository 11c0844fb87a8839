"""The form of a new benchmark, and the one that adds failing rows to a dataset."""

from typing import Any

from django import forms
from pydantic_core import to_json

from apps.agents.forms import JsonField
from apps.core.errors import ConsoleError
from apps.datasets import registry as dataset_registry
from apps.datasets import uses
from apps.datasets.models import Dataset, Purpose
from apps.evals import failing, functions, registry, schemas
from apps.evals.models import Benchmark, EvaluatedRow, Evaluation

OFFERED = 100
USUAL = ("basic::equality", "basic::subset_of")
FITTED = 50  # failing rows that are held against the purposes of datasets


class BenchmarkForm(forms.Form):
    """A new benchmark: a dataset, and the functions its answers are scored by."""

    benchmark_id = forms.CharField(max_length=registry.LONGEST_ID, label="Name", help_text="Its id in the API.")
    dataset_id = forms.ChoiceField(label="Dataset")
    scoring_functions = forms.MultipleChoiceField(label="Scoring functions", widget=forms.CheckboxSelectMultiple)
    metadata = JsonField(required=False, help_text="Anything you want to remember, as a JSON object.")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        offered = uses.fit_for(Dataset.objects.shown().defer("gaps", "metadata", "source"), uses.EVALUATION)
        names = {one.dataset_id: f"{one} ({one.row_count:,} rows)" for one in offered.order_by("-updated_at")[:OFFERED]}
        self.why_not = self._unfit(str(self["dataset_id"].value() or ""), names)
        self.fields["dataset_id"].choices = [("", "Choose a dataset"), *names.items()]  # type: ignore[attr-defined]
        self.functions = functions.listed()
        choices = [(one.identifier, one.identifier) for one in self.functions]
        self.fields["scoring_functions"].choices = choices  # type: ignore[attr-defined]

    def _unfit(self, chosen: str, names: dict[str, str]) -> str:
        """Return why the chosen dataset is not offered; one that is older than those offered joins them."""
        if not chosen or chosen in names or "\0" in chosen:
            return ""
        found = Dataset.objects.shown().filter(dataset_id=chosen).first()
        if found is None:
            return f"There is no dataset '{chosen}'."
        use = uses.of(found, uses.EVALUATION)
        if use.is_fit:
            names[chosen] = f"{found} ({found.row_count:,} rows)"
        return "" if use.is_fit else f"{chosen} cannot be evaluated: {use.why}. {use.way_out}".strip()

    @property
    def chosen(self) -> list[str]:
        """The functions that are ticked."""
        return list(self["scoring_functions"].value() or [])

    def clean_benchmark_id(self) -> str:
        """Refuse the name of another benchmark."""
        name = str(self.cleaned_data["benchmark_id"])
        if "\0" in name or "?" in name or "#" in name:
            raise forms.ValidationError("A name holds no '?' and no '#'.")
        if Benchmark.objects.filter(benchmark_id=name).exists():
            raise forms.ValidationError(f"'{name}' exists already. Choose another name.")
        return name

    def clean_metadata(self) -> dict[str, Any]:
        """Refuse what is no object."""
        value = self.cleaned_data["metadata"]
        if value is not None and not isinstance(value, dict):
            raise forms.ValidationError('This must be a JSON object, as {"owner": "support"}.')
        return value or {}

    def asked(self) -> schemas.RegisterBenchmarkRequest:
        """Return what the form asks for, as the API would be asked."""
        return schemas.RegisterBenchmarkRequest(**self.cleaned_data)

    @staticmethod
    def initial_of(dataset_id: str, copied: Benchmark | None) -> dict[str, Any]:
        """Return what the fields begin with: a copy of a benchmark, or one for a dataset."""
        if copied is not None:
            return {
                "benchmark_id": _free(f"{copied.benchmark_id}-copy"),
                "dataset_id": copied.dataset_id,
                "scoring_functions": copied.scoring_functions,
                "metadata": to_json(copied.metadata, indent=2).decode() if copied.metadata else "",
            }
        name = _free(dataset_id) if dataset_id else ""
        return {"benchmark_id": name, "dataset_id": dataset_id, "scoring_functions": list(USUAL)}


def _free(name: str) -> str:
    """Return a name no benchmark has yet."""
    name = name[: registry.LONGEST_ID - 5]
    taken = set(Benchmark.objects.filter(benchmark_id__startswith=name).values_list("benchmark_id", flat=True))
    return next(one for at in range(1, len(taken) + 2) if (one := name if at == 1 else f"{name}-{at}") not in taken)


class KeepForm(forms.Form):
    """Which rows of an evaluation go to which dataset."""

    which = forms.ChoiceField(label="Rows")
    below = forms.FloatField(label="Below", required=False)
    into = forms.ChoiceField(label="Dataset", required=False)
    name = forms.CharField(label="Name of the new dataset", max_length=255, required=False)
    purpose = forms.ChoiceField(choices=Purpose.choices, label="For", required=False)

    def __init__(self, data: Any, *, evaluation: Evaluation, **options: Any) -> None:
        usual = {"which": failing.LOW, "below": failing.usual_below(evaluation)}
        given = usual | {name: value for name, value in data.items() if value != ""}
        super().__init__(given, **options)
        if "which" in self.fields:
            self.fields["which"].choices = failing.choices(evaluation)  # type: ignore[attr-defined]
        self.evaluation = evaluation
        self.shown: list[EvaluatedRow] = []
        self.count = 0
        self._look()
        self._offer(str(given.get("into", "")))

    def _look(self) -> None:
        """Read which rows fail as the form says; the first of them are kept to be shown."""
        try:
            below = float(self.data.get("below", 0.5))
        except ValueError:
            below = 0.5
        self.failing = failing.Failing(str(self.data.get("which")), below)
        for row in self.failing.rows(self.evaluation):
            self.count += 1
            if len(self.shown) < FITTED:
                self.shown.append(row)

    def _offer(self, into: str) -> None:
        self.fit = failing.fitting(self.shown)
        newest = list(Dataset.objects.shown().defer("gaps", "metadata", "source").order_by("-updated_at")[:OFFERED])
        offered = [one for one in newest if one.purpose in self.fit and not uses.refusal_of_rows(one)]
        names = [(str(one), f"{one} ({one.get_purpose_display()})") for one in offered]
        self.fields["into"].choices = [("", "A new dataset"), *names]  # type: ignore[attr-defined]
        fit = [(value, label) for value, label in Purpose.choices if value in self.fit]
        self.fields["purpose"].choices = fit or Purpose.choices  # type: ignore[attr-defined]
        self.target = next((one for one in offered if str(one) == into), None)
        self.data = {"purpose": next(iter(self.fit), "")} | dict(self.data)
        self.fields["purpose"].required = self.target is None
        if "below" in self.fields:
            self.fields["below"].required = self.failing.which == failing.LOW

    def clean_name(self) -> str:
        """Refuse a name nothing could be found by."""
        from_form = str(self.cleaned_data["name"]).strip()
        try:
            dataset_registry.check_name(from_form or None)
        except ConsoleError as error:
            raise forms.ValidationError(error.detail.partition(": ")[2] or error.detail) from error
        return from_form
