"""The form of a new benchmark."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict
from pydantic_core import to_json

from apps.agents.forms import JsonField
from apps.core.ids import LONGEST_ID, free_name, why_unfit
from apps.datasets import uses
from apps.datasets.models import Dataset
from apps.evals import functions, schemas
from apps.evals.models import Benchmark
from apps.evals.scorers import fit, vectors
from apps.evals.scorers.fields import must_bring

OFFERED = 100
ROOM = 5  # characters of a name that are left for a number
USUAL = ("basic::subset_of",)  # chat models answer in sentences: hardly ever in the expected words alone


@dataclass(frozen=True)
class Offered:
    """A function one may choose: whether it is, whose vectors it compares by, why it may not work, what runs bring."""

    told: schemas.ScoringFn
    is_chosen: bool
    compares: str
    troubles: list[str]
    must_bring: bool


class BenchmarkForm(forms.Form):
    """A new benchmark: a dataset, and the functions its answers are scored by."""

    benchmark_id = forms.CharField(
        max_length=LONGEST_ID,
        label="Name",
        help_text="Its id in the API.",
        error_messages={"required": "Give the benchmark a name."},
    )
    dataset_id = forms.ChoiceField(label="Dataset", error_messages={"required": "Choose a dataset."})
    scoring_functions = forms.MultipleChoiceField(
        label="Scorers",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one scorer."},
    )
    metadata = JsonField(required=False, help_text="Anything you want to remember, as a JSON object.")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        offered = uses.fit_for(Dataset.objects.shown().defer("gaps", "metadata", "source"), uses.EVALUATION)
        newest = {one.dataset_id: one for one in offered.order_by("-updated_at")[:OFFERED]}
        self.dataset, self.why_not = self._chosen(newest)
        names = [(name, _with_rows(one)) for name, one in newest.items()]
        self.fields["dataset_id"].choices = [("", "Choose a dataset"), *names]  # type: ignore[attr-defined]
        self.functions = [one for one in functions.listed() if one.is_enabled]
        choices = [(one.identifier, one.identifier) for one in self.functions]
        self.fields["scoring_functions"].choices = choices  # type: ignore[attr-defined]

    def _chosen(self, newest: dict[str, Dataset]) -> tuple[Dataset | None, str]:
        """Return the chosen dataset, or why it is not offered; one that is older than those offered joins them."""
        name = str(self["dataset_id"].value() or "")
        if not name or "\0" in name:
            return None, ""
        if name not in newest:
            found = Dataset.objects.shown().filter(dataset_id=name).first()
            if found is None:
                return None, f"There is no dataset '{name}'."
            use = uses.of(found, uses.EVALUATION)
            if not use.is_fit:
                return None, f"{name} cannot be evaluated: {use.why}. {use.way_out}".strip()
            newest[name] = found
        return newest[name], ""

    @property
    def offered(self) -> list[Offered]:
        """The functions one may choose."""
        chosen, compares = self["scoring_functions"].value() or [], vectors.words_of(self.functions)
        troubles = (fit.lacking(self.functions, self.dataset), fit.without_judge(self.functions))
        return [
            Offered(
                told=one,
                is_chosen=one.identifier in chosen,
                compares=compares.get(one.identifier, ""),
                troubles=[some[one.identifier] for some in troubles if one.identifier in some],
                must_bring=must_bring(one),
            )
            for one in self.functions
        ]

    def clean_benchmark_id(self) -> str:
        """Refuse the name of another benchmark, and one no address could lead to."""
        name = str(self.cleaned_data["benchmark_id"])
        if wrong := why_unfit(name):
            raise forms.ValidationError(f"A name {wrong}.")
        if Benchmark.objects.filter(benchmark_id=name).exists():
            raise forms.ValidationError(f"'{name}' exists already. Choose another name.")
        return name

    def clean_metadata(self) -> dict[str, Any]:
        """Refuse what is no object."""
        value = self.cleaned_data["metadata"]
        if value is not None and not isinstance(value, dict):
            raise forms.ValidationError('This must be a JSON object, as {"owner": "support"}.')
        return value or {}

    def request(self) -> schemas.RegisterBenchmarkRequest:
        """Return what the form asks for, as the API would be asked."""
        return schemas.RegisterBenchmarkRequest(**self.cleaned_data)

    @staticmethod
    def typed(sent: QueryDict) -> dict[str, Any]:
        """Return what the fields begin with when the form is shown again as it was filled in."""
        return sent.dict() | {"scoring_functions": sent.getlist("scoring_functions")}

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


def _with_rows(dataset: Dataset) -> str:
    return f"{dataset} ({dataset.row_count:,} rows{', some do not fit its purpose' if dataset.warning else ''})"


def _free(name: str) -> str:
    """Return a name no benchmark has yet."""
    name = name[: LONGEST_ID - ROOM]
    return free_name(
        name, Benchmark.objects.filter(benchmark_id__startswith=name).values_list("benchmark_id", flat=True)
    )
