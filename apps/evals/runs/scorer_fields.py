"""The parameters of a scoring function in the form of a new evaluation: their fields, and what they say of a run."""

from dataclasses import dataclass
from typing import Any

from django import forms

from apps.evals import schemas
from apps.evals.scorers.fields import PROMPT, SCORE, expressions_field, judge_field, lines, must_bring, template_field
from apps.evals.scoring.base import Scorer

JUDGED = ("judge_model", "prompt_template", "judge_score_regexes")


@dataclass(frozen=True)
class ScorerFields:
    """A scoring function of the benchmark, and the fields its parameters have in the form."""

    told: schemas.ScoringFn
    scorer: Scorer
    prefix: str
    has_vectors: bool  # whether a model makes those it may compare by

    @property
    def asks_judge(self) -> bool:
        """Whether a model that chats judges."""
        return self.scorer.asks_judge(self.has_vectors)

    @property
    def names(self) -> list[str]:
        """The names of its fields."""
        return [f"{self.prefix}{name}" for name in self._parameters]

    @property
    def fields(self) -> dict[str, forms.Field]:
        """Its fields by their names. What a run must bring is required and begins with something sensible."""
        made = {f"{self.prefix}{name}": self._field(name) for name in self._parameters}
        for field in made.values():
            field.widget.attrs["data-function"] = self.told.identifier
        return made

    @property
    def _parameters(self) -> tuple[str, ...]:
        if self.asks_judge:  # a rubric has prompts of its own: all that one may choose is who judges
            has_prompt = self._is_bare or isinstance(
                self.told.params or self.scorer.params, schemas.LLMAsJudgeScoringFnParams
            )
            return JUDGED if has_prompt else JUDGED[:1]
        return ("parsing_regexes",) if "regex_parser" in self.scorer.takes else ()

    @property
    def _is_bare(self) -> bool:
        return must_bring(self.told)

    def _own(self, name: str) -> Any:
        return getattr(self.told.params or self.scorer.params, name, None)

    def _field(self, name: str) -> forms.Field:
        if name == "judge_model":
            return judge_field(
                self.told.params or self.scorer.params, is_needed=self.scorer.needs_template, must_be_here=True
            )
        if name == "prompt_template":
            field = template_field(self._own(name) or (PROMPT if self._is_bare else ""))
            field.required = self._is_bare
            return field
        own = list(self._own(name) or [])
        usual = getattr(self.scorer.params, name, None) or []
        return expressions_field(name, own or (SCORE if self._is_bare else []), usual)

    def given(self, data: dict[str, Any]) -> schemas.ScoringFnParams | None:
        """Return the parameters as far as the form differs from the function's own; None when it does not."""
        said = {name: data[f"{self.prefix}{name}"] for name in self._parameters}
        if all(lines(value) in ([], self._own_lines(name)) for name, value in said.items()):
            return None
        for name in ("parsing_regexes", "judge_score_regexes"):
            if name in said:
                said[name] = lines(said[name])
        if not self.scorer.asks_a_model:
            return schemas.RegexParserScoringFnParams(**said)
        judge = said.pop("judge_model") or self._own("judge_model") or ""
        said = {name: one for name, one in said.items() if one}
        if self._is_bare and not self._own("aggregation_functions"):
            said["aggregation_functions"] = ["average"]
        return schemas.LLMAsJudgeScoringFnParams(judge_model=judge, **said)

    def _own_lines(self, name: str) -> list[str]:
        own = self._own(name)
        return list(own) if isinstance(own, list) else lines(own)
