"""A dataset, a benchmark on it, and a worker that runs what is asked."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from django.test import Client

from tests.jobs.conftest import working

ROWS = [{"question": f"Say {n}", "answer": f"Say {n}" if n % 2 else "no"} for n in range(8)]


@pytest.fixture
async def worker() -> AsyncIterator[Any]:
    """A worker beside the test."""
    async with working() as one:
        yield one


@pytest.fixture
def benchmark(api: httpx2.AsyncClient) -> Callable[..., Any]:
    """Register a dataset of these rows and a benchmark on it; return the benchmark's id."""

    async def make(name: str = "bench", rows: list[dict[str, Any]] | None = None, *functions: str) -> str:
        source = {"type": "rows", "rows": ROWS if rows is None else rows}
        dataset = {"purpose": "eval/question-answer", "dataset_id": f"{name}-rows", "source": source}
        made = await api.post("/v1beta/datasets", json=dataset)
        assert made.status_code == 200, made.text
        asked = {"benchmark_id": name, "dataset_id": f"{name}-rows"}
        asked |= {"scoring_functions": list(functions or ("basic::equality",))}
        registered = await api.post("/v1alpha/eval/benchmarks", json=asked)
        assert registered.status_code == 200, registered.text
        return name

    return make


@pytest.fixture
def at_work(client: Client, people: dict[str, Any]) -> Client:
    """An operator's browser, without a script."""
    client.force_login(people["operator"])
    return client


@pytest.fixture
def reader(people: dict[str, Any]) -> Client:
    """A viewer's browser, without a script."""
    one = Client()
    one.force_login(people["viewer"])
    return one


def config(model: str, **fields: Any) -> dict[str, Any]:
    """Return the body that evaluates a model."""
    greedy = {"strategy": {"type": "greedy"}}
    candidate = fields.pop("candidate", {"type": "model", "model": model, "sampling_params": greedy})
    return {"benchmark_config": {"eval_candidate": candidate, "scoring_params": {}, **fields}}
