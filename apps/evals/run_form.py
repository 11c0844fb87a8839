"""The form of a new evaluation: who is evaluated on a benchmark, and how; several candidates make several runs."""

from dataclasses import dataclass
from typing import Any

from django import forms
from pydantic import ValidationError

from apps.agents import known
from apps.agents.forms import STRATEGIES, sampling_of
from apps.agents.models import Agent
from apps.core.errors import ConsoleError, explain
from apps.datasets.models import Dataset
from apps.evals import candidates, functions, schemas
from apps.evals.models import Benchmark
from apps.evals.scoring.base import Scorer
from apps.evals.scoring.catalog import BUILT_IN

OFFERED = 100
MOST_RUNS = 20
JUDGED = ("judge_model", "prompt_template", "judge_score_regexes")
TEXT = {"class": "mono", "spellcheck": "false"}


@dataclass(frozen=True)
class Asked:
    """A scoring function of the benchmark, and the fields its parameters have in the form."""

    told: schemas.ScoringFn
    scorer: Scorer
    prefix: str

    @property
    def takes_judge(self) -> bool:
        """Whether it asks a model for its verdict."""
        return "llm_as_judge" in self.scorer.takes

    @property
    def takes_expressions(self) -> bool:
        """Whether it finds the answer by expressions of one's own."""
        return "regex_parser" in self.scorer.takes

    @property
    def names(self) -> list[str]:
        """The names of its fields."""
        if self.takes_judge:
            return [f"{self.prefix}{name}" for name in (JUDGED if self.told.params is None else self._judge_names)]
        return [f"{self.prefix}parsing_regexes"] if self.takes_expressions else []

    @property
    def _judge_names(self) -> tuple[str, ...]:
        # A rubric has prompts of its own: all that one may choose is who judges.
        return JUDGED if isinstance(self.told.params, schemas.LLMAsJudgeScoringFnParams) else JUDGED[:1]


@dataclass(frozen=True)
class Candidate:
    """Somebody to evaluate, in words and as the API names it."""

    name: str
    config: schemas.BenchmarkConfig
    field: str


class RunForm(forms.Form):
    """Candidates, sampling, the parameters of scoring functions, and how many rows."""

    models = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    agents = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    num_examples = forms.IntegerField(
        required=False, min_value=1, label="Rows", help_text="The first so many of the dataset; empty for all."
    )
    times = forms.IntegerField(required=False, min_value=1, max_value=5, initial=1, label="Runs of each candidate")
    strategy = forms.ChoiceField(required=False, choices=STRATEGIES, label="Sampling", initial="greedy")
    temperature = forms.FloatField(required=False, min_value=0.01, max_value=10, help_text="For top p; above 0.")
    top_p = forms.FloatField(required=False, min_value=0.01, max_value=1, label="Top p")
    top_k = forms.IntegerField(required=False, min_value=1, label="Top k", help_text="For top k.")
    max_tokens = forms.IntegerField(required=False, min_value=0, initial=0, help_text="0 sets no limit.")
    system_message = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2}), help_text="What models are told before each row."
    )

    def __init__(self, *args: Any, benchmark: Benchmark, dataset: Dataset | None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.benchmark, self.dataset = benchmark, dataset
        self.known = [model.identifier for model in known.models()]
        self.offered = {one.agent_id: one for one in Agent.objects.order_by("-id")[:OFFERED]}
        self.fields["models"].choices = [(name, name) for name in self.known]  # type: ignore[attr-defined]
        named = [(one.agent_id, f"{one} · {one.model}") for one in self.offered.values()]
        self.fields["agents"].choices = named  # type: ignore[attr-defined]
        self.missing: list[str] = []
        self.asked: list[Asked] = []
        for number, name in enumerate(benchmark.scoring_functions):
            self._ask(number, name)

    def _ask(self, number: int, name: str) -> None:
        try:
            told = functions.named(name)
        except ConsoleError:
            self.missing.append(name)
            return
        asked = Asked(told, BUILT_IN[str(told.provider_resource_id)], f"p{number}_")
        self.asked.append(asked)
        for field in asked.names:
            self.fields[field] = self._field(field.removeprefix(asked.prefix), told.params)
            self.fields[field].widget.attrs.setdefault("data-function", name)

    def _field(self, name: str, params: Any) -> forms.Field:
        """Return the field of one parameter; its help tells what the function has of its own."""
        own = getattr(params, name, None)
        if name == "judge_model":
            usual = own if own in self.known else ""
            choices = [(one, one) for one in self.known]
            first = f"Its own ({own})" if own else "The one this server offers first"
            return forms.ChoiceField(required=False, choices=[("", first), *choices], label="Judge", initial=usual)
        if name == "prompt_template":
            places = "Places: {input_query}, {expected_answer}, {generated_answer}, {context}."
            widget = forms.Textarea(attrs={"rows": 4, **TEXT})
            return forms.CharField(required=False, widget=widget, label="Prompt", initial=own or "", help_text=places)
        label = "Expressions for the score" if name.startswith("judge") else "Expressions for the answer"
        help_text = "One a line, tried in order; the first group of the first match counts."
        if own and len(own) > 8:
            help_text += f" Empty: the {len(own)} of its own."
        initial = "\n".join(own or []) if len(own or []) <= 8 else ""
        widget = forms.Textarea(attrs={"rows": 2, **TEXT})
        return forms.CharField(
            required=False, widget=widget, label=label, initial=initial, help_text=help_text, strip=False
        )

    @property
    def groups(self) -> list[tuple[str, str, list[forms.BoundField]]]:
        """The scoring functions with the fields of their parameters, for the template."""
        return [
            (one.told.identifier, one.told.description or "", [self[name] for name in one.names]) for one in self.asked
        ]

    @property
    def has_advanced(self) -> bool:
        """Whether the folded part holds an error, or something worth seeing at once."""
        names = ("strategy", "temperature", "top_p", "top_k", "max_tokens", "system_message", "times")
        return any(name in self.errors for name in names) or bool(self.data.get("system_message"))

    def clean(self) -> dict[str, Any]:
        """Build each candidate's configuration; what the API objects to stands beside the field it means."""
        data = super().clean() or {}
        chosen = [*data.get("models", []), *data.get("agents", [])]
        if not chosen and not {"models", "agents"} & self.errors.keys():
            self.add_error("models", "Choose at least one model or agent.")
        if len(chosen) * (data.get("times") or 1) > MOST_RUNS:
            self.add_error("times", f"At most {MOST_RUNS} runs are started at once.")
        for name in self.missing:
            self.add_error(None, f"The benchmark's scoring function '{name}' does not exist.")
        self.candidates: list[Candidate] = []
        if not self.errors:
            self._build(data)
        return data

    def _build(self, data: dict[str, Any]) -> None:
        try:
            sampling = sampling_of(data)
            models = [self._model(name, sampling, data["system_message"]) for name in data["models"]]
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            self.add_error("strategy", explain(list(found)))  # type: ignore[arg-type]
            return
        agents = [schemas.AgentCandidate(config=self.offered[name].agent_config) for name in data["agents"]]
        scoring = {one.told.identifier: params for one in self.asked if (params := self._params(one, data))}
        try:
            functions.resolved(self.benchmark.scoring_functions, scoring)
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

    def _params(self, asked: Asked, data: dict[str, Any]) -> Any:
        """Return the parameters of a function as far as the form changes them; None when it changes none."""
        changed = [name for name in asked.names if _lines(data[name]) not in ([], _lines(self.fields[name].initial))]
        if not changed:
            return None
        given = {name.removeprefix(asked.prefix): data[name] for name in asked.names}
        for name in ("parsing_regexes", "judge_score_regexes"):
            if name in given:
                given[name] = _lines(given[name])
        if asked.takes_judge:
            own = getattr(asked.told.params, "judge_model", "")
            given = {"judge_model": given.pop("judge_model") or own, **{key: one for key, one in given.items() if one}}
            return schemas.LLMAsJudgeScoringFnParams(**given)
        return schemas.RegexParserScoringFnParams(**given)

    def _place(self, detail: str) -> None:
        """Put what is wrong with a function's parameters beside the field it speaks of."""
        for one in self.asked:
            where = f"scoring_params.{one.told.identifier}"
            if where not in detail or not one.names:
                continue
            named = [name for name in one.names if f"{where}.{name.removeprefix(one.prefix)}" in detail]
            needed = [name for name in one.names if name.removeprefix(one.prefix) in detail]
            field = (named or needed or one.names)[0]
            self.add_error(field, detail.removeprefix(f"{where}").lstrip(".: ") or detail)
            return
        self.add_error(None, detail)

    @property
    def rows(self) -> int:
        """How many rows a run has."""
        count = self.dataset.row_count if self.dataset else 0
        try:
            wanted = int(self["num_examples"].value() or 0)
        except (TypeError, ValueError):
            wanted = 0
        return min(count, wanted) if wanted > 0 else count

    @property
    def estimate(self) -> dict[str, Any]:
        """What the form as it stands would cost: runs, rows, calls of candidates and of judges."""
        agents = len(self["agents"].value() or [])
        chosen = len(self["models"].value() or []) + agents
        try:
            runs = chosen * max(1, int(self["times"].value() or 1))
        except ValueError:
            runs = chosen
        judges = sum(one.scorer.asks_a_model for one in self.asked)
        calls = runs * self.rows
        return {"runs": runs, "rows": self.rows, "calls": calls, "judged": calls * judges, "has_agents": agents > 0}


def _lines(text: Any) -> list[str]:
    return [line for line in str(text or "").splitlines() if line.strip()]
