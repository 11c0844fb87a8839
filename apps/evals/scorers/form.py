"""The form that registers a scoring function of one's own, and changes it."""

from typing import Any

from django import forms
from pydantic import ValidationError

from apps.core.errors import explain
from apps.core.widgets import LongText
from apps.evals import schemas
from apps.evals.scorers.fields import PROMPT, SCORE, expressions_field, judge_field, lines, template_field
from apps.evals.scoring.base import AGGREGATIONS, KINDS, Scorer
from apps.evals.scoring.catalog import BUILT_IN

Json = dict[str, Any]
RUNS = "provider_scoring_fn_id"
AGGREGATIONS_HELP = (
    "What the scores of all rows are added up to. A weighted average counts each row by the weight that comes with its "
    "score, as 1 where none does."
)
PASS_MARK = (
    "A row with a lower score fails. Empty: 0.5 for scores from 0 to 1; for others the middle of a run's scores, "
    "the lowest and highest tenth left out."
)
TEXTS = ("parsing_regexes", "judge_model", "prompt_template", "judge_score_regexes")


class ScorerForm(forms.Form):
    """A function of one's own: a built-in one under another name, with parameters of its own."""

    provider_scoring_fn_id = forms.ChoiceField(
        label="What runs", choices=[(name, name) for name in BUILT_IN], help_text="The built-in function behind it."
    )
    scoring_fn_id = forms.CharField(
        label="Name",
        max_length=255,
        help_text="Its id in the API.",
        initial="",
        error_messages={"required": "Give the scorer a name."},
    )
    description = forms.CharField(widget=LongText(attrs={"rows": 2}), required=False)

    def __init__(
        self, data: Any = None, *, scorer: Scorer, initial: Json | None = None, params: Any = None, edited: str = ""
    ) -> None:
        super().__init__(data, initial={RUNS: scorer.identifier, **(initial or {})})
        self.scorer, self.edited = scorer, edited
        if edited:  # what runs and the id stay
            del self.fields[RUNS], self.fields["scoring_fn_id"]
        self.own = own = params if params is not None else scorer.params
        if "regex_parser" in scorer.takes:
            self.fields["parsing_regexes"] = expressions_field(
                "parsing_regexes", getattr(own, "parsing_regexes", []), getattr(scorer.params, "parsing_regexes", [])
            )
        if scorer.asks_a_model:
            self.fields["judge_model"] = judge_field(own, is_needed=scorer.needs_template)
        if scorer.takes[0] == "llm_as_judge":
            usual = PROMPT if scorer.needs_template else ""
            self.fields["prompt_template"] = template_field(getattr(own, "prompt_template", None) or usual)
            regexes = getattr(own, "judge_score_regexes", []) or SCORE
            self.fields["judge_score_regexes"] = expressions_field("judge_score_regexes", regexes, [])
        chosen = list(own.aggregation_functions) if own is not None else ["average"]
        self.fields["aggregation_functions"] = forms.MultipleChoiceField(
            label="Aggregations", choices=[(name, name) for name in AGGREGATIONS], initial=chosen, required=False,
            widget=forms.CheckboxSelectMultiple, help_text=AGGREGATIONS_HELP,
        )  # fmt: skip

        self.fields["fails_below"] = forms.FloatField(required=False, help_text=PASS_MARK)

    @property
    def parameters(self) -> list[forms.BoundField]:
        """The fields beside what runs, the name and the description."""
        return [bound for bound in self if bound.name not in self.base_fields]

    @property
    def kept_aside(self) -> list[tuple[str, str]]:
        """What was typed into fields that what runs does not have: it is back once something runs that has them."""
        said = self.data if self.is_bound else self.initial
        return [(name, said[name]) for name in TEXTS if name not in self.fields and said.get(name)]

    @property
    def typed(self) -> Json:
        """What was entered beyond what the form began with, but for what runs."""
        changed = {name: self[name].value() for name in self.changed_data if name != RUNS}
        return dict(self.kept_aside) | changed

    def request(self) -> schemas.RegisterScoringFunctionRequest:
        """Return what the form asks for as the API would be asked; raises pydantic's ValidationError."""
        data = self.cleaned_data
        return schemas.RegisterScoringFunctionRequest.model_validate(
            {
                "scoring_fn_id": self.edited or data["scoring_fn_id"],
                "description": data["description"],
                "return_type": {"type": self.scorer.return_type},
                "provider_scoring_fn_id": self.scorer.identifier,
                "params": self._params(data),
            }
        )

    def _params(self, data: Json) -> Json:
        if "judge_model" in self.fields:
            data = data | {"judge_model": data.get("judge_model") or getattr(self.own, "judge_model", "")}
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
        self.add_error(name or (None if self.edited else "scoring_fn_id"), why if name and why else detail)

    def refuse_values(self, error: ValidationError) -> None:
        """Tell what pydantic refused."""
        found = error.errors(include_url=False, include_input=False, include_context=False)
        self.add_error(None, explain(list(found)))  # type: ignore[arg-type]
