"""Forms of models: registering one, trying one."""

from typing import Any

from django import forms

from apps.inference import schemas
from apps.inference.models import ModelType
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


class TryForm(forms.Form):
    """Something to ask a model."""

    prompt = forms.CharField(max_length=8000, widget=forms.Textarea(attrs={"rows": 3}))
