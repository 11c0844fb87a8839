"""The forms of scoring functions: one to try them on a row, one to register a function of one's own."""

import json
from typing import Any

from django import forms
from pydantic import ValidationError
from pydantic_core import from_json

from apps.agents import known
from apps.core.errors import explain
from apps.evals import schemas
from apps.evals.scoring.base import AGGREGATIONS, KINDS, Scorer
from apps.evals.scoring.catalog import BUILT_IN
from apps.evals.scoring.judging import PLACES

Json = dict[str, Any]
TEXT = {"class": "mono", "spellcheck": "false"}
MOST_SHOWN = 8  # expressions; of more a form says how many the function has of its own
LONG = ("generated_answer", "context", "prompt", "function", "kwargs", "ground_truth")
AS_JSON = ("instruction_id_list", "kwargs")  # the others are text in every row
LABELS = {
    "input_query": "Question",
    "expected_answer": "Expected answer",
    "generated_answer": "Generated answer",
    "instruction_id_list": "Instructions",
    "kwargs": "Their parameters",
    "ground_truth": "Allowed calls",
    "function": "Functions",
    "id": "Row id",
}
OPTIONAL = {"basic::ifeval": ("kwargs",), "basic::bfcl": ("ground_truth", "language")}
SAMPLE = {
    "input_query": "Which city is the capital of France?",
    "expected_answer": "Paris",
    "generated_answer": "The capital of France is Paris.",
    "context": "France is a country in Europe. Its capital is Paris, on the river Seine.",
}
SAMPLES: dict[str, Json] = {
    "basic::equality": {"generated_answer": "Paris"},
    "basic::regex_parser_multiple_choice_answer": {"expected_answer": "B", "generated_answer": "Answer: B"},
    "basic::regex_parser_math_response": {
        "expected_answer": "\\frac{1}{2}",
        "generated_answer": "The final answer is $\\boxed{0.5}$.",
    },
    "basic::docvqa": {"expected_answer": '["12 May", "May 12"]', "generated_answer": "the 12 May."},
    "basic::ifeval": {
        "prompt": "Answer in lower case and use no comma.",
        "instruction_id_list": '["change_case:english_lowercase", "punctuation:no_comma"]',
        "kwargs": "[{}, {}]",
        "generated_answer": "paris is the capital of france",
    },
    "basic::bfcl": {
        "id": "simple_0",
        "language": "Python",
        "function": '[{"name": "get_weather", "parameters": {"type": "dict", "properties": {"city": '
        '{"type": "string"}}, "required": ["city"]}}]',
        "ground_truth": '[{"get_weather": {"city": ["Porto"]}}]',
        "generated_answer": '[get_weather(city="Porto")]',
    },
}
PROMPT = (
    "Question: {input_query}\nExpected: {expected_answer}\nAnswer: {generated_answer}\n\n"
    "How good is the answer, from 0 to 10? Reply as: Score: N"
)


def columns_of(scorer: Scorer) -> tuple[str, ...]:
    """Return the columns of a row a function reads, those it can do without last."""
    first = [name for name in ("input_query", "prompt", "id", "context") if name in scorer.needs]
    rest = [name for name in scorer.needs if name not in first and name != "generated_answer"]
    last = [name for name in ("generated_answer",) if name in scorer.needs]
    return (*first, *rest, *OPTIONAL.get(scorer.identifier, ()), *last)


class TryForm(forms.Form):
    """One row, and who judges where somebody does."""

    def __init__(self, data: Any = None, *, told: schemas.ScoringFn, scorer: Scorer) -> None:
        super().__init__(data)
        self.told, self.scorer = told, scorer
        sample = SAMPLE | SAMPLES.get(scorer.identifier, {})
        for name in columns_of(scorer):
            self.fields[name] = self._column(name, str(sample.get(name, "")))
        if scorer.asks_a_model:
            self.fields["judge_model"] = judge_field(told.params, is_needed=scorer.needs_template)
        if scorer.needs_template and not getattr(told.params, "prompt_template", None):
            self.fields["prompt_template"] = template_field(PROMPT)
            self.fields["judge_score_regexes"] = expressions_field("judge_score_regexes", [r"Score: (\d+)"])

    def _column(self, name: str, sample: str) -> forms.CharField:
        label = LABELS.get(name, name.replace("_", " ").capitalize())
        rows = 3 if name in LONG else 1
        wants_json = name in (*AS_JSON, "function", "ground_truth")
        widget = forms.Textarea(attrs={"rows": rows, **(TEXT if wants_json else {})})
        help_text = "As JSON." if wants_json else ""
        is_optional = name in OPTIONAL.get(self.scorer.identifier, ())
        return forms.CharField(
            label=label, initial=sample, widget=widget, help_text=help_text, strip=False, required=not is_optional
        )

    def clean(self) -> Json:
        """Read the columns that hold JSON."""
        data = super().clean() or {}
        for name in AS_JSON:
            if not data.get(name):
                continue
            try:
                data[name] = from_json(str(data[name]))
            except ValueError as error:
                self.add_error(name, f"This is no JSON: {error}")
        return data

    def request(self) -> Json:
        """Return the body of the API's request that does the same; from the sample while nothing is sent."""
        data = self.cleaned_data if self.is_bound and self.is_valid() else self._samples()
        row = {name: data[name] for name in columns_of(self.scorer) if data.get(name) not in (None, "")}
        return {"input_rows": [row], "scoring_functions": {self.told.identifier: self._params(data)}}

    def _samples(self) -> Json:
        data = {name: field.initial for name, field in self.fields.items()}
        return data | {name: from_json(data[name]) for name in AS_JSON if data.get(name)}

    def _params(self, data: Json) -> Json | None:
        own = getattr(self.told.params, "judge_model", "")
        if "prompt_template" in self.fields:
            return {
                "type": "llm_as_judge",
                "judge_model": data.get("judge_model") or own,
                "prompt_template": data.get("prompt_template") or "",
                "judge_score_regexes": lines(data.get("judge_score_regexes")),
                "aggregation_functions": [],
            }
        if not data.get("judge_model"):
            return None
        return {"type": "llm_as_judge", "judge_model": data["judge_model"]}


class ScorerForm(forms.Form):
    """A function of one's own: a built-in one under another name, with parameters of its own."""

    provider_scoring_fn_id = forms.ChoiceField(
        label="What runs", choices=[(name, name) for name in BUILT_IN], help_text="The built-in function behind it."
    )
    scoring_fn_id = forms.CharField(label="Name", max_length=255, help_text="Its id in the API.", initial="")
    description = forms.CharField(widget=forms.Textarea(attrs={"rows": 2}), required=False)

    def __init__(self, data: Any = None, *, scorer: Scorer, initial: Json | None = None, params: Any = None) -> None:
        super().__init__(data, initial={"provider_scoring_fn_id": scorer.identifier, **(initial or {})})
        self.scorer = scorer
        own = params if params is not None else scorer.params
        if "regex_parser" in scorer.takes:
            self.fields["parsing_regexes"] = expressions_field("parsing_regexes", getattr(own, "parsing_regexes", []))
        if scorer.asks_a_model:
            self.fields["judge_model"] = judge_field(own, is_needed=scorer.needs_template)
        if scorer.takes[0] == "llm_as_judge":
            usual = PROMPT if scorer.needs_template else ""
            self.fields["prompt_template"] = template_field(getattr(own, "prompt_template", None) or usual)
            regexes = getattr(own, "judge_score_regexes", []) or [r"Score: (\d+)"]
            self.fields["judge_score_regexes"] = expressions_field("judge_score_regexes", regexes)
        chosen = list(own.aggregation_functions) if own is not None else ["average"]
        self.fields["aggregation_functions"] = forms.MultipleChoiceField(
            label="Aggregations", choices=[(name, name) for name in AGGREGATIONS], initial=chosen, required=False,
            widget=forms.CheckboxSelectMultiple, help_text="What the scores of all rows are added up to.",
        )  # fmt: skip

    @property
    def parameters(self) -> list[forms.BoundField]:
        """The fields beside what runs, the name and the description."""
        return [bound for bound in self if bound.name not in self.base_fields]

    def request(self) -> schemas.RegisterScoringFunctionRequest:
        """Return what the form asks for as the API would be asked; raises pydantic's ValidationError."""
        data = self.cleaned_data
        return schemas.RegisterScoringFunctionRequest.model_validate(
            {
                "scoring_fn_id": data["scoring_fn_id"],
                "description": data["description"],
                "return_type": {"type": self.scorer.return_type},
                "provider_scoring_fn_id": self.scorer.identifier,
                "params": self._params(data),
            }
        )

    def _params(self, data: Json) -> Json:
        # A rubric is told who judges by parameters of that kind; without a judge it keeps its usual ones.
        kind = "llm_as_judge" if data.get("judge_model") else self.scorer.takes[0]
        given = {name: value for name, value in data.items() if name in KINDS[kind].model_fields and value != ""}
        for name in ("parsing_regexes", "judge_score_regexes"):
            if name in given:
                given[name] = lines(given[name])
        return {"type": kind, **given}

    def refuse(self, detail: str) -> None:
        """Put what the API would refuse beside the field it speaks of."""
        where, _, why = detail.partition(": ")
        name = next((part for part in where.split(".") if part in self.fields), "")
        if not name and "judge_model" in detail and "judge_model" in self.fields:
            self.add_error("judge_model", detail)
            return
        self.add_error(name or "scoring_fn_id", why if name and why else detail)

    def refuse_values(self, error: ValidationError) -> None:
        """Tell what pydantic refused."""
        found = error.errors(include_url=False, include_input=False, include_context=False)
        self.add_error(None, explain(list(found)))  # type: ignore[arg-type]


def judge_field(params: Any, *, is_needed: bool) -> forms.ChoiceField:
    """Return the field of the model that judges; where one is needed or its own is not here, the first is chosen."""
    own = getattr(params, "judge_model", "") or ""
    names = [one.identifier for one in known.models()]
    choices = [(name, name) for name in names]
    if own or not is_needed:
        choices.insert(0, ("", f"Its own ({own})" if own else "The one this server offers first"))
    usual = own if own in names else next(iter(names), "") if own or is_needed else ""
    missing = "" if names else "There is no chat model yet: add a provider first."
    return forms.ChoiceField(
        label="Judge", required=is_needed and not own, choices=choices, initial=usual, help_text=missing
    )


def template_field(initial: str) -> forms.CharField:
    """Return the field of a judge's prompt."""
    places = ", ".join(f"{{{name}}}" for name in PLACES)
    widget = forms.Textarea(attrs={"rows": 6, **TEXT})
    return forms.CharField(label="Prompt", widget=widget, initial=initial, help_text=f"Places: {places}.")


def expressions_field(name: str, own: list[str]) -> forms.CharField:
    """Return the field of expressions, one a line."""
    label = "Expressions for the score" if name.startswith("judge") else "Expressions for the answer"
    help_text = "One a line, tried in order; the first group of the first match counts."
    if len(own) > MOST_SHOWN:
        help_text += f" Empty: the {len(own)} of its own."
    widget = forms.Textarea(attrs={"rows": 3, **TEXT})
    initial = "\n".join(own) if len(own) <= MOST_SHOWN else ""
    return forms.CharField(
        label=label, required=False, widget=widget, initial=initial, help_text=help_text, strip=False
    )


def lines(text: Any) -> list[str]:
    """Return the lines of a text that hold anything."""
    return [line for line in str(text or "").splitlines() if line.strip()]


def as_json(value: Any) -> str:
    """Return a request for reading, and for a shell between single quotes."""
    return json.dumps(value, ensure_ascii=False, indent=2).replace("'", "'\\''")
