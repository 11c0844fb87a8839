"""The form that tries a scoring function on a row."""

from typing import Any

from django import forms
from pydantic_core import from_json

from apps.core.widgets import LongText
from apps.evals import schemas
from apps.evals.scorers import vectors
from apps.evals.scorers.columns import AS_JSON, JSON_TEXT, LABELS, LONG, OPTIONAL, columns_of, samples_of
from apps.evals.scorers.fields import (
    PROMPT,
    SCORE,
    TEXT,
    expressions_field,
    judge_field,
    lines,
    must_bring,
    template_field,
)
from apps.evals.scoring.base import Scorer

Json = dict[str, Any]


class TryForm(forms.Form):
    """One row, and who judges where somebody does."""

    def __init__(self, data: Any = None, *, told: schemas.ScoringFn, scorer: Scorer) -> None:
        super().__init__(data)
        self.told, self.scorer = told, scorer
        for name, sample in samples_of(scorer, told.params).items():
            self.fields[name] = self._column(name, sample)
        if scorer.asks_judge(vectors.model_for([scorer]) is not None):
            self.fields["judge_model"] = judge_field(told.params, is_needed=scorer.needs_template)
        if must_bring(told):
            self.fields["prompt_template"] = template_field(PROMPT)
            self.fields["judge_score_regexes"] = expressions_field("judge_score_regexes", SCORE, [])

    def _column(self, name: str, sample: str) -> forms.CharField:
        label = LABELS.get(name, name.replace("_", " ").capitalize())
        rows = 3 if name in LONG else 1
        wants_json = name in (*AS_JSON, *JSON_TEXT)
        widget = LongText(attrs={"rows": rows, **(TEXT if wants_json else {})})
        help_text = "As JSON." if wants_json else ""
        is_optional = must_bring(self.told) or name in OPTIONAL.get(self.scorer.identifier, ())  # its prompt decides
        return forms.CharField(
            label=label, initial=sample, widget=widget, help_text=help_text, strip=False, required=not is_optional
        )

    def clean(self) -> Json:
        """Read the columns that hold JSON."""
        data = super().clean() or {}
        for name in (*AS_JSON, *JSON_TEXT):
            if not data.get(name):
                continue
            try:
                read = from_json(str(data[name]))
            except ValueError as error:
                self.add_error(name, f"This is no JSON: {error}")
            else:
                data[name] = read if name in AS_JSON else data[name]
        return data

    def refuse(self, detail: str) -> None:
        """Put what the API refuses beside the field it speaks of; what speaks of none stands above them."""
        self.add_error(next((name for name in self.fields if f".{name}" in detail), None), detail)

    def request(self) -> Json:
        """Return the body of the API's request that does the same; from the sample while nothing is sent."""
        data = self.cleaned_data if self.is_bound and self.is_valid() else self._samples()
        columns = columns_of(self.scorer, self.told.params)
        row = {name: data[name] for name in columns if data.get(name) not in (None, "")}
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
