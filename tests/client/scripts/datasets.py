"""Every datasets call of the published client, in a process with one version of it."""

import os
import sys

from llama_stack_client import (
    BadRequestError,
    ConflictError,
    LlamaStackClient,
    NotFoundError,
    PermissionDeniedError,
    __version__,
)

client = LlamaStackClient(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], timeout=60)
datasets = getattr(client, "datasets", None) or client.beta.datasets
name = f"client/{__version__}"
ROWS = [
    {"question": "What?", "answer": "This", "deep": {"a": [1, None, 12345678901234567890]}},
    {"question": "ü", "answer": ""},
]


def refused(kind: type[Exception], call, *given, **arguments) -> str:
    try:
        call(*given, **arguments)
    except kind as error:
        return str(error)
    raise AssertionError(f"{kind.__name__} was not raised")


def pages(**where):
    if hasattr(datasets, "iterrows"):
        return datasets.iterrows(name, **where)
    return client.datasetio.iterrows(name, **where)


about = {"purpose": "eval/question-answer", "source": {"type": "rows", "rows": ROWS}, "dataset_id": name}
made = datasets.register(**about)
assert made.identifier == name, made
assert made.source.rows == ROWS, made.source
datasets.register(**about)
refused(ConflictError, datasets.register, **{**about, "metadata": {"other": True}})
assert datasets.retrieve(name).purpose == "eval/question-answer"
assert name in [one.identifier for one in datasets.list()]
page = pages(limit=1)
assert (page.data, page.has_more) == (ROWS[:1], True), page


def append_raw(dataset_id: str, rows: list) -> object:
    """The oldest of the three has no call for it."""
    return client.post(f"/v1/datasetio/append-rows/{dataset_id}", body={"rows": rows}, cast_to=object)


append = getattr(datasets, "appendrows", append_raw)
assert append(name, rows=[{"question": "More?", "answer": "Yes"}]) is None
refused(BadRequestError, append, name, rows=[{"other": 1}])
assert pages(start_index=2).data == [{"question": "More?", "answer": "Yes"}]
there = datasets.register(
    purpose="eval/question-answer", source={"type": "uri", "uri": "data:text/csv,question,answer%0Aa,b"}
)
assert there.identifier.startswith("dataset-")
reader = LlamaStackClient(base_url=os.environ["BASE_URL"], api_key=os.environ["VIEWER_KEY"])
readers = getattr(reader, "datasets", None) or reader.beta.datasets
refused(PermissionDeniedError, readers.unregister, name)
datasets.unregister(name)
datasets.unregister(there.identifier)
refused(NotFoundError, datasets.retrieve, name)
refused(NotFoundError, pages)
sys.stdout.write("all datasets calls were answered as a client expects\n")
