"""Models: what providers list and what operators register."""

from typing import Any, ClassVar

from django.db import models
from django.utils.timezone import now

from apps.core.fields import FastJSONField
from apps.inference import schemas
from apps.providers.models import Provider


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


class Model(models.Model):
    """A model under the name clients use."""

    id = models.BigAutoField(primary_key=True)
    identifier = models.CharField(max_length=300, unique=True, help_text="provider/model, or a name of your own.")
    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="models")
    provider_resource_id = models.CharField(max_length=300, help_text="The provider's own name of the model.")
    model_type = models.CharField(max_length=10, choices=ModelType.choices, default=ModelType.LLM)
    metadata = FastJSONField(default=dict, blank=True)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.REGISTERED, editable=False)
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
