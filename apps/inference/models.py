"""Models: what providers list and what operators register."""

from typing import Any, ClassVar

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.urls import reverse
from django.utils.timezone import now

from apps.core.fields import FastJSONField
from apps.inference import schemas
from apps.providers.models import Provider

NOT_NEGATIVE = MinValueValidator(0, "A price is 0 or more.")
CURRENCY = RegexValidator(r"^[A-Z]{3}\Z", "Write the three letters of a currency, as USD or EUR.")
PER_MILLION = "For a million tokens; empty: not known."


class ModelType(models.TextChoices):
    """What a model is for."""

    LLM = "llm", "chat"
    EMBEDDING = "embedding", "embedding"
    RERANK = "rerank", "rerank"


class Source(models.TextChoices):
    """Where a row comes from."""

    LISTED = "listed", "listed by its provider"
    REGISTERED = "registered", "registered here"


class ModelQuerySet(models.QuerySet["Model"]):
    """Reads of models."""

    def offered(self) -> "ModelQuerySet":
        """Return the models that can be addressed: enabled, of an enabled provider, and not gone from its list."""
        rows = self.select_related("provider").filter(enabled=True, provider__enabled=True)
        return rows.filter(models.Q(source=Source.REGISTERED) | models.Q(missing_since=None))

    def embedder(self) -> "Model | None":
        """Return the model that makes vectors when nobody has chosen one; None when none does."""
        return self.filter(model_type=ModelType.EMBEDDING).order_by("pk").first()


class Model(models.Model):
    """A model under the name clients use."""

    id = models.BigAutoField(primary_key=True)
    identifier = models.CharField(max_length=300, unique=True, help_text="provider/model, or a name of your own.")
    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="models")
    provider_resource_id = models.CharField(max_length=300, help_text="The provider's own name of the model.")
    model_type = models.CharField(max_length=10, choices=ModelType.choices, default=ModelType.LLM)
    metadata = FastJSONField(default=dict, blank=True)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.REGISTERED, editable=False)
    input_price = models.DecimalField(
        max_digits=12, decimal_places=6, null=True, blank=True, validators=[NOT_NEGATIVE], help_text=PER_MILLION
    )
    output_price = models.DecimalField(
        max_digits=12, decimal_places=6, null=True, blank=True, validators=[NOT_NEGATIVE], help_text=PER_MILLION
    )
    currency = models.CharField(
        max_length=3, default="USD", validators=[CURRENCY], help_text="Of both prices, by its three letters."
    )
    enabled = models.BooleanField(default=True, help_text="A listed model that is not wanted is switched off here.")
    missing_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its provider stopped listing it."
    )
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ModelQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.identifier

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("inference:model-detail", args=[self.identifier])

    @property
    def state(self) -> str:
        """Return the row's state as the pages call it."""
        if not self.enabled:
            return "disabled"
        return "missing" if self.missing_since else self.provider.state

    @property
    def is_demo(self) -> bool:
        """Whether answers of this model only show that things work."""
        return bool(self.metadata.get("demo"))

    def as_schema(self) -> schemas.Model:
        """Return the row as the API tells it."""
        return schemas.Model(
            identifier=self.identifier,
            provider_resource_id=self.provider_resource_id,
            provider_id=self.provider.provider_id,
            metadata=self.metadata,
            model_type=self.model_type,
        )

    def differs(self, entry: dict[str, Any]) -> bool:
        """Return whether a provider's entry says something else than this row."""
        return bool(self.model_type != entry["model_type"] or self.metadata != entry["metadata"])
