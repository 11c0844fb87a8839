"""The form of a new evaluation: who is evaluated on a benchmark, and how; several candidates make several runs."""

from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync
from django import forms
from django.http import QueryDict
from pydantic import ValidationError

from apps.agents import known
from apps.agents.forms import STRATEGIES, sampling_of
from apps.agents.models import Agent
from apps.core.errors import ConsoleError, explain
from apps.core.widgets import lines_ended
from apps.datasets.models import Dataset
from apps.evals import functions, schemas
from apps.evals.models import Benchmark
from apps.evals.running import candidates
from apps.evals.runs.scorer_fields import ScorerFields
from apps.evals.scorers import fit, vectors
from apps.evals.scoring.catalog import BUILT_IN

OFFERED = 100
MOST_RUNS = 20
SEVERAL = ("models", "agents", "system_message")
NOT_OF = {  # the fields each strategy has no use for
    "greedy": ("temperature", "top_p", "top_k"),
    "top_p": ("top_k",),
    "top_k": ("temperature", "top_p"),
}
SAMPLING = ("strategy", "temperature", "top_p", "top_k", "max_tokens")


@dataclass(frozen=True)
class Candidate:
    """Somebody to evaluate, in words and as the API names it."""

    name: str
    config: schemas.BenchmarkConfig
    field: str


class Messages(forms.Field):
    """Texts sent under one name; what they are once. The first may be empty, others that are empty are left out."""

    widget = forms.MultipleHiddenInput

    def clean(self, value: Any) -> list[str]:
        """Return at least one text."""
        text = forms.CharField(required=False)
        first, *others = [text.clean(lines_ended(str(one))) for one in value or [""]]
        return list(dict.fromkeys([first, *filter(None, others)]))


class RunForm(forms.Form):
    """Candidates, sampling, the parameters of scoring functions, and how many rows."""

    models = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    agents = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    num_examples = forms.IntegerField(
        required=False, min_value=1, label="Rows", help_text="The first rows only; empty for all."
    )
    times = forms.IntegerField(required=False, min_value=1, max_value=5, initial=1, label="Runs for each candidate")
    strategy = forms.ChoiceField(required=False, choices=STRATEGIES, label="Sampling", initial="greedy")
    temperature = forms.FloatField(required=False, min_value=0.01, max_value=10, help_text="Above 0.")
    top_p = forms.FloatField(required=False, min_value=0.01, max_value=1, label="Top p")
    top_k = forms.IntegerField(required=False, min_value=1, label="Top k")
    max_tokens = forms.IntegerField(required=False, min_value=0, initial="0", help_text="0: the model decides.")
    system_message = Messages(required=False)

    def __init__(self, *args: Any, benchmark: Benchmark, dataset: Dataset | None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.benchmark, self.dataset = benchmark, dataset
        self.known = [model.identifier for model in known.models()]
        self.offered = {one.agent_id: one for one in Agent.objects.order_by("-id")[:OFFERED]}
        if len(self.known) == 1 and not self.initial.get("models") and not self.initial.get("agents"):
            self.initial["models"] = self.known
        self.fields["models"].choices = [(name, name) for name in self.known]  # type: ignore[attr-defined]
        named = [(one.agent_id, f"{one} · {one.model}") for one in self.offered.values()]
        self.fields["agents"].choices = named  # type: ignore[attr-defined]
        self.unusable: list[str] = []
        if dataset is None:
            self.unusable.append(f"The benchmark's dataset '{benchmark.dataset_id}' does not exist.")
        self.scorers: list[ScorerFields] = []
        found = functions.known(benchmark.scoring_functions)
        behind = [BUILT_IN[str(one.provider_resource_id)] for one in found.values()]
        self.has_vectors = vectors.model_for(behind) is not None
        for number, name in enumerate(benchmark.scoring_functions):
            self._ask(number, name, found.get(name))

    def _ask(self, number: int, name: str, told: schemas.ScoringFn | None) -> None:
        """Add the fields of one of the benchmark's functions, or why it cannot be scored by."""
        if told is None:
            self.unusable.append(f"The benchmark's scorer '{name}' does not exist.")
            return
        if not told.is_enabled:
            self.unusable.append(f"The benchmark's scorer '{name}' is switched off.")
        scorer = ScorerFields(told, BUILT_IN[str(told.provider_resource_id)], prefix_of(number), self.has_vectors)
        self.scorers.append(scorer)
        self.fields |= scorer.fields

    @staticmethod
    def initial_of(sent: QueryDict, filled_for: Benchmark, benchmark: Benchmark) -> dict[str, Any]:
        """Return what the form of a benchmark begins with when another one's was filled in: all that was entered.

        Parameters of functions that the benchmark does not have are left out.
        """
        kept: dict[str, Any] = {name: sent[name] for name in RunForm.base_fields if name in sent}
        kept |= {name: sent.getlist(name) for name in SEVERAL}
        for number, name in enumerate(benchmark.scoring_functions):
            if name in filled_for.scoring_functions:
                before = prefix_of(filled_for.scoring_functions.index(name))
                said = {key.removeprefix(before): value for key, value in sent.items() if key.startswith(before)}
                kept |= {f"{prefix_of(number)}{key}": value for key, value in said.items()}
        return kept

    @property
    def groups(self) -> list[tuple[schemas.ScoringFn, str, str, list[forms.BoundField]]]:
        """The functions, whose vectors they compare by, which columns they lack, the fields of their parameters."""
        told = [one.told for one in self.scorers]
        compares, lacking = vectors.words_of(told), fit.lacking(told, self.dataset)
        return [
            (one.told, compares.get(name, ""), lacking.get(name, ""), [self[field] for field in one.names])
            for one in self.scorers
            for name in [one.told.identifier]
        ]

    @property
    def has_advanced(self) -> bool:
        """Whether the folded part holds an error, or something worth seeing at once."""
        changed = [name for name in SAMPLING if self[name].value() not in (None, "", self.fields[name].initial)]
        return any(name in self.errors for name in (*SAMPLING, "system_message")) or bool(
            changed or self.messages != [""]
        )

    @property
    def messages(self) -> list[str]:
        """The system messages as they stand, one at least."""
        return self["system_message"].value() or [""]

    def clean(self) -> dict[str, Any]:
        """Build each candidate's configuration; what the API objects to stands beside the field it means."""
        data = super().clean() or {}
        for name in NOT_OF.get(data.get("strategy") or "greedy", ()):  # hidden: what was left there says nothing
            self.errors.pop(name, None)
        chosen = [*data.get("models", []), *data.get("agents", [])]
        if not chosen and not {"models", "agents"} & self.errors.keys():
            self.add_error("models", "Choose at least one model or agent.")
        runs = len(data.get("models", [])) * len(data.get("system_message", [""])) + len(data.get("agents", []))
        if (runs := runs * (data.get("times") or 1)) > MOST_RUNS:
            self.add_error("times", f"These are {runs} runs. At most {MOST_RUNS} are started at once.")
        for why in self.unusable:
            self.add_error(None, why)
        self.candidates: list[Candidate] = []
        if not self.errors:
            self._build(data)
        return data

    def _build(self, data: dict[str, Any]) -> None:
        try:
            sampling = sampling_of(data)
            models = [self._model(name, sampling, said) for name in data["models"] for said in data["system_message"]]
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            self.add_error("strategy", explain(list(found)))  # type: ignore[arg-type]
            return
        agents = [schemas.AgentCandidate(config=self.offered[name].agent_config) for name in data["agents"]]
        scoring = {one.told.identifier: params for one in self.scorers if (params := one.given(data))}
        try:
            functions.resolved(self.benchmark.scoring_functions, scoring)
            async_to_sync(functions.check_expressions)(scoring)
        except ConsoleError as error:
            self._place(error.detail)
            return
        for field, some in (("models", models), ("agents", agents)):
            for candidate in some:
                config = schemas.BenchmarkConfig(
                    eval_candidate=candidate, scoring_params=scoring, num_examples=data["num_examples"]
                )
                self.candidates.append(Candidate(candidates.name_of(candidate), config, field))

    def _model(self, name: str, sampling: Any, system: str) -> schemas.ModelCandidate:
        message = {"role": "system", "content": system} if system.strip() else None
        told = {"model": name, "sampling_params": sampling, "system_message": message}
        return schemas.ModelCandidate.model_validate(told)

    def _place(self, detail: str) -> None:
        """Put what is wrong with a function's parameters beside the field it speaks of."""
        for one in self.scorers:
            where = f"scoring_params.{one.told.identifier}"
            if where not in detail or not one.names:
                continue
            named = [name for name in one.names if f"{where}.{name.removeprefix(one.prefix)}" in detail]
            field = (named or one.names)[0]
            self.add_error(field, detail.removeprefix(f"{where}").lstrip(".: ") or detail)
            return
        self.add_error(None, detail)

    @property
    def configs(self) -> list[schemas.BenchmarkConfig]:
        """What each run is asked for, once the form is valid: every candidate as many times as wanted."""
        return [one.config for one in self.candidates] * self.repetitions

    @property
    def repetitions(self) -> int:
        """How many runs each candidate has."""
        return self._number("times") or 1

    @property
    def rows(self) -> int:
        """How many rows a run has."""
        count = self.dataset.row_count if self.dataset else 0
        return min(count, self._number("num_examples") or count)

    def _number(self, name: str) -> int:
        """Return the number in a field as it stands; 0 for none."""
        try:
            return max(0, int(self[name].value() or 0))
        except (TypeError, ValueError):
            return 0

    @property
    def chosen(self) -> list[schemas.EvalCandidate]:
        """Who is chosen in the form as it stands, without looking at the rest of it."""
        greedy = {"strategy": {"type": "greedy"}}
        first, *others = self.messages
        messages = dict.fromkeys([first.strip(), *filter(None, map(str.strip, others))])
        models = [name for name in self["models"].value() or [] if name in self.known for _ in messages]
        agents = [self.offered[name] for name in self["agents"].value() or [] if name in self.offered]
        return [
            *(schemas.ModelCandidate.model_validate({"model": name, "sampling_params": greedy}) for name in models),
            *(schemas.AgentCandidate(config=one.agent_config) for one in agents),
        ]

    @property
    def judges(self) -> set[str]:
        """The models chosen to judge; those that functions choose by themselves are not among them."""
        names = [name for one in self.scorers for name in one.names if name.endswith("judge_model")]
        return {value for name in names if (value := self[name].value())}


def prefix_of(number: int) -> str:
    """Return what the names of the fields of the benchmark's so many-th function begin with."""
    return f"p{number}_"
