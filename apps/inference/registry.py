"""Models that operators name: registered, switched off, read. Plain functions for inside one unit of database work."""

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core.errors import BadRequest, Conflict, NotFound
from apps.inference import prices, schemas
from apps.inference.models import Model, Source
from apps.providers.models import Provider


def listed() -> schemas.ListModelsResponse:
    """Return every model that can be addressed."""
    return schemas.ListModelsResponse(data=[row.as_schema() for row in Model.objects.offered()])


def named(model_id: str) -> Model:
    """Return the model of this id, or of this provider's own name when one alone has it; raises NotFound."""
    rows = Model.objects.offered()
    row = rows.filter(identifier=model_id).first()
    if row is not None:
        return row
    several = list(rows.filter(provider_resource_id=model_id)[:2])
    if len(several) == 1:
        return several[0]
    if several:
        raise NotFound(f"Several providers offer a model '{model_id}': write provider/model.")
    raise NotFound(f"Model '{model_id}' not found. GET /v1/models lists what there is.")


def register(request: schemas.RegisterModelRequest, actor: Principal) -> Model:
    """Return the registered model; the same registration again changes nothing.

    Raises BadRequest when the provider is not clear, NotFound when it is unknown, Conflict when the id is taken.
    """
    provider = _provider(request)
    name = request.provider_model_id or request.model_id.removeprefix(f"{provider.provider_id}/")
    # An id of its own is kept as it is; a provider's name is told apart by the provider's.
    is_alias = request.provider_model_id is not None and request.model_id != name
    identifier = request.model_id if is_alias else f"{provider.provider_id}/{name}"
    wanted = Model(
        identifier=identifier,
        provider=provider,
        provider_resource_id=name,
        model_type=request.model_type or "llm",
        metadata=request.metadata or {},
    )
    row = Model.objects.select_related("provider").filter(identifier=identifier).first()
    if row is None:
        wanted.save()
        audit.note(actor, "register", "model", identifier, provider=provider.provider_id, name=name)
        return wanted
    return _again(row, wanted, actor)


def set_prices(row: Model, actor: Principal) -> None:
    """Keep the prices a model was given: nothing else of its row, which its provider may change meanwhile."""
    row.save(update_fields=["input_price", "output_price", "currency", "updated_at"])
    price = prices.of(row)
    audit.note(actor, "update", "model", row.identifier, price=price.as_json() if price else None)


def unregister(model_id: str, actor: Principal) -> None:
    """Take the model of this id away; raises NotFound."""
    take_away(named(model_id), actor)


def take_away(row: Model, actor: Principal) -> None:
    """Delete a registered model; switch off one its provider lists, which would come back at the next listing."""
    if row.source == Source.REGISTERED:
        row.delete()
    else:
        row.enabled = False
        row.save()
    audit.note(actor, "unregister", "model", row.identifier)


def _again(row: Model, wanted: Model, actor: Principal) -> Model:
    """Return the row that has this id already: taken over when it is one a provider lists, else it must be the same."""
    same = all(getattr(row, name) == getattr(wanted, name) for name in ("provider_id", "provider_resource_id"))
    if row.source == Source.LISTED and same:
        row.source, row.enabled = Source.REGISTERED, True
        row.model_type, row.metadata = wanted.model_type, wanted.metadata or row.metadata
        row.save()
        audit.note(actor, "register", "model", row.identifier, provider=row.provider.provider_id)
        return row
    if not same or (row.model_type, row.metadata) != (wanted.model_type, wanted.metadata):
        raise Conflict(f"Model '{row.identifier}' exists with other content. Delete it first, or choose another id.")
    return row


def _provider(request: schemas.RegisterModelRequest) -> Provider:
    if request.provider_id:
        return Provider.objects.named(request.provider_id)
    providers = {row.provider_id: row for row in Provider.objects.running("inference")}
    prefix = request.model_id.partition("/")[0]
    if prefix in providers:
        return providers[prefix]
    if len(providers) == 1:
        return next(iter(providers.values()))
    raise BadRequest(f"provider_id: say which provider has it; configured: {', '.join(providers) or 'none'}.")
