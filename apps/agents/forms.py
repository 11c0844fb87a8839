"""The agent form: the configuration of the API as fields, checked as the API checks it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from pydantic import ValidationError as ModelError
from pydantic_core import from_json, to_json

from apps.agents import known, schemas
from apps.core.errors import explain
from apps.core.widgets import LongText

STRATEGIES = {"greedy": "Greedy: always the likeliest word", "top_p": "Top p: sample", "top_k": "Top k: sample"}
TOOL_CHOICES = {"auto": "The model decides", "required": "Must call a tool", "none": "No tools"}
# Where an error of the configuration belongs when its first name is not a field of the form.
HOME = {"sampling_params": "strategy", "tool_config": "tool_choice"}

ADVANCED = ("toolgroups", "input_shields", "output_shields", "client_tools", "toolgroup_args", "tool_choice",
            "temperature", "top_p", "top_k", "max_tokens", "stop", "repetition_penalty", "response_format",
            "max_infer_iters")  # fmt: skip


class NamesField(forms.CharField):
    """Names with commas or spaces between them, as a list."""

    def to_python(self, value: Any) -> Any:
        """Return the names without repeats."""
        text = super().to_python(value) or ""
        return list(dict.fromkeys(str(text).replace(",", " ").split()))


class JsonField(forms.CharField):
    """JSON text, as data; the error says where it breaks."""

    widget = LongText(attrs={"rows": 6, "class": "mono", "spellcheck": "false", "autocomplete": "off"})

    def to_python(self, value: Any) -> Any:
        """Return the data; None for an empty field."""
        text = str(super().to_python(value) or "").strip()
        if not text:
            return None
        try:
            return from_json(text)
        except ValueError as error:
            raise ValidationError(f"This is not JSON: {error}.") from error


class AgentForm(forms.Form):
    """Everything an agent is made of; a model is enough."""

    name = forms.CharField(required=False, max_length=200, help_text="What people call it; need not be unique.")
    model = forms.CharField(widget=forms.Select)
    instructions = forms.CharField(
        required=False,
        widget=LongText(attrs={"rows": 5}),
        help_text="What the model reads before every conversation.",
    )
    toolgroups = NamesField(required=False, label="Tool groups", help_text="Names with commas between them.")
    input_shields = NamesField(required=False, help_text="Look at what is sent to the model.")
    output_shields = NamesField(required=False, help_text="Look at what the model answers.")
    client_tools = JsonField(
        required=False, help_text="A list of tools that people or your program answer: name, description, input_schema."
    )
    tool_choice = forms.CharField(
        required=False, initial="auto", help_text="auto, required, none, or the name of a tool."
    )
    toolgroup_args = JsonField(
        required=False,
        label="Tool group arguments",
        help_text='For example {"builtin::rag": {"vector_db_ids": ["docs"]}}.',
    )
    strategy = forms.ChoiceField(required=False, choices=STRATEGIES, label="Sampling", initial="greedy")
    temperature = forms.FloatField(required=False, min_value=0.01, max_value=10, help_text="For top p; above 0.")
    top_p = forms.FloatField(required=False, min_value=0.01, max_value=1, initial=0.95, label="Top p")
    top_k = forms.IntegerField(required=False, min_value=1, label="Top k", help_text="For top k.")
    max_tokens = forms.IntegerField(required=False, min_value=0, initial=0, help_text="0: the model decides.")
    repetition_penalty = forms.FloatField(required=False, min_value=0.01, initial=1.0)
    stop = forms.CharField(
        required=False,
        widget=LongText(attrs={"rows": 2}),
        help_text="Up to four texts that end the answer, one a line.",
    )
    max_infer_iters = forms.IntegerField(
        required=False,
        min_value=1,
        initial=10,
        label="Model calls per turn",
        help_text="Tool calls make the model go on.",
    )
    response_format = JsonField(
        required=False,
        help_text='Empty for free text, or {"type": "json_schema", "json_schema": {…}}; embedded models also take '
        '{"type": "grammar", "bnf": {"grammar": "root ::= …"}}.',
    )
    enable_session_persistence = forms.BooleanField(
        required=False,
        initial=True,
        label="Keep sessions",
        help_text="Sessions without it may be cleared by retention.",
    )

    def __init__(self, *args: Any, models: list[known.KnownModel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.models = models
        chosen = self["model"].value()
        options = [(model.identifier, _label(model)) for model in models]
        if chosen and chosen not in dict(options):
            options.append((chosen, f"{chosen} (not on this server)"))
        self.fields["model"].widget.choices = options  # type: ignore[attr-defined]
        if options and not chosen:
            self.initial["model"] = options[0][0]

    @property
    def has_advanced(self) -> bool:
        """Whether the folded part holds an error, or something worth seeing at once."""
        return any(name in self.errors or self.initial.get(name) for name in ADVANCED)

    @classmethod
    def initial_of(cls, config: schemas.AgentConfig) -> dict[str, Any]:
        """Return what the fields show for a configuration."""
        data = config.model_dump(mode="json", exclude_none=True)
        groups = [group if isinstance(group, str) else group["name"] for group in data.get("toolgroups", [])]
        args = {group["name"]: group["args"] for group in data.get("toolgroups", []) if not isinstance(group, str)}
        sampling = data.get("sampling_params", {})
        strategy = sampling.get("strategy", {})
        names = ("name", "model", "instructions", "max_infer_iters", "enable_session_persistence")
        return {name: data[name] for name in names if name in data} | {
            "toolgroups": ", ".join(groups),
            "toolgroup_args": _pretty(args),
            "input_shields": ", ".join(data.get("input_shields", [])),
            "output_shields": ", ".join(data.get("output_shields", [])),
            "client_tools": _pretty(data.get("client_tools")),
            "response_format": _pretty(data.get("response_format")),
            "tool_choice": data.get("tool_config", {}).get("tool_choice", "auto"),
            "strategy": strategy.get("type", "greedy"),
            **{name: strategy[name] for name in ("temperature", "top_p", "top_k") if name in strategy},
            **{name: sampling[name] for name in ("max_tokens", "repetition_penalty") if name in sampling},
            "stop": "\n".join(sampling.get("stop", [])),
        }

    def clean_model(self) -> str:
        """Refuse a model this server does not have."""
        return _checked(self.cleaned_data["model"], lambda name: known.why_not_model(name, self.models))

    def clean_toolgroups(self) -> list[str]:
        """Refuse tool groups nobody registered."""
        return [_checked(name, known.why_not_toolgroup) for name in self.cleaned_data["toolgroups"]]

    def clean_input_shields(self) -> list[str]:
        """Refuse shields nobody registered."""
        return [_checked(name, known.why_not_shield) for name in self.cleaned_data["input_shields"]]

    def clean_output_shields(self) -> list[str]:
        """Refuse shields nobody registered."""
        return [_checked(name, known.why_not_shield) for name in self.cleaned_data["output_shields"]]

    def clean(self) -> dict[str, Any]:
        """Build the configuration and put what the API objects to beside the field it means."""
        data = super().clean() or {}
        try:
            self.config: schemas.AgentConfig | None = schemas.AgentConfig.model_validate(self._config(data))
        except ModelError as error:
            self.config = None
            for one in error.errors(include_url=False, include_input=False, include_context=False):
                self._place(one)
        return data

    def _place(self, error: Any) -> None:
        words = str(error["msg"]).removeprefix("Value error, ")
        place = [str(part) for part in error["loc"]] or [words.partition(":")[0]]
        inner = next((name for name in reversed(place) if name in self.fields), "") if place[0] in HOME else ""
        field = inner or HOME.get(place[0], place[0])
        if field in self.errors:
            return
        if field not in self.fields:
            self.add_error(None, words)
            return
        self.add_error(field, explain([error | {"loc": error["loc"][1:]}]))

    def _config(self, data: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": data.get("name") or None,
            "model": data.get("model") or "unknown",
            "instructions": data.get("instructions") or "",
            "toolgroups": self._groups(data.get("toolgroups") or [], data.get("toolgroup_args") or {}),
            "input_shields": data.get("input_shields") or [],
            "output_shields": data.get("output_shields") or [],
            "client_tools": data.get("client_tools") or [],
            "tool_config": {"tool_choice": data.get("tool_choice") or "auto"},
            "sampling_params": sampling_of(data),
            "max_infer_iters": data.get("max_infer_iters") or 10,
            "response_format": data.get("response_format"),
            "enable_session_persistence": bool(data.get("enable_session_persistence")),
        }

    def _groups(self, names: list[str], args: Any) -> list[Any]:
        """Return the tool groups, those with arguments as objects."""
        if not isinstance(args, dict) or not all(isinstance(one, dict) for one in args.values()):
            self.add_error("toolgroup_args", "This must be an object with an object for each group's name.")
            return list(names)
        for name in set(args) - set(names):
            self.add_error("toolgroup_args", f"'{name}' is not among the tool groups above.")
        return [{"name": name, "args": args[name]} if name in args else name for name in names]


def _checked(name: str, why_not: Callable[[str], str]) -> str:
    refusal = why_not(name)
    if refusal:
        raise ValidationError(refusal)
    return name


def _label(model: known.KnownModel) -> str:
    return model.identifier if model.is_reachable else f"{model.identifier} (provider unreachable)"


def _pretty(data: Any) -> str:
    return to_json(data, indent=2).decode() if data else ""


def sampling_of(data: dict[str, Any]) -> dict[str, Any]:
    """Return what a form's fields ask for as the API's sampling parameters."""
    kind = data.get("strategy") or "greedy"
    strategy: dict[str, Any] = {"type": kind}
    for name in {"top_p": ("temperature", "top_p"), "top_k": ("top_k",)}.get(kind, ()):
        if data.get(name) is not None:
            strategy[name] = data[name]
    stops = [line for line in (data.get("stop") or "").splitlines() if line]
    return {
        "strategy": strategy,
        "max_tokens": data.get("max_tokens") or 0,
        "repetition_penalty": data.get("repetition_penalty") or 1.0,
        "stop": stops or None,
    }
