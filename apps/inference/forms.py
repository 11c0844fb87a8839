"""Forms of models: registering one, trying one."""

from typing import Any, ClassVar

from django import forms

from apps.core.widgets import LongText
from apps.inference import prices, schemas
from apps.inference.models import Model, ModelType
from apps.providers.models import Provider


class RegisterForm(forms.Form):
    """A model its provider does not list, or a second name for one."""

    provider_id = forms.ChoiceField(label="Provider")
    provider_model_id = forms.CharField(
        max_length=300, label="The provider's name of it", help_text="Sent to the provider."
    )
    model_id = forms.CharField(
        max_length=300, required=False, label="Name here", help_text="Empty: provider/model, as for listed models."
    )
    model_type = forms.ChoiceField(choices=ModelType.choices, label="For")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        names = Provider.objects.running("inference").values_list("provider_id", flat=True)
        self.fields["provider_id"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    def request(self) -> schemas.RegisterModelRequest:
        """Return what the API would be sent."""
        asked = self.cleaned_data
        return schemas.RegisterModelRequest(
            model_id=asked["model_id"] or asked["provider_model_id"],
            provider_model_id=asked["provider_model_id"],
            provider_id=asked["provider_id"],
            model_type=asked["model_type"],
        )


class PricesForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a million tokens of a model cost."""

    class Meta:
        model = Model
        fields: ClassVar = ["input_price", "output_price", "currency"]
        labels: ClassVar = {"input_price": "A million input tokens", "output_price": "A million output tokens"}
        help_texts: ClassVar = {"input_price": "Empty: not known.", "output_price": "Empty: not known.", "currency": ""}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in ("input_price", "output_price"):
            if (price := self.initial.get(name)) is not None:
                self.initial[name] = prices.plain(price)
            self.fields[name].widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        if prices.of(self.instance) is None:
            self.initial["currency"] = prices.usual_currency()
        self.fields["currency"].widget.attrs |= {"size": "4", "autocapitalize": "characters", "spellcheck": "false"}

    def clean_currency(self) -> str:
        """Return the currency in capitals."""
        return str(self.cleaned_data["currency"]).upper()


class TryForm(forms.Form):
    """Something to ask a model."""

    prompt = forms.CharField(max_length=8000, widget=LongText(attrs={"rows": 3}))
