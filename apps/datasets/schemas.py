"""Datasets and their rows, as the specification names them."""

from typing import Annotated, Any, Literal

from pydantic import Field

from apps.core.spec import SpecModel

Purpose = Literal["post-training/messages", "eval/question-answer", "eval/messages-answer"]


class URIDataSource(SpecModel):
    """A dataset that is read from an address: ``data:``, ``http(s)://``, ``lsfs://`` or ``huggingface://``."""

    type: Literal["uri"] = "uri"
    uri: str


class RowsDataSource(SpecModel):
    """A dataset whose rows were sent with it."""

    type: Literal["rows"] = "rows"
    rows: list[dict[str, Any]]


DataSource = Annotated[URIDataSource | RowsDataSource, Field(discriminator="type")]


class Dataset(SpecModel):
    """Rows for training or evaluation."""

    identifier: str
    provider_resource_id: str | None = None
    provider_id: str
    type: Literal["dataset"] = "dataset"
    purpose: Purpose
    source: DataSource
    metadata: dict[str, Any]


class ListDatasetsResponse(SpecModel):
    """Every dataset."""

    data: list[Dataset]


class RegisterDatasetRequest(SpecModel):
    """A new dataset: what it is for, where its rows come from, and its name unless one is to be made."""

    purpose: Purpose
    source: DataSource
    metadata: dict[str, Any] | None = None
    dataset_id: str | None = None


class AppendRowsRequest(SpecModel):
    """Rows that go behind those a dataset has."""

    rows: list[dict[str, Any]]
