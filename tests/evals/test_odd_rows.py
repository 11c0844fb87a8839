"""Rows that hold half a character, which datasets keep as they were written: every page that reads rows reads them."""

from typing import Any

import pytest
from django.test import Client

from apps.datasets.models import Dataset
from apps.evals.models import Benchmark, Evaluation
from tests.evals import made, runs
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web

HALF = {"question": "Say \ud800!", "answer": "yes"}
KEPT = {"name": "kept", "purpose": "eval/question-answer"}


@pytest.fixture
def two(bench: Benchmark) -> list[Evaluation]:
    """Two runs of such a row, the second one worse."""
    return [runs.run([HALF], ["yes"], {"basic::equality": [score]}) for score in (1.0, 0.0)]


def address(two: list[Evaluation]) -> str:
    return f"?base={two[0].job.job_id}&with={two[1].job.job_id}"


def test_a_comparison_and_its_file_show_them(web: Client, two: list[Evaluation]) -> None:
    assert "Say ?!" in text(web, f"/evaluations/compare/{address(two)}")

    file = web.get(f"/evaluations/compare/export.csv{address(two)}")

    assert "Say ?!" in b"".join(file.streaming_content).decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["failing", "worse"])
def test_they_are_added_to_a_dataset(web: Client, two: list[Evaluation], kind: str) -> None:
    path = {"failing": f"/evaluations/{two[1].job.job_id}/keep/", "worse": f"/evaluations/compare/keep/{address(two)}"}

    assert "Say ?!" in text(web, path[kind])
    answer = web.post(path[kind], {**KEPT, "which": "low", "below": "0.5"})

    assert answer.status_code == 302, answer.content.decode()
    assert Dataset.objects.get(dataset_id="kept").row_count == 1


def test_they_are_tried(web: Client, model: str, transactional_db: Any) -> None:
    made.dataset("odd", [HALF])
    made.benchmark("odd", "odd")

    page = web.post("/evaluations/new/?benchmark=odd", {"models": [model], "act": "try"}).content.decode()

    assert 'data-ui="tried-row"' in page and "Say ?!" in page
