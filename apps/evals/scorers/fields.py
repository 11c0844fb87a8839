"""Fields of the parameters of scoring functions, which the forms of scorers and of new evaluations share."""

from typing import Any

from django import forms

from apps.agents import known
from apps.core.widgets import LongText
from apps.evals import schemas
from apps.evals.scoring.catalog import BUILT_IN
from apps.evals.scoring.templates import PLACES, places_in
from apps.inference import chat
from apps.inference.models import Model

TEXT = {"class": "mono", "spellcheck": "false"}
MOST_SHOWN = 8  # expressions; of more a form says how many the function has of its own
PROMPT = (
    "Question: {input_query}\nExpected: {expected_answer}\nAnswer: {generated_answer}\n\n"
    "How good is the answer, from 0 to 10? Reply as: Score: N"
)
NO_PLACE = (
    "This prompt says the same of every row: it has none of the places below. "
    "Write {generated_answer} where the judge is to read the answer."
)
SCORE = [r"Score: (\d+)"]  # finds what that prompt asks for


def must_bring(told: schemas.ScoringFn) -> bool:
    """Return whether a function has no prompt of its own, so that whoever uses it must bring a judge and a prompt."""
    scorer = BUILT_IN.get(str(told.provider_resource_id))
    return scorer is not None and scorer.needs_template and not getattr(told.params, "prompt_template", None)


def judge_field(params: Any, *, is_needed: bool, must_be_here: bool = False) -> forms.ChoiceField:
    """Return the field of the model that judges; where one is needed or its own is not here, the first is chosen.

    A judge of its own that is not on this server may be kept, unless it must be here to be asked.
    """
    own = getattr(params, "judge_model", "") or ""
    names = [one.identifier for one in known.models()]
    choices = [(name, name) for name in names]
    is_away = must_be_here and bool(own) and own not in names
    if not is_away and (own or not is_needed):
        choices.insert(0, ("", f"Its own ({own})" if own else _first()))
    usual = own if own in names else next(iter(names), "") if own or is_needed else ""
    away = f"Its own, {own}, is not on this server." if is_away else ""
    return forms.ChoiceField(
        label="Judge", required=is_away or (is_needed and not own), choices=choices, initial=usual,
        help_text=away if names else "There is no chat model yet: add a provider first.",
    )  # fmt: skip


def _first() -> str:
    """Return the words for the model that judges when nobody has chosen one."""
    model = chat.best_of(Model.objects.offered())
    return "The one this server offers first" + (f": {model}" if model is not None else "")


def template_field(initial: str) -> forms.CharField:
    """Return the field of a judge's prompt, which is refused where it would say the same of every row."""

    def check(text: str) -> None:
        if not places_in(text) and text.strip() != initial.strip():
            raise forms.ValidationError(NO_PLACE)

    places = ", ".join(f"{{{name}}}" for name in PLACES)
    return forms.CharField(
        label="Prompt", widget=LongText(attrs={"rows": 6, **TEXT}), initial=initial, validators=[check],
        help_text=f"Places, filled in from each row: {places}. Other words in braces are sent as they stand.",
    )  # fmt: skip


def expressions_field(name: str, own: list[str], usual: list[str]) -> forms.CharField:
    """Return the field of expressions, one a line; many that are the usual ones are told by their number alone."""
    is_told = len(own) <= MOST_SHOWN or own != usual
    label = "Expressions for the score" if name.startswith("judge") else "Expressions for the answer"
    help_text = "One a line, tried in order; the first group of the first match counts."
    if not is_told:
        help_text += f" Left empty, the {len(own)} it comes with are tried."
    widget = LongText(attrs={"rows": 3, **TEXT})
    initial = "\n".join(own) if is_told else ""
    return forms.CharField(
        label=label, required=False, widget=widget, initial=initial, help_text=help_text, strip=False
    )


def lines(text: Any) -> list[str]:
    """Return the lines of a text that hold anything."""
    return [line for line in str(text or "").splitlines() if line.strip()]
